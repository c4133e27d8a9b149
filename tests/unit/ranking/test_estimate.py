"""Estimates of the next item are probabilities, and agree with values worked out by hand."""

from __future__ import annotations

from math import exp

import numpy as np
import pytest

from streamrec.ranking.estimate import alike, squashed

EVERYBODY = np.ones(3, np.bool_)


def test_among_items_alike_the_popular_one_is_likelier_and_the_nearer_one_too() -> None:
    near = np.array([[0.9], [0.9], [0.7]])
    found, interest = alike(near, np.ones(1), np.array([1.0, 0.49, 1.0]), EVERYBODY, 0.1)
    odds = np.array([1.01, 0.5, 1.01 * exp(-2)])
    assert found == pytest.approx(odds / odds.sum())
    assert interest.tolist() == [0, 0, 0]


def test_interests_share_the_whole_by_their_weights() -> None:
    near = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    found, interest = alike(near, np.array([1.0, 0.5]), np.ones(3), EVERYBODY, 0.1)
    first = 1 / (1 + 2 * exp(-10))
    assert found[:2] == pytest.approx([first * 2 / 3 + (1 - first) / 6, first / 3 + (1 - first) / 3])
    assert interest.tolist() == [0, 1, 0]
    assert found.sum() == pytest.approx(1.0)


def test_what_does_not_compete_takes_nothing_from_the_others() -> None:
    near, standing = np.array([[0.9], [0.8], [0.7]]), np.ones(3)
    whole, _ = alike(near[:2], np.ones(1), standing[:2], EVERYBODY[:2], 0.1)
    asked, _ = alike(near, np.ones(1), standing, np.array([True, True, False]), 0.1)
    assert asked[:2] == pytest.approx(whole)
    assert asked[2] > 0


def test_squashing_keeps_the_order_and_divides_a_score_as_the_probability_is_divided() -> None:
    parts = np.array([[0.0, 0.02, 0.3], [0.0, 0.04, 0.1]])
    scores = squashed(parts)
    assert scores.sum(axis=0) == pytest.approx([0.0, 0.06 / 0.16, 0.4 / 0.5])
    assert scores[0, 1:] / scores[1, 1:] == pytest.approx([0.5, 3.0])
