"""The matrix of ranked lists."""

from __future__ import annotations

import random
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrec.lists.matrix import ListMatrix
from streamrec.ranking import Ranking


def _ranking(*rows: int, query: str = "") -> Ranking:
    n = len(rows)
    return Ranking(
        np.array(rows, np.int32),
        np.linspace(1, 0, n, dtype=np.float32),
        np.full(n, 2, np.uint8),
        np.arange(n, dtype=np.int32),
        query,
    )


def _same(left: Ranking | None, right: Ranking) -> bool:
    return (
        left is not None
        and left.query == right.query
        and all(np.array_equal(getattr(left, name), getattr(right, name)) for name in ("rows", "scores", "reasons", "evidence"))
    )


def test_a_ranking_is_given_back_as_it_was_put_cut_to_k() -> None:
    matrix = ListMatrix(10, 3)
    matrix.put(["u", "v"], [_ranking(5, 0, query="boots"), _ranking(7, 8, 9, 10)])
    assert _same(matrix.get("u"), _ranking(5, 0, query="boots"))
    got = matrix.get("v")
    assert got is not None
    assert got.rows.tolist() == [7, 8, 9]
    assert matrix.get("w") is None


def test_a_shorter_ranking_leaves_nothing_of_the_longer_one() -> None:
    matrix = ListMatrix(10, 3)
    matrix.put(["u"], [_ranking(5, 6, 7)])
    matrix.put(["u"], [_ranking(9)])
    assert _same(matrix.get("u"), _ranking(9))
    assert matrix.users_holding([6]) == []
    matrix.put(["u"], [_ranking()])
    assert _same(matrix.get("u"), _ranking())


def test_what_get_returns_does_not_change_with_the_matrix() -> None:
    matrix = ListMatrix(10, 2)
    matrix.put(["u"], [_ranking(1, 2)])
    before = matrix.get("u")
    matrix.put(["u"], [_ranking(3, 4)])
    assert _same(before, _ranking(1, 2))


def test_unknown_rows_and_the_empty_places_of_lists_are_held_by_nobody() -> None:
    matrix = ListMatrix(10, 3)
    assert matrix.users_holding([1]) == []
    matrix.put(["u"], [_ranking(0)])
    assert matrix.users_holding([]) == []
    assert matrix.users_holding([-1, 99]) == []
    assert matrix.users_holding(np.array([0, 0], np.int32)) == ["u"]


def test_a_dropped_visitor_is_found_no_more_and_the_line_is_used_again() -> None:
    matrix = ListMatrix(2, 2)
    matrix.put(["u", "v"], [_ranking(1), _ranking(1)])
    [line] = [n for n in matrix.lines_holding([1]).tolist() if matrix.user(n) == "u"]
    assert matrix.drop(["u", "nobody"]) == 1
    assert matrix.users_holding([1]) == ["v"]
    with pytest.raises(KeyError):
        matrix.user(line)
    matrix.put(["w"], [_ranking(1)])
    assert sorted(matrix.users_holding([1])) == ["v", "w"]
    assert len(matrix) == 2


def test_beyond_the_bound_the_longest_untouched_visitors_go() -> None:
    matrix = ListMatrix(3, 2)
    for user_id in "abc":
        matrix.put([user_id], [_ranking(1)])
    matrix.put(["a", "d"], [_ranking(1), _ranking(2)])
    assert matrix.users() == ["c", "a", "d"]
    assert "b" not in matrix
    assert sorted(matrix.users_holding([1])) == ["a", "c"]


def test_memory_stays_bounded_over_a_tenfold_stream() -> None:
    matrix = ListMatrix(3000, 4)
    for start in range(0, 30_000, 500):
        matrix.put([f"u{n}" for n in range(start, start + 500)], [_ranking(n % 50) for n in range(500)])
    assert len(matrix) == 3000
    assert matrix._columns["rows"].shape == (3000, 4)
    assert len(matrix._users) == 3000
    assert len(matrix._queries) <= 3000


_operations = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.none() | st.lists(st.integers(0, 5), max_size=5, unique=True)), max_size=40
)


@given(operations=_operations, wanted=st.sets(st.integers(-1, 7)), seed=st.integers(0, 9))
def test_the_scan_finds_what_a_walk_over_all_lists_finds(
    operations: list[tuple[str, list[int] | None]], wanted: set[int], seed: int
) -> None:
    """Every fast path equals the slow one, through puts, drops and displacement."""
    matrix, lists = ListMatrix(4, 3), OrderedDict[str, list[int]]()
    for user_id, rows in operations:
        if rows is None:
            assert matrix.drop([user_id]) == (lists.pop(user_id, None) is not None)
            continue
        matrix.put([user_id], [_ranking(*rows)])
        lists[user_id] = rows[:3]
        lists.move_to_end(user_id)
        if len(lists) > 4:
            lists.popitem(last=False)
    shuffled = list(wanted)
    random.Random(seed).shuffle(shuffled)
    assert set(matrix.users_holding(shuffled)) == {user_id for user_id, rows in lists.items() if wanted & set(rows)}
    assert matrix.users() == list(lists)
