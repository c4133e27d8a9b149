"""Intervals hold what they promise where a visitor's clicks depend on each other, and the test of a split knows its tables."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import chdtrc

from streamrec.evaluate.intervals import bootstrap_means, interval
from streamrec.experiments.statistics import Estimate, Moments, chi_square_p, split_test


@pytest.mark.parametrize(
    ("statistic", "degrees", "p"),
    [(3.841, 1, 0.05), (10.828, 1, 0.001), (5.991, 2, 0.05), (13.816, 2, 0.001), (7.815, 3, 0.05), (16.266, 3, 0.001)],
)
def test_the_printed_tables_of_chi_square(statistic: float, degrees: int, p: float) -> None:
    assert chi_square_p(statistic, degrees) == pytest.approx(p, rel=1e-3)


@pytest.mark.parametrize("degrees", range(1, 16))
def test_chi_square_agrees_with_cephes(degrees: int) -> None:
    for statistic in (1e-9, 0.01, 0.5, 1.0, 4.0, 20.0, 200.0, 1000.0):
        assert chi_square_p(statistic, degrees) == pytest.approx(chdtrc(degrees, statistic), rel=1e-12, abs=1e-300)


def test_an_even_split_is_no_surprise_and_an_uneven_one_is() -> None:
    assert split_test([500, 500], (0.5, 0.5)).p == 1.0
    assert split_test([0, 0], (0.5, 0.5)).p == 1.0
    # The example that is often told: 821,588 and 815,482 visitors of an even split.
    assert split_test([821_588, 815_482], (0.5, 0.5)).p == pytest.approx(1.8e-6, rel=0.05)
    assert split_test([300, 100], (0.75, 0.25)).p == 1.0


def test_two_sided_p_values_of_a_normal() -> None:
    assert Estimate(1.959963984540054, 1.0).p == pytest.approx(0.05)
    assert Estimate(-3.2905267314919255, 1.0).p == pytest.approx(0.001)
    assert (Estimate(0.0, 0.0).p, Estimate(0.1, 0.0).p) == (1.0, 0.0)


def _visitors(rng: np.random.Generator, n: int, rate: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Clicks and impressions of visitors of whom some click much and are shown much: nothing is independent within one."""
    shown = 1 + rng.geometric(0.1, n)
    own = rng.beta(rate * 2, (1 - rate) * 2, n) * (shown / shown.mean()) ** 0.3
    return rng.binomial(shown, own.clip(max=1)).astype(np.int64), shown.astype(np.int64)


def test_the_variance_is_the_textbooks() -> None:
    x, y = _visitors(np.random.default_rng(1), 400)
    found = Moments.of(x, y).ratio()
    assert found is not None
    n, ratio = len(x), x.mean() / y.mean()
    cov = np.cov(x, y)
    textbook = (cov[0, 0] - 2 * ratio * cov[0, 1] + ratio**2 * cov[1, 1]) / (n * y.mean() ** 2)
    assert found.value == pytest.approx(ratio)
    assert found.variance == pytest.approx(textbook)


def test_parts_that_are_added_up_say_what_the_whole_says() -> None:
    x, y = _visitors(np.random.default_rng(2), 300)
    assert Moments.of(x[:77], y[:77]) + Moments() + Moments.of(x[77:], y[77:]) == Moments.of(x, y)


def test_the_interval_is_that_of_drawing_visitors_again() -> None:
    x, y = _visitors(np.random.default_rng(3), 4000)
    found = Moments.of(x, y).ratio()
    assert found is not None
    # A mean over impressions, whole visitors drawn.
    visitors = np.repeat(np.arange(len(x)), y)
    clicked = np.concatenate([np.arange(shown) < clicks for clicks, shown in zip(x, y, strict=True)]).astype(np.float64)
    low, high = interval(bootstrap_means(clicked[:, None], visitors, draws=1000)[:, 0])
    assert found.interval == pytest.approx((low, high), abs=0.002)


def test_where_nothing_differs_one_comparison_in_twenty_is_below_five_percent() -> None:
    """Taking impressions for independent would find twice to four times as many differences that are none."""
    rng, runs = np.random.default_rng(4), 600
    below = naive = 0
    for _ in range(runs):
        one, other = (Moments.of(*_visitors(rng, 300)) for _ in range(2))
        first, second = one.ratio(), other.ratio()
        assert first is not None
        assert second is not None
        below += second.minus(first).p < 0.05
        pooled = (one.x + other.x) / (one.y + other.y)
        error = math.sqrt(pooled * (1 - pooled) * (1 / one.y + 1 / other.y))
        naive += abs(second.value - first.value) > 1.96 * error
    assert 0.03 < below / runs < 0.07
    assert naive / runs > 0.1


def test_a_proportion_has_the_variance_of_a_proportion() -> None:
    found = Moments(n=200, x=30, y=200, xx=30, yy=200, xy=30).ratio()
    assert found is not None
    assert found.variance == pytest.approx(0.15 * 0.85 / 199)


def test_a_lift_is_relative_to_the_control_and_its_interval_reaches_as_far_as_the_differences() -> None:
    control, own = Estimate(0.10, 1e-6), Estimate(0.12, 1e-6)
    lift = own.over(control)
    assert lift is not None
    assert lift.value == pytest.approx(0.2)
    rng = np.random.default_rng(5)
    drawn = rng.normal(0.12, 1e-3, 200_000) / rng.normal(0.10, 1e-3, 200_000) - 1
    assert math.sqrt(lift.variance) == pytest.approx(drawn.std(), rel=0.02)
    assert own.over(Estimate(0.0, 0.0)) is None


def test_nothing_and_a_single_visitor_are_no_estimate_to_lean_on() -> None:
    assert Moments().ratio() is None
    alone = Moments(n=1, x=1, y=2, xx=1, yy=4, xy=2).ratio()
    assert alone is not None
    assert (alone.value, alone.variance) == (0.5, math.inf)
