"""Confidence intervals over visitors: a visitor's interactions depend on each other, so visitors are drawn, not interactions."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

#: Draws that are held at once.
_BLOCK: Final = 50


def bootstrap_means(
    values: NDArray[np.float64], visitors: NDArray[np.int64], *, draws: int = 500, seed: int = 7
) -> NDArray[np.float64]:
    """Return means of (n, m) values over ``draws`` resamplings of whole visitors, (draws, m) float64.

    The cluster bootstrap in its Poisson form (Chamandy et al., Estimating Uncertainty for Massive Data Streams, 2012): each visitor
    counts a Poisson(1) number of times. The same visitors and seed give the same draws, so that the differences of two methods'
    means are paired. ``visitors`` are (n,) numbers.
    """
    _, place = np.unique(visitors, return_inverse=True)
    n = int(place.max(initial=-1)) + 1
    sums = np.stack([np.bincount(place, column, n) for column in values.T], axis=1)
    counts = np.bincount(place, minlength=n).astype(np.float64)
    rng = np.random.default_rng(seed)
    means = []
    for start in range(0, draws, _BLOCK):
        weights = rng.poisson(1.0, (min(_BLOCK, draws - start), n)).astype(np.float64)
        drawn = weights @ counts
        means.append((weights @ sums) / np.maximum(drawn, 1.0)[:, None])
    return np.concatenate(means)


def interval(means: NDArray[np.float64], level: float = 0.95) -> list[float]:
    """Return the percentile interval [low, high] of (draws,) means."""
    tail = 50.0 * (1.0 - level)
    low, high = np.percentile(means, [tail, 100.0 - tail])
    return [round(float(low), 4), round(float(high), 4)]
