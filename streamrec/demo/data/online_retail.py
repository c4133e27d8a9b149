"""Online Retail (UCI 352): a British gift shop's invoices, as dirty as they came, from ``events.csv.gz``.

Descriptions change over time: each change is a catalogue update, and an item that was not sold before is a new item.
"""

from __future__ import annotations

import csv
import gzip
import heapq
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

from streamrec.demo.data.baskets import Basket, Line, merged, visits
from streamrec.demo.data.port import Record
from streamrec.errors import DataError
from streamrec.events import CatalogItem, Price
from streamrec.events.topics import CATALOG, PRICE

COLUMNS: Final = ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"]
#: 2011-06-01: half a year of items is known, and new ones keep coming.
START_MS: Final = 1_306_886_400_000
_DAY_MS: Final = 86_400_000
#: Products have five digits and at most a few letters; POST, DOT, M, BANK CHARGES, gift vouchers … are not products.
_PRODUCT: Final = re.compile(r"^\d{5}[A-Z]{0,3}$")


class _Row(NamedTuple):
    at_ms: int
    invoice: str
    item_id: str
    title: str
    quantity: int
    price: float
    customer: str


@dataclass
class _Seen:
    """What is known of an item while the rows go by, so that only changes are told, at most one a day and kind."""

    title: str
    title_day: int
    price: float
    price_day: int


class OnlineRetail:
    """The data set in the file ``path`` (``events.csv.gz``)."""

    name = "online_retail"
    description = (
        "Online Retail (UCI 352): invoices of a British gift shop, 2010-12 to 2011-12. "
        "Purchases only: each line is replayed as one click and one cart addition, each invoice as one order."
    )

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def start_ms(self) -> int | None:
        """Return a moment half a year in, or None where the file does not reach it."""
        rows, _ = self._rows
        return START_MS if rows[0].at_ms < START_MS < rows[-1].at_ms else None

    def items(self, at_ms: int | None = None) -> Iterator[tuple[str, CatalogItem]]:
        """Yield the items that were sold before ``at_ms``, as they were then; later ones come with the timeline."""
        if at_ms is None:
            return
        newest: dict[str, CatalogItem] = {}
        for record in self._facts(0):
            if record.at_ms >= at_ms:
                break
            value = record.value
            if isinstance(value, CatalogItem):
                newest[record.key] = value
            elif isinstance(value, Price):
                newest[record.key] = _repriced(newest[record.key], value)
        yield from newest.items()

    def timeline(self, from_ms: int | None = None) -> Iterator[Record]:
        """Yield catalogue updates, prices and visits from ``from_ms`` on, in event-time order."""
        from_ms = from_ms or 0
        merged_streams = heapq.merge(self._facts(from_ms), visits(self._baskets(from_ms)), key=lambda record: record.at_ms)
        return (record for record in merged_streams if record.at_ms >= from_ms)

    def notes(self) -> list[str]:
        """Return what was dropped and made up."""
        rows, dropped = self._rows
        counts = ", ".join(f"{count:,} {why}" for why, count in sorted(dropped.items()))
        return [
            "purchases only: clicks and cart additions are made from the invoice lines, spread over the minutes before the invoice",
            f"kept {len(rows):,} lines; dropped: {counts or 'nothing'}",
            "lines without a customer tell prices and descriptions, but are no visit",
            "a price or description changes at most once a day; what changes back and forth within a day is left out",
        ]

    @cached_property
    def _rows(self) -> tuple[list[_Row], Counter[str]]:
        dropped: Counter[str] = Counter()
        rows = []
        try:
            with gzip.open(self._path, "rt", encoding="utf-8", newline="") as file:
                for number, fields in enumerate(csv.DictReader(file), 2):
                    row = self._row(number, fields, dropped)
                    if row is not None:
                        rows.append(row)
        except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
            msg = f"{self._path}: {error}; give the folder that holds a whole events.csv.gz"
            raise DataError(msg) from error
        if not rows:
            msg = f"{self._path}: no usable line; it should have the columns {', '.join(COLUMNS)}"
            raise DataError(msg)
        return rows, dropped

    def _row(self, number: int, fields: dict[str, str], dropped: Counter[str]) -> _Row | None:
        try:
            item_id, quantity, price = fields["StockCode"].strip().upper(), int(fields["Quantity"]), float(fields["UnitPrice"])
            at_ms = int(datetime.fromisoformat(fields["InvoiceDate"]).replace(tzinfo=UTC).timestamp() * 1000)
            invoice, title, customer = fields["InvoiceNo"], fields["Description"].strip(), fields["CustomerID"].strip()
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            msg = f"{self._path}, line {number}: {error!r}; it should have the columns {', '.join(COLUMNS)}"
            raise DataError(msg) from error
        reason = _refusal(invoice, item_id, title, quantity, price)
        if reason:
            dropped[reason] += 1
            return None
        if not customer:
            dropped["visits' lines without a customer"] += 1
        return _Row(at_ms, invoice, item_id, " ".join(title.split()), quantity, price, customer)

    def _facts(self, from_ms: int) -> Iterator[Record]:
        seen: dict[str, _Seen] = {}
        for row in self._rows[0]:
            day, known = row.at_ms // _DAY_MS, seen.get(row.item_id)
            if known is None:
                known = seen[row.item_id] = _Seen("", -1, row.price, day)
            if known.title != row.title and known.title_day != day:
                known.title, known.title_day = row.title, day
                if row.at_ms >= from_ms:
                    item = CatalogItem(title=row.title, price=known.price, currency="GBP", ts=row.at_ms)
                    yield Record(row.at_ms, CATALOG, row.item_id, item)
            if known.price != row.price and known.price_day != day:
                known.price, known.price_day = row.price, day
                if row.at_ms >= from_ms:
                    yield Record(row.at_ms, PRICE, row.item_id, Price(price=row.price, ts=row.at_ms))

    def _baskets(self, from_ms: int) -> Iterator[Basket]:
        open_rows: list[_Row] = []
        for row in self._rows[0]:
            if not row.customer or row.at_ms < from_ms:
                continue
            if open_rows and open_rows[0].invoice != row.invoice:
                yield _basket(open_rows)
                open_rows = []
            open_rows.append(row)
        if open_rows:
            yield _basket(open_rows)


def _refusal(invoice: str, item_id: str, title: str, quantity: int, price: float) -> str:
    """Return why a line is no sale of a product, or the empty string."""
    if invoice.startswith("C"):
        return "cancellations"
    if not _PRODUCT.match(item_id):
        return "lines with non-product codes"
    if quantity <= 0:
        return "lines without quantity"
    if price <= 0:
        return "lines without price"
    return "" if title else "lines without description"


def _basket(rows: list[_Row]) -> Basket:
    lines = merged(Line(row.item_id, row.quantity, row.price) for row in rows)
    return Basket(rows[0].at_ms, f"customer-{rows[0].customer}", rows[0].invoice, lines)


def _repriced(item: CatalogItem, price: Price) -> CatalogItem:
    return CatalogItem(title=item.title, price=price.price, currency=item.currency, ts=price.ts)
