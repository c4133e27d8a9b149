"""Toy streams whose right answers can be told by hand."""

from __future__ import annotations

from collections.abc import Sequence

from streamrec.demo.data.port import Record
from streamrec.embedding import HashingEncoder
from streamrec.evaluate.streams import Step, Stream, as_steps
from streamrec.evaluate.texts import StreamTexts
from streamrec.events import CatalogItem, Click
from streamrec.events.topics import CATALOG, CLICKS

T0 = 1_700_000_000_000
MINUTE_MS = 60_000
DAY_MS = 86_400_000


def click(visitor: str, item_id: str, at_ms: int) -> Record:
    return Record(at_ms, CLICKS, visitor, Click(item_id=item_id, ts=at_ms))


def item(item_id: str, title: str, at_ms: int = T0) -> Record:
    return Record(at_ms, CATALOG, item_id, CatalogItem(title=title, ts=at_ms))


def stream(records: Sequence[Record], *, has_text: bool = False) -> Stream:
    ordered = sorted(records, key=lambda record: record.at_ms)
    return Stream("toy", "a toy", list(as_steps(ordered)), has_text)


def visits(*sessions: str, gap_ms: int = 10 * MINUTE_MS, prefix: str = "visitor") -> Stream:
    """Each string is one visitor's session, each letter a click a second after the last; sessions follow each other."""
    records = [item(name, f"thing {name}") for name in sorted(set("".join(sessions)))]
    for number, letters in enumerate(sessions):
        begin = T0 + 1 + number * gap_ms
        records += [click(f"{prefix}-{number}", letter, begin + 1000 * place) for place, letter in enumerate(letters)]
    return stream(records)


def texts(toy: Stream) -> StreamTexts:
    return StreamTexts(HashingEncoder(64), toy)


def steps_of(visitor: str, letters: str, at_ms: int, session: int = 10_000) -> list[Step]:
    """The clicks of one more session, one second apart."""
    return [Step(click(visitor, letter, at_ms + 1000 * n), (letter,), session) for n, letter in enumerate(letters)]
