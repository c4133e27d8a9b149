"""YOOCHOOSE (RecSys Challenge 2015), a 100,000-click cut: real clicks of a European shop, from ``clicks.csv.gz``. No text."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Final

from streamrec.demo.data.port import Record
from streamrec.errors import DataError
from streamrec.events import CatalogItem, Click
from streamrec.events.topics import CLICKS

COLUMNS: Final = ["time", "session_id", "item_id", "split"]


class Yoochoose:
    """The data set in the file ``path`` (``clicks.csv.gz``); each session is a visitor."""

    name = "yoochoose100k"
    description = (
        "YOOCHOOSE clicks (RecSys Challenge 2015, a 100,000-click cut): 2,933 items, 21,210 sessions. "
        "Clicks only; items have no text but their ids, so content says nothing here and co-visitation carries the lists."
    )
    start_ms: int | None = None

    def __init__(self, path: Path) -> None:
        self._path = path

    def items(self, at_ms: int | None = None) -> Iterator[tuple[str, CatalogItem]]:
        """Yield every item that is ever clicked; its title is its id."""
        ts = at_ms or int(self._clicks[0][0])
        for item_id in dict.fromkeys(item_id for _, _, item_id in self._clicks):
            yield item_id, CatalogItem(title=f"item {item_id}", ts=ts)

    def timeline(self, from_ms: int | None = None) -> Iterator[Record]:
        """Yield the clicks from ``from_ms`` on, in event-time order."""
        for number, (at_ms, session, item_id) in enumerate(self._clicks):
            if at_ms >= (from_ms or 0):
                yield Record(at_ms, CLICKS, f"session-{session}", Click(item_id=item_id, ts=at_ms, event_id=f"click-{number}"))

    def notes(self) -> list[str]:
        """Return what the data lack; nothing is dropped."""
        return [f"kept all {len(self._clicks):,} clicks; no text, no carts, no orders, no prices: a session is a visitor"]

    @cached_property
    def _clicks(self) -> list[tuple[int, str, str]]:
        try:
            with gzip.open(self._path, "rt", encoding="utf-8", newline="") as file:
                rows = [(round(float(row["time"]) * 1000), row["session_id"], row["item_id"]) for row in csv.DictReader(file)]
        except (OSError, EOFError, UnicodeDecodeError, KeyError, ValueError, TypeError) as error:
            msg = f"{self._path}: {error!r}; it should have the columns {', '.join(COLUMNS)}"
            raise DataError(msg) from error
        if not rows:
            msg = f"{self._path}: no click; it should have the columns {', '.join(COLUMNS)}"
            raise DataError(msg)
        return sorted(rows, key=lambda row: row[0])
