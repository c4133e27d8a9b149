"""The best of all items, kept while values change."""

from __future__ import annotations

import numpy as np
import pytest

from streamrec.candidates.leaders import Leaders
from streamrec.candidates.ordering import top


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("size", [1, 8, 500])
def test_leaders_are_the_top_of_the_allowed_whatever_changed_before(seed: int, size: int) -> None:
    """Values rise, fall, tie and vanish; items come, sell out and return; a look at all of them gives the same rows."""
    rng = np.random.default_rng(seed)
    leaders, values, hashes = Leaders(size), np.empty(0), np.empty(0, np.uint64)
    for step in range(80):
        if step % 3 == 0:
            values = np.concatenate([values, rng.integers(0, 30, 10).astype(np.float64)])
            hashes = np.concatenate([hashes, rng.integers(0, 1 << 62, 10).astype(np.uint64)])
        values = values.copy()
        values[rng.integers(0, len(values), 4)] = rng.choice([-np.inf, 5.0, 29.0, 31.0, 40.0], 4)
        allowed = rng.random(len(values)) < rng.choice([0.02, 0.5, 1.0])
        n = int(rng.integers(1, 12))
        expected = top(np.where(allowed, values, -np.inf), hashes, n)
        assert leaders.first(values, hashes, allowed, n, step).tolist() == expected.tolist()
        assert leaders.greatest() == values.max()


def test_integers_have_a_value_of_their_own_for_what_is_no_candidate() -> None:
    leaders, hashes, allowed = Leaders(2, nothing=0), np.arange(4, dtype=np.uint64), np.ones(4, np.bool_)
    assert leaders.first(np.array([0, 3, 0, 5]), hashes, allowed, 4, 0).tolist() == [3, 1]
    assert leaders.greatest() == 5
    assert leaders.first(np.array([0, 3, 4, 0]), hashes, allowed, 4, 1).tolist() == [2, 1]


def test_nothing_is_looked_at_while_the_state_is_the_same() -> None:
    leaders, hashes, allowed = Leaders(2), np.arange(3, dtype=np.uint64), np.ones(3, np.bool_)
    assert leaders.first(np.array([1.0, 2.0, 3.0]), hashes, allowed, 1, "a").tolist() == [2]
    assert leaders.first(np.array([9.0, 2.0, 3.0]), hashes, allowed, 1, "a").tolist() == [2]
    assert leaders.first(np.array([9.0, 2.0, 3.0]), hashes, allowed, 1, "b").tolist() == [0]
