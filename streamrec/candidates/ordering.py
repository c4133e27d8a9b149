"""Orders that are the same in every process: by score, equal scores by the hash of the item's id, never by row number."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


def best_first(scores: Floats, hashes: NDArray[np.uint64]) -> NDArray[np.intp]:
    """Return the positions of (n,) scores, greatest first, equal ones by their hash."""
    return np.lexsort((hashes, -scores))


def top(scores: Floats, hashes: NDArray[np.uint64], n: int) -> NDArray[np.intp]:
    """Return the positions of the ``n`` greatest of (m,) scores, greatest first; -inf is no candidate."""
    found = np.flatnonzero(scores > -np.inf)
    if len(found) > n:
        values = scores[found]
        bound = np.partition(values, len(values) - n)[len(values) - n]
        # All that tie with the last place compete for it by hash; partition alone would choose by row number. After a bulk load
        # that is the whole catalogue, too many to sort for the sake of the first few.
        above, tied = found[values > bound], found[values == bound]
        left = n - len(above)
        found = np.concatenate([above, tied[np.argpartition(hashes[tied], left - 1)[:left]]])
    return found[best_first(scores[found], hashes[found])]


def distinct(rows: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return distinct rows, ascending. Three times as fast as ``unique`` on some hundreds."""
    rows = np.sort(rows)
    first = np.ones(len(rows), np.bool_)
    np.not_equal(rows[1:], rows[:-1], out=first[1:])
    return rows[first]


def marks(sorted_rows: NDArray[np.int32], wanted: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Return which of distinct ascending ``sorted_rows`` (n,) are among ``wanted``; (n,) bool. Ten times as fast as ``isin``."""
    marked = np.zeros(len(sorted_rows), np.bool_)
    if len(sorted_rows) and len(wanted):
        places = np.minimum(np.searchsorted(sorted_rows, wanted), len(sorted_rows) - 1)
        marked[places[sorted_rows[places] == wanted]] = True
    return marked
