"""Any shop's data as two text files of one JSON object per line, ``.gz`` or not.

``catalogue.jsonl``: ``{"item_id": "a1", "title": "Red mug", "category": "mugs", "ts": 1767225600000, …}``, the fields of
items.catalog and the id; a missing ``ts`` is that of the first event.
``events.jsonl``: ``{"topic": "events.clicks", "key": "visitor 1", "value": {"item_id": "a1", "ts": 1767225600000}}``; a null
value is a tombstone. The lines are published in the order of the file.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import msgspec

from streamrec.demo.data.port import Record
from streamrec.errors import DataError, InvalidMessage
from streamrec.events import TOPICS, CatalogItem, decode
from streamrec.events.topics import CATALOG

#: Recorded data may come from any year: the present is no bound for them.
_ANY_TIME: Final = 32_503_680_000_000
PUBLIC_TOPICS: Final = tuple(name for name, topic in TOPICS.items() if not topic.internal)


class JsonLines:
    """The data set of ``catalogue`` and ``events``, of which one may be missing."""

    start_ms: int | None = None

    def __init__(self, catalogue: Path | None, events: Path | None) -> None:
        self._catalogue, self._events = catalogue, events
        self.name = next(path.parent.name if catalogue else path.name for path in (catalogue, events) if path) or "jsonl"
        parts = [f"{path.name}" for path in (catalogue, events) if path]
        self.description = f"{' and '.join(parts)} of {self.name}, as they stand, in the order of the lines."

    def items(self, at_ms: int | None = None) -> Iterator[tuple[str, CatalogItem]]:
        """Yield the items of catalogue.jsonl; ``at_ms`` has no effect, the file is the catalogue at the start."""
        if self._catalogue is None:
            return
        default_ts: int | None = None
        for number, fields in _lines(self._catalogue):
            item_id = fields.pop("item_id", None)
            if not isinstance(item_id, str):
                raise _bad(self._catalogue, number, "item_id: missing or no string")
            if "ts" not in fields:
                default_ts = default_ts if default_ts is not None else (at_ms or self._first_ms())
                fields["ts"] = default_ts
            value = _valid(self._catalogue, number, CATALOG, item_id, fields)
            assert isinstance(value, CatalogItem)
            yield item_id, value

    def timeline(self, from_ms: int | None = None) -> Iterator[Record]:
        """Yield the lines of events.jsonl from ``from_ms`` on, in the order of the file."""
        if self._events is None:
            return
        at_ms = 0
        for number, line in _lines(self._events):
            topic, key = line.get("topic"), line.get("key")
            if topic not in PUBLIC_TOPICS:
                raise _bad(self._events, number, f"topic: {topic!r} is not one of {', '.join(PUBLIC_TOPICS)}")
            if not isinstance(key, str) or "value" not in line:
                raise _bad(self._events, number, "key or value is missing")
            value = _valid(self._events, number, topic, key, line["value"])
            at_ms = getattr(value, "ts", at_ms)  # a tombstone happens when its predecessor did
            if at_ms >= (from_ms or 0):
                yield Record(at_ms, topic, key, value)

    def notes(self) -> list[str]:
        """Return nothing: every line is published, and one that is not valid stops the reading."""
        return []

    def _first_ms(self) -> int:
        first = next(iter(self.timeline()), None)
        return first.at_ms if first is not None and first.at_ms else 946_684_800_000


def find(folder: Path, stem: str) -> Path | None:
    """Return ``stem.jsonl`` or ``stem.jsonl.gz`` of the folder, or None."""
    return next((path for path in (folder / f"{stem}.jsonl", folder / f"{stem}.jsonl.gz") if path.is_file()), None)


def _open(path: Path) -> BinaryIO:
    return cast("BinaryIO", gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        with _open(path) as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    try:
                        yield number, msgspec.json.decode(line, type=dict[str, Any])
                    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                        raise _bad(path, number, str(error)) from error
    except (OSError, EOFError) as error:
        msg = f"{path}: {error}; give a readable .jsonl or .jsonl.gz file"
        raise DataError(msg) from error


def _valid(path: Path, number: int, topic: str, key: str, value: object) -> Any:
    try:
        raw = None if value is None else msgspec.json.encode(value)
        return decode(topic, key.encode(), raw, _ANY_TIME).value
    except InvalidMessage as error:
        raise _bad(path, number, error.reason) from error


def _bad(path: Path, number: int, problem: str) -> DataError:
    return DataError(f"{path}, line {number}: {problem}; correct the line or take it out")
