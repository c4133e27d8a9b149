"""What many visitors met of late."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from streamrec.candidates.covisitation import NeighbourTable
from streamrec.candidates.ordering import top


def trending(
    log_popularity: NDArray[np.float64], allowed: NDArray[np.bool_], hashes: NDArray[np.uint64], n: int
) -> NDArray[np.int32]:
    """Return the rows of the ``n`` most popular allowed items, best first; items that nobody met are not among them."""
    return top(np.where(allowed, log_popularity, -np.inf), hashes, n).astype(np.int32)


class Trend:
    """How popular items are now: their visitors of late, and ``smoothing`` more spread over all items like the visitors of weeks.

    Where few visitors came of late, three that met the same item are no trend; where many came, the others do not count. This is
    smoothing by a Dirichlet prior, as of what follows in ``transitions``. ``well_sold`` are the rows that most visitors met over
    weeks; they stand for all items.
    """

    def __init__(self, table: NeighbourTable, well_sold: NDArray[np.int32], smoothing: float) -> None:
        self._table = table
        total = math.fsum(table.visitors_now(well_sold)[1].tolist())
        self._scale = smoothing / total if total > 0 else 0.0

    def amounts(self, rows: NDArray[np.int32]) -> NDArray[np.float64]:
        """Return how popular ``rows`` are, (n,) at least 0, on one scale for all rows."""
        of_late, over_weeks = self._table.visitors_now(rows)
        return of_late + self._scale * over_weeks
