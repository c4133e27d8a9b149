"""Who looks at what is dear is shown what is dear: how a visitor's price level weighs on candidates."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamrec.catalogue.price_levels import PriceLevels
from streamrec.ranking.taste import Taste

#: Price alone makes an item at most twice, or half, as likely.
_MOST: Final = float(np.log(2.0))


def level(taste: Taste, levels: PriceLevels, doubt: float) -> float:
    """Return how dear what the visitor met is within its categories, in standard deviations; 0 where nothing tells.

    The mean of the items met by their weights (kind, age, place), drawn to 0 as if ``doubt`` more had been met that cost the
    middle.
    """
    told, known = levels.of(taste.rows)
    weights = taste.weights[known]
    return float(weights @ told[known]) / (float(weights.sum()) + doubt)


def affinity(rows: NDArray[np.int32], wanted: float, levels: PriceLevels, weight: float) -> NDArray[np.float64]:
    """Return the (c,) factors by which the price of candidates makes them more likely for a visitor of level ``wanted``.

    The likelihood ratio of two normal distributions of levels, the visitor's around ``wanted`` and the category's around 0, to the
    power of ``weight``: exp(z·m - m²/2). 1 where the level of an item is not known.
    """
    told, known = levels.of(rows)
    logs = np.where(known, weight * (told * wanted - wanted * wanted / 2), 0.0)
    factors: NDArray[np.float64] = np.exp(logs.clip(-_MOST, _MOST))
    return factors
