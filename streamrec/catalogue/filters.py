"""Rules at retrieval: what an item must be to be searched for, and which rows are so now."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from streamrec.catalogue.codes import CodeBook
from streamrec.catalogue.table import ItemTable

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which items may be found: those that may be shown and fulfil every rule; an empty rule is fulfilled by all.

    Of several categories, brands or sellers an item must have one. A price band holds its ends; an item whose price is unknown is
    in none. ``quantity_min`` is how many must be left: an unknown quantity is enough for 1, and for no more.
    """

    categories: frozenset[str] = frozenset()
    brands: frozenset[str] = frozenset()
    sellers: frozenset[str] = frozenset()
    price_min: float | None = None
    price_max: float | None = None
    quantity_min: int = 1
    #: Item ids that must not be found.
    exclude: frozenset[str] = frozenset()

    @classmethod
    def of_search(cls, told: Mapping[str, str]) -> Self:
        """Return the filter of a search event: ``FILTER_NAMES`` it knows; other names, and numbers that are none, say nothing."""
        return cls(
            categories=_named(told, "category"),
            brands=_named(told, "brand"),
            sellers=_named(told, "seller"),
            price_min=money(told.get("price_min", "")),
            price_max=money(told.get("price_max", "")),
        )


#: Whatever may be shown.
ANY: Final = Filter()


def money(text: str) -> float | None:
    """Return a price that is finite and not negative, None for any other text.

    >>> money("9.90"), money("1e400"), money("-1"), money("cheap")
    (9.9, None, None, None)
    """
    try:
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) and value >= 0 else None


def _named(told: Mapping[str, str], name: str) -> frozenset[str]:
    return frozenset({told[name]}) if told.get(name) else frozenset()


#: A mask takes a byte per item: 32 MB of a million.
_MAX_MASKS: Final = 32
#: Comparing a million rows takes 0.15 ms per name, np.isin 7 ms for any number of them (measured).
_FEW_NAMES: Final = 50


class Masks:
    """The masks of filters over the item table's rows; of what is asked again only what changed since is computed again.

    At most ``max_masks`` are kept, those of whole filters and of their parts; past it the one asked for longest ago goes. What is
    kept never shows in an answer, only in its speed.
    """

    def __init__(self, items: ItemTable, max_masks: int = _MAX_MASKS) -> None:
        self._items = items
        self._max = max_masks
        self._kept: OrderedDict[Hashable, tuple[Hashable, Mask]] = OrderedDict()

    @property
    def version(self) -> tuple[int, int, int, int]:
        """What differs whenever any filter's mask may."""
        items = self._items
        return items.version, items.shown_version, items.price_version, items.quantity_version

    def get(self, wanted: Filter) -> Mask:
        """Return who passes the filter now, (len(items),) bool, read-only: it is shared."""
        return self._keep(wanted, self.version, lambda: self._combined(wanted))

    def _combined(self, wanted: Filter) -> Mask:
        items, n = self._items, len(self._items)
        mask = self._stock(wanted.quantity_min).copy()
        for column, book, names in (
            (items.category, items.categories, wanted.categories),
            (items.brand, items.brands, wanted.brands),
            (items.seller, items.sellers, wanted.sellers),
        ):
            if names:
                mask &= self._keep((id(book), names), items.version, lambda c=column, b=book, w=names: _matches(c, b, w))  # type: ignore[misc]
        if wanted.price_min is not None or wanted.price_max is not None:
            band = wanted.price_min, wanted.price_max
            mask &= self._keep(("price", *band), (n, items.price_version), lambda: _within(items.price, *band))
        excluded = items.find_all(tuple(wanted.exclude))
        mask[excluded[excluded >= 0]] = False
        return mask

    def _stock(self, quantity_min: int) -> Mask:
        items = self._items
        if quantity_min <= 1:
            return items.available
        state = items.shown_version, items.quantity_version
        return self._keep(("quantity", quantity_min), state, lambda: items.available & (items.quantity >= quantity_min))

    def _keep(self, key: Hashable, state: Hashable, make: Callable[[], Mask]) -> Mask:
        kept = self._kept.get(key)
        if kept is None or kept[0] != state:
            kept = self._kept[key] = (state, make())
            kept[1].flags.writeable = False
        self._kept.move_to_end(key)
        while len(self._kept) > self._max:
            self._kept.popitem(last=False)
        return kept[1]


def _matches(column: NDArray[np.int32], book: CodeBook, names: frozenset[str]) -> Mask:
    """Return who has one of the names; nobody has a name that no item ever had."""
    codes = [code for code in map(book.find, sorted(names)) if code >= 0]
    if len(codes) > _FEW_NAMES:
        return np.isin(column, codes)
    matching = np.zeros(len(column), np.bool_)
    for code in codes:
        matching |= column == code
    return matching


def _within(price: NDArray[np.float64], low: float | None, high: float | None) -> Mask:
    # nan, an unknown price, is in no band.
    return (price >= (0.0 if low is None else low)) & (price <= (np.inf if high is None else high))
