"""What many visitors met of late."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamrec.candidates.ordering import top


def trending(
    log_popularity: NDArray[np.float64], allowed: NDArray[np.bool_], hashes: NDArray[np.uint64], n: int
) -> NDArray[np.int32]:
    """Return the rows of the ``n`` most popular allowed items, best first; items that nobody met are not among them."""
    return top(np.where(allowed, log_popularity, -np.inf), hashes, n).astype(np.int32)


def popularity(log_popularity: NDArray[np.float64], rows: NDArray[np.int32], greatest: float) -> NDArray[np.float64]:
    """Return the popularity of ``rows`` in [0, 1]: the square root of its ratio to the greatest, which is free of the time.

    The root keeps the one best-seller from flattening all others.
    """
    if greatest == -np.inf:
        return np.zeros(len(rows))
    return np.exp2((log_popularity[rows] - greatest) / 2)
