"""The best of all items by some value, kept while values change and items sell out: nobody looks through a million for them."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrec.candidates.ordering import best_first, top

#: So many values changed since the last look that looking through all is no slower.
_MANY = 4096


class Leaders:
    """Gives what ``top`` gives of the allowed items; keeps the best ``size`` of all, allowed or not, and a copy of the values.

    Every other item is behind the last of those kept: that holds while a few values change, because who rises past the last one
    joins and who falls behind it leaves. Where too few of them are allowed, or left, more are kept.
    """

    def __init__(self, size: int = 1024, *, nothing: float = -np.inf) -> None:
        self._size = size
        #: The value of an item that is no candidate, less than all others.
        self._nothing = nothing
        self._values: NDArray[Any] = np.empty(0)
        #: Best first.
        self._rows = np.empty(0, np.intp)
        #: Whether there is no other candidate.
        self._all = True
        self._state: Hashable = None

    def first(
        self, values: NDArray[Any], hashes: NDArray[np.uint64], allowed: NDArray[np.bool_], n: int, state: Hashable
    ) -> NDArray[np.int32]:
        """Return the rows of the ``n`` greatest of (n_items,) values that are allowed, greatest first, equal ones by their hash.

        ``state`` is another one whenever a value is; values are never taken away.
        """
        if state != self._state:
            self._catch_up(values, hashes)
            self._state = state
        found = self._rows[allowed[self._rows]]
        while len(found) < n and not self._all:
            self._size *= 2
            self._build(values, hashes)
            found = self._rows[allowed[self._rows]]
        return found[:n].astype(np.int32)

    def greatest(self) -> float:
        """Return the greatest value at the last look, allowed or not; that of no candidate where there is none."""
        return float(self._values[self._rows[0]]) if len(self._rows) else self._nothing

    def _catch_up(self, values: NDArray[Any], hashes: NDArray[np.uint64]) -> None:
        known = len(self._values)
        changed = np.flatnonzero(values[:known] != self._values)
        if len(changed) + len(values) - known > _MANY or (not len(self._rows) and not self._all):
            self._build(values, hashes)
            return
        changed = np.concatenate([changed, np.arange(known, len(values))])
        last = (self._values[self._rows[-1]], hashes[self._rows[-1]]) if len(self._rows) and not self._all else None
        self._values = np.concatenate([self._values, values[known:]]) if known < len(values) else self._values
        self._values[changed] = values[changed]
        rows = np.union1d(self._rows, changed)
        rows = rows[values[rows] > self._nothing]
        if last is not None:
            rows = rows[(values[rows] > last[0]) | ((values[rows] == last[0]) & (hashes[rows] <= last[1]))]
        self._keep(rows[best_first(values[rows], hashes[rows])])

    def _keep(self, rows: NDArray[np.intp]) -> None:
        if len(rows) > 2 * self._size:
            rows, self._all = rows[: self._size], False
        self._rows = rows

    def _build(self, values: NDArray[Any], hashes: NDArray[np.uint64]) -> None:
        self._values = values.copy()
        candidates = values if self._nothing == -np.inf else np.where(values > self._nothing, values, -np.inf)
        self._rows = top(candidates, hashes, self._size)
        self._all = len(self._rows) < self._size
