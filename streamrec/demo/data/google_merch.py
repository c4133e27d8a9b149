"""Google Merchandise Store: a year of Google Analytics hits on products, from ``all_sessions.csv.gz``.

Visitor ids were damaged by a spreadsheet, so a visit is a visitor here, and most visits hold one hit.
"""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

from streamrec.demo.data.port import Record
from streamrec.errors import DataError
from streamrec.events import Cart, CatalogItem, Click, Event, Order, OrderLine, Price
from streamrec.events.topics import CARTS, CATALOG, CLICKS, ORDERS, PRICE

FILE: Final = "all_sessions.csv.gz"
#: The columns that are read.
COLUMNS: Final = (
    "fullVisitorId",
    "visitId",
    "time",
    "productSKU",
    "v2ProductName",
    "v2ProductCategory",
    "productPrice",
    "eCommerceAction_type",
)
_DAY_MS: Final = 86_400_000
_MICROS: Final = 1_000_000
#: Codes of ``eCommerceAction_type``; all others are looks at a product.
_ADD, _REMOVE, _CHECKOUT, _PURCHASE = "3", "4", "5", "6"


class _Hit(NamedTuple):
    at_ms: int
    visit: str
    item_id: str
    title: str
    category: str
    price: float
    action: str


@dataclass
class _Seen:
    """What is known of an item while the hits go by, so that only changes are told, at most one a day and kind."""

    title: str
    category: str
    title_day: int
    price: float
    price_day: int


class GoogleMerch:
    """The data set in the file ``path`` (``all_sessions.csv.gz``); each visit is a visitor."""

    name = "google_merch"
    description = (
        "Google Merchandise Store (Google Analytics sample): hits on 536 products, 2016-08 to 2017-08. "
        "Nearly all are looks at a product; nine visits in ten hold one hit, so popularity and the catalogue carry the lists."
    )
    start_ms: int | None = None

    def __init__(self, path: Path) -> None:
        self._path = path

    def items(self, at_ms: int | None = None) -> Iterator[tuple[str, CatalogItem]]:
        """Yield the items that were met before ``at_ms``, as they were then; later ones come with the timeline."""
        newest: dict[str, CatalogItem] = {}
        for record in self._facts(0):
            if record.at_ms >= (at_ms or 0):
                break
            if isinstance(record.value, CatalogItem):
                newest[record.key] = record.value
        yield from newest.items()

    def timeline(self, from_ms: int | None = None) -> Iterator[Record]:
        """Yield catalogue updates, prices and what visitors did from ``from_ms`` on, in event-time order."""
        from_ms = from_ms or 0
        facts = self._facts(from_ms)
        waiting = next(facts, None)
        for number, hit in enumerate(self._hits[0]):
            while waiting is not None and waiting.at_ms <= hit.at_ms:
                yield waiting
                waiting = next(facts, None)
            if hit.at_ms >= from_ms:
                topic, event = _event(hit, f"hit-{number}")
                yield Record(hit.at_ms, topic, hit.visit, event)

    def notes(self) -> list[str]:
        """Return what was dropped."""
        hits, dropped = self._hits
        counts = ", ".join(f"{count:,} {why}" for why, count in sorted(dropped.items()))
        return [f"kept {len(hits):,} hits; dropped: {counts or 'nothing'}; a visit is a visitor"]

    @cached_property
    def _hits(self) -> tuple[list[_Hit], Counter[str]]:
        dropped: Counter[str] = Counter()
        hits = []
        try:
            with gzip.open(self._path, "rt", encoding="utf-8", newline="") as file:
                for number, fields in enumerate(csv.DictReader(file), 2):
                    if fields.get("eCommerceAction_type") == _CHECKOUT:
                        dropped["hits of a checkout, which tell nothing that the cart did not"] += 1
                    else:
                        hits.append(self._hit(number, fields))
        except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
            msg = f"{self._path}: {error}; give the folder that holds a whole {FILE}"
            raise DataError(msg) from error
        if not hits:
            msg = f"{self._path}: no hit; it should have the columns {', '.join(COLUMNS)}"
            raise DataError(msg)
        return sorted(hits, key=lambda hit: hit.at_ms), dropped

    def _hit(self, number: int, fields: dict[str, str]) -> _Hit:
        try:
            visitor, visit, time, item_id, title, category, price, action = (fields[name].strip() for name in COLUMNS)
            at_ms = int(visit) * 1000 + int(time)
            # Templates that were never filled in stand where a hit had no category.
            category = "" if category.startswith(("(", "$")) else category.strip("/").removeprefix("Home/")
            return _Hit(at_ms, f"visit-{visit}-{visitor}", item_id, title, category, float(price or 0) / _MICROS, action)
        except (KeyError, ValueError, AttributeError) as error:
            msg = f"{self._path}, line {number}: {error!r}; it should have the columns {', '.join(COLUMNS)}"
            raise DataError(msg) from error

    def _facts(self, from_ms: int) -> Iterator[Record]:
        seen: dict[str, _Seen] = {}
        for hit in self._hits[0]:
            day, known = hit.at_ms // _DAY_MS, seen.get(hit.item_id)
            if known is None:
                known = seen[hit.item_id] = _Seen("", "", -1, hit.price, day)
            if (known.title != hit.title or (hit.category and not known.category)) and known.title_day != day:
                known.title, known.category, known.title_day = hit.title, known.category or hit.category, day
                if hit.at_ms >= from_ms:
                    price = known.price or None
                    item = CatalogItem(title=hit.title, category=known.category, price=price, currency="USD", ts=hit.at_ms)
                    yield Record(hit.at_ms, CATALOG, hit.item_id, item)
            if hit.price not in {0, known.price} and known.price_day != day:
                known.price, known.price_day = hit.price, day
                if hit.at_ms >= from_ms:
                    yield Record(hit.at_ms, PRICE, hit.item_id, Price(price=hit.price, ts=hit.at_ms))


def _event(hit: _Hit, event_id: str) -> tuple[str, Event]:
    if hit.action in {_ADD, _REMOVE}:
        op = "add" if hit.action == _ADD else "remove"
        return CARTS, Cart(item_id=hit.item_id, op=op, ts=hit.at_ms, event_id=event_id)  # type: ignore[arg-type]
    if hit.action == _PURCHASE:
        return ORDERS, Order(lines=(OrderLine(item_id=hit.item_id),), ts=hit.at_ms, event_id=event_id)
    return CLICKS, Click(item_id=hit.item_id, ts=hit.at_ms, event_id=event_id)
