"""What one click on a list tells of the weights of the score's parts.

Visitors choose among what they looked at in proportion to the scores, which are estimates of how likely each item is. The gradient
of that choice's logarithm by the logarithm of a part's weight is then the part's share of the score of what was clicked, less its
share of the scores of all that was looked at: between -1 and 1, 0 for a part that spoke for all alike, and over the parts 0 in sum.

What was looked at: everything down to the click, as with "click > skip above" (Joachims, KDD 2002), and what stood below with a
probability that falls from place to place, as in the cascade model (Craswell et al., WSDM 2008). Without what stood below, clicks
on the first place would tell nothing, and the weights would follow the misses alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from streamrec.ranking.estimate import estimated
from streamrec.ranking.score import ESTIMATED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamrec.ranking.ranker import Trace

#: What no part speaks for is chosen at random so often; without it the shares of a list of nothing would be undefined.
_AT_RANDOM: Final = 1e-9


def lesson(parts: NDArray[np.float64], place: int, passed_over: float) -> NDArray[np.float64]:
    """Return the (p,) gradient for a click on ``place`` (0 is the first) of a list of n items of these (p, n) parts.

    >>> lesson(np.array([[1.0, 0.0], [0.0, 1.0]]), 1, 1.0).round(3).tolist()
    [-0.5, 0.5]
    """
    totals = parts.sum(axis=0) + _AT_RANDOM
    looked_at = np.ones(parts.shape[1])
    looked_at[place + 1 :] = passed_over ** np.arange(1, parts.shape[1] - place)
    shares = parts @ looked_at / float(totals @ looked_at)
    told: NDArray[np.float64] = parts[:, place] / totals[place] - shares
    return told


def lesson_of(trace: Trace, listed: Sequence[int], place: int, passed_over: float) -> NDArray[np.float64]:
    """Return the gradient for a click on ``place`` of a list, given as positions among the candidates of ``trace``."""
    scores, at = trace.scores, np.array(listed, np.intp)
    parts = scores.parts[:, at]
    parts[list(ESTIMATED)] = estimated(parts[list(ESTIMATED)])
    parts *= scores.eased[at] * scores.multiplier[at]
    return lesson(parts, place, passed_over)
