"""Item facts as columns: one dense row per item, each fact applied only if it is newer than the one it replaces."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streamrec.catalogue.codes import CodeBook
from streamrec.catalogue.price_levels import PriceLevels
from streamrec.events import CatalogItem, Payload, Price, Stock
from streamrec.events.topics import CATALOG

#: A dedicated price or stock message outranks a catalogue message of the same ``ts``: their offsets belong to different
#: topics and cannot be compared.
_DEDICATED: Final = 1 << 62
_FIRST_CAPACITY: Final = 1024

_COLUMNS: Final[dict[str, tuple[type[np.generic], float]]] = {
    "available": (np.bool_, False),
    "listed": (np.bool_, False),
    "price": (np.float64, np.nan),
    "list_price": (np.float64, np.nan),
    "reduction": (np.float32, 0),
    "quantity": (np.int64, -1),
    "category": (np.int32, 0),
    "brand": (np.int32, 0),
    "seller": (np.int32, 0),
    "first_seen_ms": (np.int64, 0),
    "id_hash": (np.uint64, 0),
    "catalog_ts": (np.int64, -1),
    "catalog_order": (np.int64, -1),
    "removed_order": (np.int64, -1),
    "price_ts": (np.int64, -1),
    "price_order": (np.int64, -1),
    "stock_ts": (np.int64, -1),
    "stock_order": (np.int64, -1),
}


@dataclass(frozen=True, slots=True)
class ItemState:
    """Everything that an item table holds, by row: views of its columns (n,), and names."""

    columns: dict[str, NDArray[Any]]
    ids: list[str]
    titles: list[str]
    categories: list[str]
    brands: list[str]
    sellers: list[str]
    version: int
    shown_version: int
    refused: int


class Change:
    """What one fact changed; ``ItemTable.apply`` returns the sum, 0 where the fact was old or told nothing new."""

    BECAME_AVAILABLE: Final = 1
    BECAME_UNAVAILABLE: Final = 2
    PRICE: Final = 4
    #: Title, category, brand or seller, or that the item is listed at all.
    FACTS: Final = 8


class ItemTable:
    """The same facts in any order, with repeats, give the same columns.

    Rows are dense int32 numbers that are given once and never reused; every property below is a view of shape (n,).
    An item is available when the catalogue lists it and its quantity is not 0; an unknown quantity counts as available.
    At ``max_items`` rows new items are refused (row -1, counted in ``refused``) and known ones keep working.
    """

    def __init__(self, max_items: int = 2_000_000) -> None:
        self._max_items = max_items
        self._rows: dict[str, int] = {}
        self._ids: list[str] = []
        self._titles: list[str] = []
        self._columns: dict[str, NDArray[Any]] = {
            name: np.full(min(_FIRST_CAPACITY, max_items), empty, dtype) for name, (dtype, empty) in _COLUMNS.items()
        }
        self.categories = CodeBook(max_items)
        self.brands = CodeBook(max_items)
        self.sellers = CodeBook(max_items)
        #: How dear each item is within its category.
        self.price_levels = PriceLevels()
        #: Grows with every new row and every change of category, brand, seller or listing: what campaigns match on.
        self.version = 0
        #: Grows with every new row and every change of ``available`` or ``first_seen_ms``: what may be shown, and what is new.
        self.shown_version = 0
        #: Grow with every change of a price, and of a quantity.
        self.price_version = 0
        self.quantity_version = 0
        #: Grows with every new row and every change of ``first_seen_ms``.
        self.seen_version = 0
        #: Items that were not taken because the table is full.
        self.refused = 0

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._rows

    # -- rows --------------------------------------------------------------------------------------------------------

    def row(self, item_id: str) -> int:
        """Return the row of an item, giving it one if it is new; -1 when the table is full."""
        row = self._rows.get(item_id)
        if row is not None:
            return row
        row = len(self._ids)
        if row >= self._max_items:
            self.refused += 1
            return -1
        if row >= len(self._columns["available"]):
            self._grow()
        self._rows[item_id] = row
        self._ids.append(item_id)
        self._titles.append("")
        self._columns["id_hash"][row] = id_hash(item_id)
        self.version += 1
        self.shown_version += 1
        self.seen_version += 1
        return row

    def find(self, item_id: str) -> int:
        """Return the row of an item, or -1 when nothing is known of it."""
        return self._rows.get(item_id, -1)

    def find_all(self, item_ids: list[str] | tuple[str, ...]) -> NDArray[np.int32]:
        """Return the rows of many items, int32, -1 for each that is unknown."""
        return np.fromiter(map(self._rows.get, item_ids, repeat(-1)), np.int32, len(item_ids))

    def id(self, row: int) -> str:
        """Return the id of the item at ``row``."""
        return self._ids[row]

    def ids(self, rows: NDArray[np.integer[Any]]) -> list[str]:
        """Return the ids of many rows, in their order."""
        ids = self._ids
        return [ids[row] for row in rows.tolist()]

    def title(self, row: int) -> str:
        """Return the item's title, empty while the catalogue has not named it."""
        return self._titles[row]

    def _grow(self) -> None:
        capacity = min(self._max_items, 2 * len(self._columns["available"]))
        for name, (dtype, empty) in _COLUMNS.items():
            column = np.full(capacity, empty, dtype)
            column[: len(self._columns[name])] = self._columns[name]
            self._columns[name] = column

    # -- columns -----------------------------------------------------------------------------------------------------

    @property
    def available(self) -> NDArray[np.bool_]:
        """Whether the item may be shown: listed and not sold out."""
        return self._columns["available"][: len(self._ids)]

    @property
    def listed(self) -> NDArray[np.bool_]:
        """Whether the catalogue has the item now."""
        return self._columns["listed"][: len(self._ids)]

    @property
    def removed(self) -> NDArray[np.bool_]:
        """Whether the catalogue took the item out; an item that it never had was not removed."""
        n = len(self._ids)
        removed: NDArray[np.bool_] = (self._columns["removed_order"][:n] >= 0) & ~self._columns["listed"][:n]
        return removed

    @property
    def price(self) -> NDArray[np.float64]:
        """The price, nan where unknown."""
        return self._columns["price"][: len(self._ids)]

    @property
    def list_price(self) -> NDArray[np.float64]:
        """The price before reduction, nan where unknown."""
        return self._columns["list_price"][: len(self._ids)]

    @property
    def reduction(self) -> NDArray[np.float32]:
        """The share by which the price is below the list price, in [0, 1]; 0 where either is unknown."""
        return self._columns["reduction"][: len(self._ids)]

    @property
    def quantity(self) -> NDArray[np.int64]:
        """How many are left, -1 where unknown."""
        return self._columns["quantity"][: len(self._ids)]

    @property
    def category(self) -> NDArray[np.int32]:
        """Code in ``categories``, 0 where the item has none."""
        return self._columns["category"][: len(self._ids)]

    @property
    def brand(self) -> NDArray[np.int32]:
        """Code in ``brands``, 0 where the item has none."""
        return self._columns["brand"][: len(self._ids)]

    @property
    def seller(self) -> NDArray[np.int32]:
        """Code in ``sellers``, 0 where the item has none."""
        return self._columns["seller"][: len(self._ids)]

    @property
    def first_seen_ms(self) -> NDArray[np.int64]:
        """Event time of the earliest catalogue message seen of the item, 0 before there is one."""
        return self._columns["first_seen_ms"][: len(self._ids)]

    @property
    def id_hash(self) -> NDArray[np.uint64]:
        """A hash of the id: breaks ties the same way in every process, which row numbers do not."""
        return self._columns["id_hash"][: len(self._ids)]

    # -- the whole ---------------------------------------------------------------------------------------------------

    def state(self) -> ItemState:
        """Return everything, without copying it: it is the table's until the next fact."""
        n = len(self._ids)
        return ItemState(
            {name: column[:n] for name, column in self._columns.items()},
            self._ids,
            self._titles,
            self.categories.names(),
            self.brands.names(),
            self.sellers.names(),
            self.version,
            self.shown_version,
            self.refused,
        )

    def restore(self, state: ItemState) -> None:
        """Become what ``state`` was of; only an empty table can.

        Raises ValueError where columns, names and rows do not belong together, or more than ``max_items`` would be held.
        """
        n = len(state.ids)
        shapes = {name: (column.dtype, column.shape) for name, column in state.columns.items()}
        fits = shapes == {name: (np.dtype(dtype), (n,)) for name, (dtype, _) in _COLUMNS.items()} and len(state.titles) == n
        if len(self._ids) or not fits or n > self._max_items:
            msg = f"{n} items do not fit an item table of {len(self._ids)} out of {self._max_items}; read the topics instead"
            raise ValueError(msg)
        self._ids, self._titles = state.ids, state.titles
        self._rows = dict(zip(state.ids, range(n), strict=True))
        # Some room to grow: the first new item would copy everything.
        capacity = min(max(n + n // 8, _FIRST_CAPACITY), self._max_items)
        for name, (dtype, empty) in _COLUMNS.items():
            column = self._columns[name] = np.full(capacity, empty, dtype)
            column[:n] = state.columns[name]
        for book, names in ((self.categories, state.categories), (self.brands, state.brands), (self.sellers, state.sellers)):
            book.restore(names)
        self.price_levels.restore(self._columns["category"][:n], self._columns["price"][:n])
        self.version, self.shown_version, self.refused = state.version, state.shown_version, state.refused

    # -- facts -------------------------------------------------------------------------------------------------------

    def apply(self, topic: str, item_id: str, payload: Payload | None, order: int) -> int:
        """Take one catalogue, price or stock message and return the ``Change`` flags of its effect.

        ``order`` is the message's offset. A fact applies if its ``ts``, then its order, is later than what stands. A null on
        the catalogue has no ts: it removes the item as it was listed up to that offset.
        """
        row = self.row(item_id)
        if row < 0:
            return 0
        columns = self._columns
        was_available = columns["available"].item(row)
        changes = self._take(topic, row, payload, order)
        available = columns["listed"].item(row) and columns["quantity"].item(row) != 0
        if available != was_available:
            columns["available"][row] = available
            self.shown_version += 1
            changes |= Change.BECAME_AVAILABLE if available else Change.BECAME_UNAVAILABLE
        return changes

    def _take(self, topic: str, row: int, payload: Payload | None, order: int) -> int:
        if isinstance(payload, Stock):
            self._take_quantity(row, payload.quantity, payload.ts, order | _DEDICATED)
        elif isinstance(payload, Price):
            return self._take_price(row, payload.price, payload.list_price, payload.ts, order | _DEDICATED)
        elif isinstance(payload, CatalogItem):
            return self._take_catalogue(row, payload, order)
        elif payload is None and topic == CATALOG:
            columns = self._columns
            columns["removed_order"][row] = max(columns["removed_order"][row], order)
            return self._list_or_not(row)
        return 0

    def _newer(self, group: str, row: int, ts: int, order: int) -> bool:
        times, orders = self._columns[f"{group}_ts"], self._columns[f"{group}_order"]
        if (ts, order) <= (times.item(row), orders.item(row)):
            return False
        times[row], orders[row] = ts, order
        return True

    def _take_quantity(self, row: int, quantity: int, ts: int, order: int) -> None:
        if self._newer("stock", row, ts, order):
            self.quantity_version += bool(self._columns["quantity"][row] != quantity)
            self._columns["quantity"][row] = quantity

    def _take_price(self, row: int, price: float, list_price: float | None, ts: int, order: int) -> int:
        if not self._newer("price", row, ts, order):
            return 0
        new = (price, math.nan if list_price is None else list_price)
        prices, list_prices = self._columns["price"], self._columns["list_price"]
        # As Python's numbers: comparing two pairs by numpy took two thirds of the time of a price.
        old = (prices.item(row), list_prices.item(row))
        prices[row], list_prices[row] = new
        self._columns["reduction"][row] = reduction(price, list_price)
        if all(map(_same_price, old, new)):
            return 0
        self.price_levels.put(row, self._columns["category"].item(row), price)
        self.price_version += 1
        return Change.PRICE

    def _take_catalogue(self, row: int, item: CatalogItem, order: int) -> int:
        changes = 0
        if item.quantity is not None:
            self._take_quantity(row, item.quantity, item.ts, order)
        if item.price is not None:
            changes |= self._take_price(row, item.price, None, item.ts, order)
        first_seen = self._columns["first_seen_ms"]
        if item.ts < (first_seen.item(row) or math.inf):
            first_seen[row] = item.ts
            self.shown_version += 1
            self.seen_version += 1
        if self._newer("catalog", row, item.ts, order):
            changes |= self._describe(row, item)
        return changes | self._list_or_not(row)

    def _describe(self, row: int, item: CatalogItem) -> int:
        columns = self._columns
        new = (self.categories.code(item.category), self.brands.code(item.brand), self.sellers.code(item.seller))
        old = (columns["category"].item(row), columns["brand"].item(row), columns["seller"].item(row))
        same = new == old and self._titles[row] == item.title
        if new != old:
            columns["category"][row], columns["brand"][row], columns["seller"][row] = new
            self.price_levels.put(row, new[0], columns["price"].item(row))
            self.version += 1
        self._titles[row] = item.title
        return 0 if same else Change.FACTS

    def _list_or_not(self, row: int) -> int:
        columns = self._columns
        listed = columns["catalog_order"].item(row) > columns["removed_order"].item(row)
        if listed == columns["listed"].item(row):
            return 0
        columns["listed"][row] = listed
        self.version += 1
        return Change.FACTS


def _same_price(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


def reduction(price: float, list_price: float | None) -> float:
    """Return the share by which a price is below the list price, in [0, 1].

    >>> reduction(7.5, 10.0), reduction(10.0, None), reduction(12.0, 10.0)
    (0.25, 0.0, 0.0)
    """
    return min(max(1 - price / list_price, 0.0), 1.0) if list_price else 0.0


def id_hash(item_id: str) -> int:
    """Return the first 64 bits of BLAKE2b of an id; the same in every process."""
    return int.from_bytes(hashlib.blake2b(item_id.encode(), digest_size=8).digest(), "big")
