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
        self, queries: ArrayLike, k: int, mask: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        self.asked += len(np.asarray(queries))
        return super().search(queries, k, mask)


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


def test_equal_searches_are_made_once_until_the_index_changes() -> None:
    index = filled()
    nearest = NearestItems(index, 1000)
    queries = index.vectors([1, 2, 1])
    nearest.get([1, 2, 1], queries, 5)
    nearest.get([2, 1, 2], index.vectors([2, 1, 2]), 5)
    assert index.asked == 2
    index.block([9])
    nearest.get([1], queries[:1], 5)
    assert index.asked == 3
    assert nearest.get([1], queries[:1], 7).shape == (1, 7)


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
