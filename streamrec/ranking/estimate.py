"""How likely a visitor is to turn to each candidate next: what others turned to, where they are few what is alike and popular.

The estimate is a probability, so that its sources are on one scale: t(i | seeds) from co-visitation, and for the share that this
leaves unexplained a mixture of content and trend, the language models' back-off with items for words.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

#: Standing of an item that nobody met yet, relative to the most popular candidate: near ones still come before popular far ones.
_OF_NOBODY = 0.01
#: The probability that scores half. Probabilities of next items are small; what is added to them (newness, a search) is not.
_HALF = 0.1


def relative(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 2 to the power of (c,) logs, scaled so that the greatest is 1; all 0 where all are -inf.

    >>> relative(np.array([3.0, 2.0, -np.inf])).tolist()
    [1.0, 0.5, 0.0]
    """
    greatest = float(logs.max(initial=-np.inf))
    return np.exp2(logs - greatest) if greatest > -np.inf else np.zeros(len(logs))


def shares(amounts: NDArray[np.float64], competing: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return (c,) amounts as shares of the sum over those ``competing``; all 0 where that is 0.

    >>> shares(np.array([1.0, 3.0, 5.0]), np.array([True, True, False])).tolist()
    [0.25, 0.75, 1.25]
    """
    # fsum is exact: the order of the candidates' rows must not be seen in the last bit.
    total = math.fsum(amounts[competing].tolist())
    return amounts / total if total > 0 else np.zeros(len(amounts))


def alike(
    near: NDArray[np.float64],
    weights: NDArray[np.float64],
    standing: NDArray[np.float64],
    competing: NDArray[np.bool_],
    temperature: float,
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return the (c,) probabilities of candidates by content, and for each the interest that speaks for it most.

    Among the candidates near to an interest visitors choose by popularity: the softmax of cosines ``near`` (c, i) over
    ``temperature``, times ``standing`` (c,); over the interests a mixture by ``weights`` (i,).
    """
    affinity = np.exp((near - 1.0) / temperature) * (standing + _OF_NOBODY)[:, None]
    votes = np.stack([shares(column, competing) for column in affinity.T], axis=1) * (weights / weights.sum())
    return votes.sum(axis=1), votes.argmax(axis=1)


def squashed(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (p, c) parts of probabilities as parts of scores in [0, 1): a sum of p becomes p / (p + 0.1), divided as p is.

    >>> squashed(np.array([[0.1], [0.3]])).round(3).tolist()
    [[0.2], [0.6]]
    """
    # Rounded, so that equal candidates tie exactly and their hash decides.
    scores: NDArray[np.float64] = (probabilities / (probabilities.sum(axis=0) + _HALF)).round(9)
    return scores


def estimated(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (p, c) parts of probabilities that ``squashed`` made these of, as far as its rounding tells.

    >>> estimated(squashed(np.array([[0.1], [0.3]]))).round(6).tolist()
    [[0.1], [0.3]]
    """
    parts: NDArray[np.float64] = scores * (_HALF / np.maximum(1.0 - scores.sum(axis=0), 1e-9))
    return parts
