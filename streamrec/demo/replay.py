"""Publishes a data set to a running system, and proves that publishing it twice changes nothing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final, Protocol

import msgspec

from streamrec.clock import Clock, SystemClock
from streamrec.config import KafkaSettings
from streamrec.demo.compare import Comparison, Snapshot, compare, snapshot
from streamrec.demo.data import DataSet, Record, open_data
from streamrec.demo.loading import await_items
from streamrec.demo.options import DemoOptions
from streamrec.demo.outbox import KINDS, Outbox
from streamrec.demo.pacing import Pacer, Rebaser
from streamrec.demo.stage import Stage, stage
from streamrec.demo.view import PlainView, View
from streamrec.errors import DataError, LocalStackError
from streamrec.events import Campaign, CatalogItem, encode
from streamrec.events.topics import CATALOG, EVENTS
from workers.groups import GROUPS
from workers.transport.admin import lag
from workers.transport.producer import Producer

_LOOK_EVERY_S: Final = 1.0
#: So many looks in a row must find the same.
_STILL: Final = 3
#: What is replayed for a comparison ends this long before now, so that no timestamp lies in the future.
_MARGIN_MS: Final = 60_000


def replay(
    data: DataSet,
    kafka: KafkaSettings,
    *,
    rate: float | None = None,
    limit: int | None = None,
    items: bool = True,
    rebase: bool = False,
    progress: Callable[[int], object] | None = None,
    clock: Clock | None = None,
) -> Counter[str]:
    """Publish the catalogue (unless not ``items``) and then up to ``limit`` records to a running system; return counts by kind.

    ``rate`` is in visitors' events per second, None: as fast as it goes. With ``rebase`` every timestamp becomes the moment of
    publishing; else all stay as they are in the data. Raises BrokerUnavailable or DataError.
    """
    clock = clock or SystemClock()
    tell = progress or (lambda _: None)
    done = 0
    with Producer(kafka) as producer:
        outbox = Outbox(producer)
        for record in _all(data, limit=limit, items=items, rebase=rebase, clock=clock, pace=_pace(rate)):
            outbox.publish(record.topic, record.key, record.value)
            done += 1
            tell(done)
        producer.flush(120.0)
    return outbox.counts


def _pace(rate: float | None) -> Callable[[], None]:
    return Pacer(rate, time.monotonic, time.sleep).wait if rate else lambda: None


def _all(
    data: DataSet, *, limit: int | None, items: bool, rebase: bool, clock: Clock, pace: Callable[[], None]
) -> Iterator[Record]:
    rebaser = Rebaser()
    if items:
        for item_id, item in data.items():
            record = Record(item.ts, CATALOG, item_id, item)
            yield rebaser.rebase(record, clock.now_ms()) if rebase else record
    for record in islice(data.timeline(), limit):
        if record.topic in EVENTS:
            pace()
        if rebase:
            yield from rebaser.due(record.at_ms)
            yield rebaser.rebase(record, clock.now_ms())
        else:
            yield record


class _Sender(Protocol):
    def send(self, topic: str, key: str, value: bytes | None) -> None: ...

    def flush(self, timeout_s: float) -> None: ...


Message = tuple[str, str, bytes | None]


def replay_twice(
    data: DataSet | None = None,
    limit: int = 2_000,
    *,
    items: int | None = 2_000,
    view: View | None = None,
    log_dir: Path | None = None,
    environment: dict[str, str] | None = None,
    timeout_s: float = 240.0,
) -> Comparison:
    """Publish the same ``limit`` records once and then again on a fresh embedded stack, and compare what stands in Redis.

    The records keep their event ids and the distances of their timestamps; all are moved by one amount, so that the last lies a
    minute before now, and both times the very same bytes are sent. ``items`` caps the catalogue: the items
    that the records name, then others up to that number. Raises LocalStackError or DataError.
    """
    data = data or open_data()
    view = view or PlainView()
    catalogue, records = _excerpt(data, limit, items, SystemClock().now_ms())
    if not records:
        msg = f"{data.name} has no record to replay; give data with events"
        raise DataError(msg)
    kinds = Counter(KINDS[topic] for topic, _, _ in records)
    view.say(f"{len(catalogue):,} items, {len(records):,} records of {data.name}: {dict(kinds)}")
    workers = DemoOptions().workers
    with (
        stage(view, broker="embedded", workers=workers, log_dir=log_dir, environment=environment) as place,
        Producer(place.kafka) as producer,
    ):
        _send(producer, ((CATALOG, item_id, encode(item, CATALOG)) for item_id, item in catalogue))
        if catalogue:
            await_items(place.client, catalogue, timeout_s, view)
        states = []
        for time_through in ("once", "twice"):
            _send(producer, records)
            view.say(f"published {time_through}; waiting until everything is quiet")
            states.append(await_quiet(place, timeout_s))
        result = compare(*states)
    for line in result.lines():
        view.say(line)
    return result


def _excerpt(data: DataSet, limit: int, items: int | None, now_ms: int) -> tuple[list[tuple[str, CatalogItem]], list[Message]]:
    """Return items and encoded records, moved to end shortly before ``now_ms``."""
    chosen = list(islice(data.timeline(data.start_ms), limit))
    shift_ms = now_ms - _MARGIN_MS - max((record.at_ms for record in chosen), default=0)
    named = {item for record in chosen for item in _items_of(record)}
    every = list(data.items(data.start_ms))
    ours = [entry for entry in every if entry[0] in named]
    others = (entry for entry in every if entry[0] not in named)
    catalogue = every if items is None else ours + list(islice(others, max(items - len(ours), 0)))
    moved = [(item_id, msgspec.structs.replace(item, ts=item.ts + shift_ms)) for item_id, item in catalogue]
    records = [_moved(record, shift_ms) for record in chosen]
    return moved, [(r.topic, r.key, None if r.value is None else encode(r.value, r.topic)) for r in records]


def _moved(record: Record, shift_ms: int) -> Record:
    value = record.value
    if value is None:
        return record
    changes = {"ts": getattr(value, "ts") + shift_ms}  # noqa: B009 - every public payload has one
    if isinstance(value, Campaign):
        changes |= {"starts_at": value.starts_at + shift_ms, "ends_at": value.ends_at + shift_ms}
    return record._replace(at_ms=record.at_ms + shift_ms, value=msgspec.structs.replace(value, **changes))


def _items_of(record: Record) -> tuple[str, ...]:
    item_id = getattr(record.value, "item_id", None)
    lines = getattr(record.value, "lines", ())
    return (item_id,) if item_id else tuple(line.item_id for line in lines)


def _send(producer: _Sender, messages: Iterable[Message]) -> None:
    for topic, key, value in messages:
        producer.send(topic, key, value)
    producer.flush(120.0)


def await_quiet(place: Stage, timeout_s: float) -> Snapshot:
    """Return what stands in Redis once all topics are read to their ends and it has stood still for some looks.

    Raises LocalStackError when it does not come to rest.
    """
    deadline = time.monotonic() + timeout_s
    last, still = None, 0
    while time.monotonic() < deadline:
        place.check()
        now = snapshot(place.client)
        still = still + 1 if now == last else 0
        last = now
        if still >= _STILL and _read_to_the_end(place.kafka):
            return now
        time.sleep(_LOOK_EVERY_S)
    msg = f"the system did not come to rest within {timeout_s:.0f} s; replay fewer records or wait longer"
    raise LocalStackError(msg)


def _read_to_the_end(kafka: KafkaSettings) -> bool:
    return not any(sum(lag(kafka, f"{kafka.group_prefix}.{role}", topics).values()) for role, topics in GROUPS.items())
