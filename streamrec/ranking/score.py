"""The score of candidates: a sum of named parts, less what was shown in vain, times factors of the session and of campaigns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamrec.ranking.reasons import Reason

#: The parts of a score, in the order of ``Scores.parts``; a tie between reasons is decided by it.
PARTS: Final = (Reason.CONTENT, Reason.TOGETHER, Reason.SEARCH, Reason.TRENDING, Reason.NEW, Reason.PRICE, Reason.AGAIN)
#: Those of them that are parts of one probability; the others are added to it.
ESTIMATED: Final = tuple(PARTS.index(part) for part in (Reason.CONTENT, Reason.TOGETHER, Reason.TRENDING, Reason.AGAIN))
#: Parts below this speak for nothing: newness never quite reaches 0.
_NEGLIGIBLE: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of (c,) candidates and what they are made of."""

    #: (len(PARTS), c) float64, each at least 0, weights included.
    parts: NDArray[np.float64]
    #: (c,) float64; what impressions without a click take away.
    penalty: NDArray[np.float64]
    #: (c,) float64, at least 1: 1 / (1 - drop) where the visitor's threshold dropped, because of a click in the item's category.
    eased: NDArray[np.float64]
    #: (c,) float64; the product of the campaigns' factors.
    multiplier: NDArray[np.float64]
    #: (c,) float64 = max(0, sum of parts - penalty) * eased * multiplier: never negative, so a factor always does what it says.
    total: NDArray[np.float64]
    #: (c,) uint8 codes of ``Reason``.
    reasons: NDArray[np.uint8]


def combine(
    parts: NDArray[np.float64], penalty: NDArray[np.float64], eased: NDArray[np.float64], multiplier: NDArray[np.float64]
) -> Scores:
    """Add the parts up and find the reason: the largest part, or the campaign where its gain is at least as large."""
    base = np.maximum(parts.sum(axis=0) - penalty, 0.0) * eased
    total = base * multiplier
    largest = parts.argmax(axis=0)
    reasons = np.array(PARTS, np.uint8)[largest]
    strength = parts[largest, np.arange(parts.shape[1])]
    reasons[strength < _NEGLIGIBLE] = Reason.FILLER
    reasons[(multiplier > 1) & (total > 0) & (total - base >= strength)] = Reason.CAMPAIGN
    return Scores(parts, penalty, eased, multiplier, total, reasons)


def cosines(products: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return inner products of L2-normalised vectors as cosines for scoring, negative ones as 0; float64.

    Rounded to 1e-5: the last bits of a float32 product depend on the shape of the batch, and equal items must tie exactly.
    """
    return products.astype(np.float64).round(5).clip(min=0.0)
