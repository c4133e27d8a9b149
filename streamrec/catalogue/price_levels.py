"""How dear an item is among those of its category: where the logarithm of its price lies in what they cost."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

#: Logarithms are whole numbers of this part, so that their sums are exact: the order of facts must not be seen in the last bit.
_SCALE: Final = 1024
_NONE: Final = np.iinfo(np.int32).min
#: Of fewer priced items, or where prices differ by less than some 10 %, a category says nothing of who is willing to pay what.
_FEWEST: Final = 3
_LEAST_SPREAD: Final = 0.1
#: Beyond so many standard deviations an item is as dear as at them.
_FARTHEST: Final = 2.5
_FIRST_CAPACITY: Final = 1024


class PriceLevels:
    """Keeps count, sum and sum of squares of the logarithms of prices per category; a change of a price costs the same in any shop.

    Items without a category are one category. 8 bytes per row and 24 per category.
    """

    def __init__(self) -> None:
        #: The scaled logarithm and the category of each row, as they stand in the sums.
        self._logs = np.full(_FIRST_CAPACITY, _NONE, np.int32)
        self._categories = np.zeros(_FIRST_CAPACITY, np.int32)
        #: Per category.
        self._sums = np.zeros((_FIRST_CAPACITY, 3), np.int64)

    def put(self, row: int, category: int, price: float) -> None:
        """Note what an item costs and where it belongs; nan or 0: nothing is known of its price."""
        self._reserve(row, category)
        log = round(_SCALE * math.log(price)) if price > 0 else _NONE
        old, old_category = self._logs.item(row), self._categories.item(row)
        if (log, category) == (old, old_category):
            return
        if old != _NONE:
            self._sums[old_category] -= (1, old, old * old)
        if log != _NONE:
            self._sums[category] += (1, log, log * log)
        self._logs[row], self._categories[row] = log, category

    def restore(self, categories: NDArray[np.int32], prices: NDArray[np.float64]) -> None:
        """Note what all rows cost, (n,) each, as ``put`` of one after the other would; nothing may have been noted before."""
        n = len(prices)
        if not n:
            return
        self._reserve(n - 1, int(categories.max()))
        priced = np.flatnonzero(prices > 0)
        logs = np.array([round(_SCALE * math.log(price)) for price in prices[priced].tolist()], np.int64)
        self._logs[priced], self._categories[priced] = logs, categories[priced]
        np.add.at(self._sums, categories[priced], np.stack([np.ones_like(logs), logs, logs * logs], axis=1))

    def _reserve(self, row: int, category: int) -> None:
        if row >= len(self._logs):
            n = max(row + 1, 2 * len(self._logs))
            self._logs = _grown(self._logs, n, _NONE)
            self._categories = _grown(self._categories, n, 0)
        if category >= len(self._sums):
            self._sums = _grown(self._sums, max(category + 1, 2 * len(self._sums)), 0)

    def of(self, rows: NDArray[np.int32]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return how many standard deviations the (n,) items are dearer than their category, within 2.5, and where that is known.

        0 where the price is not known or the category's prices hardly differ.
        """
        if not len(rows):
            return np.empty(0), np.empty(0, np.bool_)
        beyond = rows >= len(self._logs)  # of which no price ever came
        at = np.where(beyond, 0, rows)
        logs = np.where(beyond, _NONE, self._logs[at])
        count, total, squares = self._sums[self._categories[at]].T.astype(np.float64)
        n = np.maximum(count, 1.0)
        mean = total / n
        spread = np.sqrt(np.maximum(squares / n - mean * mean, 0.0))
        known = (logs != _NONE) & (count >= _FEWEST) & (spread >= _LEAST_SPREAD * _SCALE)
        levels = np.zeros(len(rows))
        levels[known] = ((logs[known] - mean[known]) / spread[known]).clip(-_FARTHEST, _FARTHEST)
        return levels, known


def _grown(array: NDArray[Any], n: int, empty: int) -> NDArray[Any]:
    grown = np.full((n, *array.shape[1:]), empty, array.dtype)
    grown[: len(array)] = array
    return grown
