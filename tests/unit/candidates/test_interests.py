"""What a visitor is after, found among what the visitor met."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from streamrec.candidates import interests
from streamrec.catalogue.table import id_hash


def hashes(n: int) -> NDArray[Any]:
    return np.array([id_hash(f"i{i}") for i in range(n)], np.uint64)


def around(*centres: tuple[int, float]) -> NDArray[Any]:
    """Vectors near to unit vectors of an 8-d space: (axis, tilt towards the last axis)."""
    vectors = np.zeros((len(centres), 8), np.float32)
    for i, (axis, tilt) in enumerate(centres):
        vectors[i, axis], vectors[i, 7] = np.cos(tilt), np.sin(tilt)
    return vectors


def test_two_tastes_are_two_interests_and_the_heavier_comes_first() -> None:
    found = interests(around((0, 0.1), (0, 0.2), (1, 0.1)), np.array([0.3, 0.3, 1.0]), hashes(3), 3)
    assert len(found.medoids) == 2
    assert found.medoids[0] == 2
    assert found.weights.tolist() == [1.0, 0.6]


def test_an_interest_is_represented_by_the_item_in_its_middle() -> None:
    found = interests(around((0, 0.0), (0, 0.3), (0, 0.6)), np.ones(3), hashes(3), 3)
    assert found.medoids.tolist() == [1]


def test_nothing_met_is_no_interest() -> None:
    assert len(interests(np.empty((0, 8), np.float32), np.empty(0), hashes(0), 3).medoids) == 0


@given(st.lists(st.tuples(st.integers(0, 6), st.floats(0, 0.5)), min_size=1, max_size=20), st.integers(1, 4), st.randoms())
def test_the_order_in_which_items_are_given_does_not_matter(centres, bound, rng) -> None:  # type: ignore[no-untyped-def]
    vectors, weights, names = around(*centres), np.linspace(0.1, 1, len(centres)), hashes(len(centres))
    straight = interests(vectors, weights, names, bound)
    order = list(range(len(centres)))
    rng.shuffle(order)
    shuffled = interests(vectors[order], weights[order], names[order], bound)
    assert [order[i] for i in shuffled.medoids] == straight.medoids.tolist()
    assert len(straight.medoids) <= bound
    assert straight.weights[0] == 1.0
