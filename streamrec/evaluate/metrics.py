"""Measures of one list, or of the place of one target; plain functions of plain values.

Ranks are 1 for the first place and 0 where the target is not in the list.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set
from math import log2

import numpy as np
from numpy.typing import NDArray


def rank_of(target: str, listed: Sequence[str]) -> int:
    """Return the place of the target, 1 for the first; 0 where it is not listed.

    >>> rank_of("b", ["a", "b"]), rank_of("c", ["a", "b"])
    (2, 0)
    """
    return listed.index(target) + 1 if target in listed else 0


def hit_rate(ranks: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """Return 1 where the target is among the first ``k``; (n,) float64.

    >>> hit_rate(np.array([1, 0, 3]), 2).tolist()
    [1.0, 0.0, 0.0]
    """
    return ((ranks > 0) & (ranks <= k)).astype(np.float64)


def reciprocal_rank(ranks: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """Return 1 / rank within the first ``k``, else 0; (n,) float64. Its mean is MRR@k.

    >>> reciprocal_rank(np.array([1, 0, 4]), 20).tolist()
    [1.0, 0.0, 0.25]
    """
    return hit_rate(ranks, k) / np.maximum(ranks, 1)


def ndcg(ranks: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """Return 1 / log2(1 + rank) within the first ``k``, else 0; (n,) float64. With one target the ideal gain is 1.

    >>> ndcg(np.array([1, 0, 3]), 20).tolist()
    [1.0, 0.0, 0.5]
    """
    return hit_rate(ranks, k) / np.log2(1.0 + np.maximum(ranks, 1))


def recall(listed: Sequence[str], wanted: Set[str], k: int) -> float:
    """Return the share of ``wanted``, all that the session still turns to, that is among the first ``k``.

    >>> recall(["a", "b", "c"], {"a", "c", "x", "y"}, 2)
    0.25
    """
    return sum(item_id in wanted for item_id in listed[:k]) / len(wanted) if wanted else 0.0


def share_in(listed: Collection[str], group: Set[str]) -> float:
    """Return the share of the list's places that items of ``group`` take.

    >>> share_in(["a", "b", "c", "d"], {"a", "z"})
    0.25
    """
    return sum(item_id in group for item_id in listed) / len(listed) if listed else 0.0


def novelty(listed: Collection[str], met: Mapping[str, int], total: int) -> float:
    """Return the mean self-information of the listed items in bits, by how often they were met so far.

    Zhou et al., PNAS 107 (2010): -log2 of an item's share of all interactions; one interaction is added to each item, so that one
    that nobody met is very novel and not infinitely so.

    >>> novelty(["a", "b"], {"a": 3}, 7)
    2.0
    """
    return sum(log2((total + 1) / (met.get(item_id, 0) + 1)) for item_id in listed) / len(listed) if listed else 0.0


def intra_list_diversity(vectors: NDArray[np.float32]) -> float:
    """Return the mean of 1 - cosine over all pairs of (n, dim) L2-normalised vectors; 0 for fewer than two.

    Ziegler et al., WWW 2005, with the cosine of contents as similarity. The sum over pairs is |Σv|² - Σ|v|².

    >>> intra_list_diversity(np.eye(3, dtype=np.float32))
    1.0
    """
    n = len(vectors)
    if n < 2:
        return 0.0
    whole = vectors.sum(axis=0, dtype=np.float64)
    pairs = float(whole @ whole) - float((vectors.astype(np.float64) ** 2).sum())
    return 1.0 - pairs / (n * (n - 1))
