"""Measures of one answer by graded judgements; plain functions of plain values.

A grade is a whole number, 0 for what does not fit; an answer is given as the grades of what was found, best first.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log2


def dcg(grades: Sequence[int], k: int) -> float:
    """Return the discounted cumulative gain of the first ``k``: the sum of (2^grade - 1) / log2(1 + place).

    Järvelin and Kekäläinen (ACM TOIS 2002), with the exponential gain of Burges et al. (ICML 2005).

    >>> dcg([3, 0, 1], 10)
    7.5
    """
    return sum((2.0**grade - 1.0) / log2(1 + place) for place, grade in enumerate(grades[:k], 1))


def ndcg(grades: Sequence[int], judged: Sequence[int], k: int) -> float:
    """Return DCG@k over that of the best order of all ``judged``; 0 where nothing that was judged fits.

    >>> ndcg([3, 0, 1], [1, 3, 0], 10) == 7.5 / (7 + 1 / log2(3))
    True
    """
    ideal = dcg(sorted(judged, reverse=True), k)
    return dcg(grades, k) / ideal if ideal else 0.0


def recall(grades: Sequence[int], judged: Sequence[int], k: int, least: int) -> float:
    """Return the share of all judged at least ``least`` that is among the first ``k``.

    >>> recall([3, 0, 2], [3, 2, 2, 0, 3], 3, 2)
    0.5
    """
    wanted = sum(grade >= least for grade in judged)
    return sum(grade >= least for grade in grades[:k]) / wanted if wanted else 0.0


def precision(grades: Sequence[int], k: int, least: int) -> float:
    """Return the share of the first ``k`` places that something of at least ``least`` takes; places left empty count as missed.

    >>> precision([3, 0, 2], 4, 2)
    0.5
    """
    return sum(grade >= least for grade in grades[:k]) / k


def first_found(grades: Sequence[int], k: int, least: int) -> float:
    """Return 1 / place of the first of at least ``least`` among the first ``k``, else 0. Its mean is MRR@k.

    >>> first_found([0, 1, 3], 10, 2)
    0.3333333333333333
    """
    return next((1 / place for place, grade in enumerate(grades[:k], 1) if grade >= least), 0.0)
