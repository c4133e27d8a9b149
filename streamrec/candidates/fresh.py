"""What came into the catalogue last: new items have no visitors yet and would never get any without a place of their own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamrec.candidates.ordering import top


def fresh(
    first_seen_ms: NDArray[np.int64], allowed: NDArray[np.bool_], hashes: NDArray[np.uint64], n: int, *, since_ms: int = 1
) -> NDArray[np.int32]:
    """Return the rows of the ``n`` newest allowed items first seen at ``since_ms`` or later, newest first."""
    allowed = allowed & (first_seen_ms >= since_ms)
    return top(np.where(allowed, first_seen_ms.astype(np.float64), -np.inf), hashes, n).astype(np.int32)


def newness(first_seen_ms: NDArray[np.int64], newest_ms: int, half_life_s: float) -> NDArray[np.float64]:
    """Return 1 for the newest item of all, halved for each half-life before it; measured against the newest item and not against
    the present, so that an hour in which nothing happens changes no list."""  # noqa: D205, D209 - one law, one sentence
    return np.exp2((first_seen_ms - newest_ms) / (half_life_s * 1000))
