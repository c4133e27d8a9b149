"""Estimates of ratios over visitors, their differences, and the test of a split; plain numbers, no library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import erfc, exp, pi, sqrt
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

#: Of a normal distribution 95 % lie within so many standard deviations of the mean.
Z95: Final = 1.959963984540054

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Moments:
    """Sums over visitors from which a ratio of sums and its variance follow; whole numbers, so adding them up loses nothing.

    Each visitor has a numerator x and a denominator y: clicked impressions and impressions, or 1 if there was an order, and 1.
    """

    n: int = 0
    x: int = 0
    y: int = 0
    xx: int = 0
    yy: int = 0
    xy: int = 0

    @classmethod
    def of(cls, x: NDArray[np.integer[Any]], y: NDArray[np.integer[Any]]) -> Self:
        """Return the sums of (n,) numerators and denominators."""
        return cls(len(x), int(x.sum()), int(y.sum()), int(x @ x), int(y @ y), int(x @ y))

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.n + other.n, self.x + other.x, self.y + other.y, self.xx + other.xx, self.yy + other.yy, self.xy + other.xy
        )

    def ratio(self) -> Estimate | None:
        """Return the sum of x over the sum of y, None where there is no y.

        A visitor's events depend on each other, so visitors are what was drawn: the variance is that of the delta method, Deng,
        Knoblich and Lu, Applying the Delta Method in Metric Analytics (KDD 2018), equation 2, with n - 1.
        """
        if not self.y:
            return None
        ratio = self.x / self.y
        # Of x - ratio y, whose mean is 0; in whole numbers times y², where differences of large sums lose no digit.
        spread = self.xx * self.y**2 - 2 * self.x * self.y * self.xy + self.x**2 * self.yy
        variance = spread / self.y**4 * self.n / (self.n - 1) if self.n > 1 else float("inf")
        return Estimate(ratio, variance)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and the variance of its estimation."""

    value: float
    variance: float

    @property
    def interval(self) -> Interval:
        """The 95 % interval by the normal approximation."""
        reach = Z95 * sqrt(self.variance)
        return self.value - reach, self.value + reach

    @property
    def p(self) -> float:
        """The probability that a value as far from 0 is estimated where it is 0; 1 where 0 is all that was ever seen."""
        if not self.variance:
            return 0.0 if self.value else 1.0
        return erfc(abs(self.value) / sqrt(2.0 * self.variance))

    def minus(self, other: Estimate) -> Estimate:
        """Return the difference to what other visitors gave."""
        return Estimate(self.value - other.value, self.variance + other.variance)

    def over(self, other: Estimate) -> Estimate | None:
        """Return by which part the value lies above another's, by the delta method again; None above 0."""
        if not other.value:
            return None
        base = other.value**2
        return Estimate(self.value / other.value - 1.0, self.variance / base + other.variance * self.value**2 / base**2)


def chi_square_p(statistic: float, degrees: int) -> float:
    """Return the probability that a chi-square variable of so many degrees of freedom exceeds ``statistic``.

    Exact finite sums for whole degrees: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.4.4 and 26.4.5.

    >>> round(chi_square_p(3.841458820694124, 1), 6), round(chi_square_p(18.307038053275146, 10), 6)
    (0.05, 0.05)
    """
    if statistic <= 0:
        return 1.0
    if degrees % 2:
        total, term = erfc(sqrt(statistic / 2.0)), sqrt(2.0 * statistic / pi) * exp(-statistic / 2.0)
        divisors = range(3, degrees + 2, 2)
    else:
        total, term = 0.0, exp(-statistic / 2.0)
        divisors = range(2, degrees + 1, 2)
    for divisor in divisors:
        total += term
        term *= statistic / divisor
    return total


@dataclass(frozen=True, slots=True)
class SplitTest:
    """Pearson's chi-square test of how many visitors each variant had against how many it should have had."""

    expected: tuple[float, ...]
    statistic: float
    degrees: int
    p: float


def split_test(counts: Sequence[int], shares: Sequence[float]) -> SplitTest:
    """Test counts of visitors against the variants' ``shares``, which add up to 1."""
    total = sum(counts)
    expected = tuple(total * share for share in shares)
    statistic = sum((count - wanted) ** 2 / wanted for count, wanted in zip(counts, expected, strict=True)) if total else 0.0
    degrees = len(counts) - 1
    return SplitTest(expected, statistic, degrees, chi_square_p(statistic, degrees))
