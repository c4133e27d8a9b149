"""Two answers to one query made one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

#: Of "Reciprocal rank fusion outperforms Condorcet and individual rank learning methods", Cormack, Clarke and Büttcher, SIGIR 2009.
_RRF_K: Final = 60


def by_ranks(answers: Sequence[Sequence[int]], k: int = _RRF_K) -> dict[int, float]:
    """Return the scores of all that is in any answer (items, best first): the sum of 1 / (k + place) over the answers.

    >>> by_ranks([[7, 8], [8]], k=1)
    {7: 0.5, 8: 0.8333333333333333}
    """
    scores: defaultdict[int, float] = defaultdict(float)
    for answer in answers:
        for place, item in enumerate(answer, 1):
            scores[item] += 1 / (k + place)
    return dict(scores)


def by_scores(answers: Sequence[Mapping[int, float]], weights: Sequence[float]) -> dict[int, float]:
    """Return the weighted sums of scores, each answer's (item → score, at least 0) divided by its greatest.

    A convex combination with the lower end at 0, which cosines of texts and BM25 have in common; Bruch, Gai and Ingber (ACM TOIS
    2023) find such ones better than ranks alone. An item that an answer does not hold has 0 there.

    >>> by_scores([{7: 0.5, 8: 0.25}, {8: 12.0}], [0.5, 0.5])
    {7: 0.5, 8: 0.75}
    """
    scores: defaultdict[int, float] = defaultdict(float)
    for answer, weight in zip(answers, weights, strict=True):
        greatest = max(answer.values(), default=0.0)
        for item, score in answer.items():
            scores[item] += weight * score / greatest if greatest > 0 else 0.0
    return dict(scores)
