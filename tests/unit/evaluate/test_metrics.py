"""Measures agree with values worked out by hand, and intervals with what sampling theory says."""

from __future__ import annotations

from math import log2

import numpy as np
import pytest

from streamrec.evaluate import metrics
from streamrec.evaluate.intervals import bootstrap_means, interval


def test_the_place_counts_only_within_the_depth() -> None:
    ranks = np.array([0, 1, 10, 11, 20])
    assert metrics.hit_rate(ranks, 10).tolist() == [0, 1, 1, 0, 0]
    assert metrics.reciprocal_rank(ranks, 10).tolist() == [0, 1, 0.1, 0, 0]
    assert metrics.ndcg(ranks, 20).tolist() == pytest.approx([0, 1, 1 / log2(11), 1 / log2(12), 1 / log2(21)])


def test_recall_is_of_all_that_is_still_to_come() -> None:
    assert metrics.recall(["a", "b", "c"], {"c", "d"}, 3) == 0.5
    assert metrics.recall(["a", "b", "c"], {"c", "d"}, 2) == 0.0
    assert metrics.recall(["a"], set(), 1) == 0.0


def test_novelty_of_an_item_met_in_half_of_all_interactions_is_one_bit() -> None:
    assert metrics.novelty(["a"], {"a": 31, "b": 32}, 63) == 1.0
    assert metrics.novelty(["never"], {"a": 63}, 63) == 6.0
    assert metrics.novelty([], {}, 0) == 0.0


def test_diversity_is_the_mean_distance_of_pairs() -> None:
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(6, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs = [1 - float(vectors[i] @ vectors[j]) for i in range(6) for j in range(6) if i != j]
    assert metrics.intra_list_diversity(vectors) == pytest.approx(np.mean(pairs), abs=1e-6)
    assert metrics.intra_list_diversity(np.repeat(vectors[:1], 5, axis=0)) == pytest.approx(0, abs=1e-6)
    assert metrics.intra_list_diversity(vectors[:1]) == 0.0


def test_an_interval_has_the_width_of_the_means_error_over_visitors_not_over_interactions() -> None:
    """400 visitors with 10 equal interactions each: the standard error is 0.5 / sqrt(400), not 0.5 / sqrt(4000)."""
    rng = np.random.default_rng(5)
    outcomes = rng.integers(0, 2, 400).astype(np.float64)
    visitors = np.repeat(np.arange(400), 10)
    drawn = bootstrap_means(np.repeat(outcomes, 10)[:, None], visitors, draws=1000)
    low, high = interval(drawn[:, 0])
    assert low < outcomes.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * 0.5 / 20, rel=0.15)


def test_two_methods_are_compared_over_the_same_draws() -> None:
    values = np.random.default_rng(5).random((300, 1))
    visitors = np.arange(300)
    first, second = bootstrap_means(values, visitors), bootstrap_means(values + 0.1, visitors)
    assert np.allclose(second - first, 0.1)
