"""Laws of the searches that are remembered."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamrec.index import ExactIndex
from streamrec.ranking.nearest import NearestItems

DIM = 8


class CountingIndex(ExactIndex):
    """Counts the queries that it is asked."""

    asked = 0

    def search(
        self, queries: ArrayLike, k: int, mask: NDArray[np.bool_] | None = None, *, blocked: bool = False
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        self.asked += len(np.asarray(queries))
        return super().search(queries, k, mask, blocked=blocked)


def vectors(n: int, seed: int) -> NDArray[np.float32]:
    drawn = np.random.default_rng(seed).standard_normal((n, DIM)).astype(np.float32)
    unit: NDArray[np.float32] = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return unit


def filled(n: int = 40) -> CountingIndex:
    index = CountingIndex(DIM)
    index.upsert(np.arange(n), vectors(n, 1))
    return index


def test_answers_equal_those_of_the_index_whatever_changes_in_between() -> None:
    index = filled()
    nearest = NearestItems(index, 1000)
    rng = np.random.default_rng(2)
    for step in range(60):
        label = rng.integers(0, 40, 2)
        change = (index.block, index.unblock, index.remove, lambda labels: index.upsert(labels, vectors(2, step)), len)[step % 5]  # noqa: B023 - called at once
        change(label)
        rows = rng.choice(40, 10)
        queries = index.vectors(rows)
        expected = ExactIndex.search(index, queries, 5)[0]
        np.testing.assert_array_equal(nearest.get(rows.tolist(), queries, 5), expected)


def test_equal_searches_are_made_once_until_a_vector_changes() -> None:
    index = filled()
    nearest = NearestItems(index, 1000)
    queries = index.vectors([1, 2, 1])
    nearest.get([1, 2, 1], queries, 5)
    nearest.get([2, 1, 2], index.vectors([2, 1, 2]), 5)
    assert index.asked == 2
    index.upsert([9], vectors(1, 5))
    nearest.get([1], queries[:1], 5)
    assert index.asked == 3
    assert nearest.get([1], queries[:1], 7).shape == (1, 7)


def test_what_sells_out_and_returns_is_answered_from_what_is_kept() -> None:
    """The item is gone from the next answer and back in the one after, and the index is not asked again."""
    index = filled()
    nearest = NearestItems(index, 1000)
    query = index.vectors([1])
    before = nearest.get([1], query, 6)[0].tolist()
    assert index.asked == 1
    index.block(before[2:4])
    now = nearest.get([1], query, 6)[0].tolist()
    assert now[:4] == before[:2] + before[4:]
    assert not {*before[2:4]} & {*now}
    assert len(now) == 6
    index.unblock(before[2:4])
    assert nearest.get([1], query, 6)[0].tolist() == before
    assert index.asked == 1


def test_a_shop_that_is_largely_sold_out_is_answered_in_full_and_soon_from_what_is_kept_again() -> None:
    index = filled(400)
    nearest = NearestItems(index, 1000)
    index.block(np.arange(0, 400, 2))
    index.block(np.arange(1, 400, 4))
    keys = list(range(20))
    queries = index.vectors(keys)
    for _ in range(20):
        np.testing.assert_array_equal(nearest.get(keys, queries, 5), ExactIndex.search(index, queries, 5)[0])
    asked = index.asked
    nearest.get(keys, queries, 5)
    assert index.asked - asked <= 3


def test_memory_stays_bounded_and_answers_right_over_ten_times_the_bound() -> None:
    index = filled()
    nearest = NearestItems(index, 4)
    for start in range(0, 40, 8):
        rows = list(range(start, start + 8))
        queries = index.vectors(rows)
        np.testing.assert_array_equal(nearest.get(rows, queries, 3), ExactIndex.search(index, queries, 3)[0])
        assert len(nearest._found) <= 4


def test_an_empty_index_has_nothing_near() -> None:
    assert NearestItems(ExactIndex(DIM), 10).get([3], vectors(1, 1), 5).shape == (1, 0)
    assert NearestItems(filled(), 10).get([], vectors(0, 1), 5).shape == (0, 0)
