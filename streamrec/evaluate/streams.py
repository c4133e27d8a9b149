"""Real streams as steps in event-time order: what visitors turned to, and the catalogue as it becomes known.

An *interaction* is a click, or a cart addition or order line of an item that the visitor did not meet in the same session: the cart
addition that follows a click on the item is no news and no target. A *session* ends where a visitor is silent for ``SESSION_MS``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from math import ceil
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from streamrec.candidates.activity import SESSION_MS
from streamrec.demo.data import CompleteJourney, DataSet, JsonLines, Record, Yoochoose, open_data
from streamrec.errors import DataError
from streamrec.events import Cart, CatalogItem, Click, Order
from streamrec.events.topics import CATALOG

#: The most popular items that are no long tail, as a share of all items that are ever met.
HEAD_SHARE: Final = 0.2
#: Data sets whose catalogue is the shop's own. Elsewhere it is read off the events themselves, so that an item must not be known
#: before the first of them: a catalogue at the start would tell which items will ever be clicked, one just in time which is next.
_OWN_CATALOGUE: Final = (JsonLines, CompleteJourney)


class Step(NamedTuple):
    """One record of a stream, and what it means to an evaluation."""

    record: Record
    #: The items of its interactions; empty for facts, and for events that repeat what the session told.
    items: tuple[str, ...] = ()
    #: Number of the visitor's session; -1 for facts.
    session: int = -1

    @property
    def visitor(self) -> str:
        """Return whose event it is; for facts it has no meaning."""
        return self.record.key

    @property
    def at_ms(self) -> int:
        """Return the event time in ms since the epoch."""
        return self.record.at_ms


@dataclass
class Stream:
    """A whole stream in memory; methods see its steps one after the other and nothing else of it."""

    name: str
    description: str
    steps: list[Step]
    #: Whether items have text of their own; without it nothing is embedded.
    has_text: bool = True
    notes: list[str] = field(default_factory=list)

    @cached_property
    def interactions(self) -> Counter[str]:
        """How often each item is met over the whole stream; for judging lists, never for making them."""
        return Counter(item_id for step in self.steps for item_id in step.items)

    @cached_property
    def head(self) -> frozenset[str]:
        """The ``HEAD_SHARE`` of the items that are met most, of equals those with the lower id; the others are the long tail."""
        ordered = sorted(self.interactions.items(), key=lambda pair: (-pair[1], pair[0]))
        return frozenset(item_id for item_id, _ in ordered[: ceil(HEAD_SHARE * len(ordered))])

    @cached_property
    def sessions(self) -> dict[int, list[str]]:
        """The items of each session's interactions, in order."""
        found: dict[int, list[str]] = {}
        for step in self.steps:
            if step.items:
                found.setdefault(step.session, []).extend(step.items)
        return found


def open_streams(path: Path | None = None, names: Iterable[str] = ()) -> list[DataSet]:
    """Return the event streams that ``path`` holds: it is one, or a folder of several; None is The Complete Journey.

    Folders without events are passed over. Raises DataError where there is none, or none of one of the ``names``.
    """
    found = _found(path)
    names = tuple(names)
    missing = [name for name in names if name not in {data.name for data in found}]
    if not found or missing:
        known = ", ".join(data.name for data in found) or "no stream at all"
        msg = f"{path}: {', '.join(missing) or 'an event stream'} is not there; it holds {known}: correct --data or --stream"
        raise DataError(msg)
    return [data for data in found if not names or data.name in names]


def _found(path: Path | None) -> list[DataSet]:
    try:
        whole = open_data(path)
    except DataError:
        if path is None or not path.is_dir():
            raise
    else:
        return [whole]
    found = []
    for folder in sorted(path.iterdir()):
        try:
            data = open_data(folder)
        except DataError:
            continue
        if next(data.timeline(), None) is not None:
            found.append(data)
    return found


def read_stream(data: DataSet, limit: int = 0) -> Stream:
    """Read a data set's first ``limit`` events of visitors (0: all) and the facts among them."""
    own = isinstance(data, _OWN_CATALOGUE)
    records = _with_catalogue(data) if own else _known_when_met(data)
    return Stream(data.name, data.description, list(as_steps(records, limit)), not isinstance(data, Yoochoose), data.notes())


def _with_catalogue(data: DataSet) -> Iterator[Record]:
    for item_id, item in data.items():
        yield Record(item.ts, CATALOG, item_id, item)
    yield from data.timeline()


def _known_when_met(data: DataSet) -> Iterator[Record]:
    """Yield the records, each item's first description right behind the first event that names it, later ones in their time."""
    first: dict[str, CatalogItem] = dict(data.items())
    for record in data.timeline():
        if isinstance(record.value, CatalogItem):
            first.setdefault(record.key, record.value)
    known: set[str] = set()
    for record in data.timeline():
        if record.topic == CATALOG:
            if record.key in known:
                yield record
            continue
        yield record
        for item_id in met_items(record):
            if item_id not in known:
                known.add(item_id)
                item = first.get(item_id) or CatalogItem(title=item_id, ts=record.at_ms)
                yield Record(record.at_ms, CATALOG, item_id, msgspec.structs.replace(item, ts=record.at_ms))


def met_items(record: Record) -> tuple[str, ...]:
    """Return the items that a visitor met by this record, each once; none for facts, searches, impressions and removals."""
    value = record.value
    if isinstance(value, Click) or (isinstance(value, Cart) and value.op == "add"):
        return (value.item_id,)
    return tuple(dict.fromkeys(line.item_id for line in value.lines)) if isinstance(value, Order) else ()


@dataclass(slots=True)
class _Session:
    number: int
    last_ms: int
    items: set[str] = field(default_factory=set)


def as_steps(records: Iterable[Record], limit: int = 0) -> Iterator[Step]:
    """Yield the records with their interactions and sessions, up to ``limit`` events of visitors (0: all)."""
    open_sessions: dict[str, _Session] = {}
    events = numbers = 0
    for record in records:
        if not record.topic.startswith("events."):
            yield Step(record)
            continue
        if limit and events == limit:
            return
        events += 1
        session = open_sessions.get(record.key)
        if session is None or record.at_ms - session.last_ms > SESSION_MS:
            session = open_sessions[record.key] = _Session(numbers, record.at_ms)
            numbers += 1
        session.last_ms = record.at_ms
        met = met_items(record)
        news = met if isinstance(record.value, Click) else tuple(item for item in met if item not in session.items)
        session.items.update(met)
        yield Step(record, news, session.number)
