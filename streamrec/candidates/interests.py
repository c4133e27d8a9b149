"""The few different things that a visitor is after.

Follows PinnerSage (Pal et al., KDD 2020): cluster the items that the visitor met, represent each cluster by its medoid, an item
that really exists, and rank the clusters by their decayed weight. Clustering is by leaders instead of Ward's method: one pass over
at most some dozens of items.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamrec.candidates.ordering import best_first

#: Items at least so near to a cluster's leader belong to it. In the default model titles of one product type meet at 0.5 and more.
SAME_INTEREST: Final = 0.5


@dataclass(frozen=True, slots=True)
class Interests:
    """Positions (i,) of the medoids among the items given, and weights (i,) float64, the greatest of which is 1."""

    medoids: NDArray[np.intp]
    weights: NDArray[np.float64]


def interests(
    vectors: NDArray[np.float32], weights: NDArray[np.float64], hashes: NDArray[np.uint64], max_interests: int
) -> Interests:
    """Cluster (m, dim) L2-normalised vectors with (m,) weights into at most ``max_interests``, weightiest first."""
    if not len(weights):
        return Interests(np.empty(0, np.intp), np.empty(0))
    # Rounded, so that items with equal vectors tie exactly and the hash decides, whatever order the product was summed in.
    near = np.round(vectors @ vectors.T, 4)
    same = near >= SAME_INTEREST
    free = np.ones(len(weights), np.bool_)
    medoids, totals = [], []
    for leader in best_first(weights, hashes).tolist():
        if not free[leader]:
            continue
        members = np.flatnonzero(free & same[leader])
        if len(members) <= 1:
            # Alone, or with a vector so short that it is not even near to itself.
            members = np.array([leader])
        free[members] = False
        inside = weights[members]
        medoids.append(leader if len(members) == 1 else _medoid(members, near, inside, hashes))
        totals.append(float(inside.sum()))
        # Later leaders are lighter; so many clusters hold the weightiest for all practical profiles, at a bounded cost.
        if len(medoids) >= 3 * max_interests:
            break
    sums = np.round(totals, 9)
    order = best_first(sums, hashes[medoids])[:max_interests]
    return Interests(np.array(medoids, np.intp)[order], sums[order] / sums[order[0]])


def _medoid(members: NDArray[np.intp], near: NDArray[np.float32], weights: NDArray[np.float64], hashes: NDArray[np.uint64]) -> int:
    """Return the member that is nearest to all of them, each counting by its weight."""
    fit = near[members[:, None], members] @ weights
    return int(members[best_first(np.round(fit, 4), hashes[members])[0]])
