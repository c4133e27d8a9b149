"""What visitors clicked before: histories with the skew and the coherence that a shop's visitors have."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

#: How a visitor's clicks spread over the categories that they look at.
SHARES: Final = (0.6, 0.3, 0.1)
#: Of a category's items the one at place x·n is clicked with a density of x^(1/SKEW - 1): few items have most of the clicks.
_SKEW: Final = 3.0
#: How unequally categories are liked beyond their size: the standard deviation of the logarithm.
_TASTE: Final = 1.0


def draw_histories(
    categories: NDArray[np.integer[Any]], count: int, rng: np.random.Generator, *, length: int = 20
) -> NDArray[np.int32]:
    """Return ``count`` histories of ``length`` clicks, (count, length) int32 numbers of items, oldest first.

    ``categories`` is each item's, (n,). A history keeps to three categories, the first of which has most clicks. Popular items are
    popular with everybody who looks at their category.
    """
    order = rng.permutation(len(categories))
    order = order[np.argsort(categories[order], kind="stable")]
    _, starts, sizes = np.unique(categories[order], return_index=True, return_counts=True)
    liked = sizes * rng.lognormal(0.0, _TASTE, len(sizes))
    chosen = rng.choice(len(sizes), (count, len(SHARES)), p=liked / liked.sum())
    which = rng.choice(len(SHARES), (count, length), p=SHARES)
    aisles = np.take_along_axis(chosen, which, axis=1)
    places = (sizes[aisles] * rng.random((count, length)) ** _SKEW).astype(np.int64)
    clicks: NDArray[np.int32] = order[starts[aisles] + places].astype(np.int32)
    return clicks


def visitors_of(history: int, histories: int, users: int) -> range:
    """Return the numbers of the visitors who have the history: visitor n has history n modulo ``histories``.

    >>> list(visitors_of(1, 3, 8))
    [1, 4, 7]
    """
    return range(history, users, histories)
