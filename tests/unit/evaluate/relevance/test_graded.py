"""Measures of graded answers agree with values worked out by hand."""

from __future__ import annotations

from math import log2

import numpy as np
import pytest

from streamrec.evaluate.relevance import fusion, graded, pairs


def test_the_gain_of_a_grade_is_a_power_of_two_and_places_count_by_logarithm() -> None:
    grades = [0, 1, 2, 3]
    assert graded.dcg(grades, 10) == pytest.approx(0 / 1 + 1 / log2(3) + 3 / log2(4) + 7 / log2(5))
    assert graded.dcg(grades, 2) == pytest.approx(1 / log2(3))
    ideal = 7 / 1 + 3 / log2(3) + 1 / log2(4)
    assert graded.ndcg(grades, [3, 2, 1, 0], 10) == pytest.approx(graded.dcg(grades, 10) / ideal)


def test_the_ideal_is_of_all_that_was_judged_and_not_of_what_was_found() -> None:
    assert graded.ndcg([3], [3, 3], 1) == 1.0
    assert graded.ndcg([3], [3, 3], 2) == pytest.approx(7 / (7 + 7 / log2(3)))
    assert graded.ndcg([0, 0], [0, 0], 10) == 0.0


def test_what_fits_little_is_not_found() -> None:
    assert graded.recall([1, 2, 3], [1, 2, 3, 3], 10, 2) == pytest.approx(2 / 3)
    assert graded.recall([3], [0, 1], 10, 2) == 0.0
    assert graded.precision([1, 2, 3], 10, 2) == 0.2
    assert graded.first_found([1, 2, 3], 10, 3) == pytest.approx(1 / 3)
    assert graded.first_found([1, 2, 3], 2, 3) == 0.0


def test_fusion_by_ranks_prefers_what_both_answers_hold() -> None:
    fused = fusion.by_ranks([[1, 2, 3], [4, 2, 5]])
    assert max(fused, key=fused.__getitem__) == 2
    assert fused[1] == fused[4] == pytest.approx(1 / 61)


def test_fusion_by_scores_is_deaf_to_the_scale_of_either_answer() -> None:
    once = fusion.by_scores([{1: 0.9, 2: 0.3}, {2: 5.0}], (0.5, 0.5))
    assert fusion.by_scores([{1: 0.9, 2: 0.3}, {2: 500.0}], (0.5, 0.5)) == pytest.approx(once)
    assert once == pytest.approx({1: 0.5, 2: 0.5 / 3 + 0.5})
    assert fusion.by_scores([{1: 0.0}, {}], (0.5, 0.5)) == {1: 0.0}


def test_pairs_that_a_score_tells_apart_have_the_area_one_and_those_that_it_does_not_a_half() -> None:
    fits = np.array([True] * 50 + [False] * 50)
    assert pairs.auc(np.arange(100.0)[::-1], fits) == 1.0
    assert pairs.auc(np.arange(100.0), fits) == 0.0
    assert pairs.auc(np.zeros(100), fits) == 0.5
    assert np.isnan(pairs.auc(np.zeros(3), np.ones(3, np.bool_)))


def test_two_titles_of_one_query_are_compared_with_each_other_alone() -> None:
    scores = np.array([0.9, 0.1, 0.2, 0.8, 0.3])
    grades = np.array([2, 0, 1, 0, 2], np.int64)
    queries = pairs.numbered(["a", "a", "b", "b", "c"])
    assert pairs.same_query(scores, grades, queries).tolist() == [[1.0, 0.0], [0.0, 1.0]]
    figures = pairs.figures(scores, grades, queries, seed=7)
    assert figures["pairs_of_one_query"] == 2
    assert figures["same_query"] == 0.5
    # 0.9 and 0.3 of what fits best against 0.1 and 0.8 of what does not.
    assert figures["auc_best_from_worst"] == 0.75


def test_intervals_of_pairs_hold_their_means() -> None:
    rng = np.random.default_rng(3)
    grades = rng.integers(0, 3, 600)
    scores = grades + rng.normal(0, 1.5, 600)
    figures = pairs.figures(scores, grades.astype(np.int64), np.arange(600) // 2, seed=7)
    for name, (low, high) in figures["interval95"].items():
        assert low < figures[name] < high
        assert high - low < 0.3
