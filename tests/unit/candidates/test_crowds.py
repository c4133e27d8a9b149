"""Visitors who all do the same tell of it a few times; visitors who differ always do."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamrec.candidates import Crowds

T0 = 1_700_000_000_000 // 21_600_000 * 21_600_000
HOUR = 3_600_000


def crowds(max_alike: int = 3, **bounds: int) -> Crowds:
    return Crowds(max_alike, 6 * 3600.0, **bounds)


def test_of_a_thousand_alike_three_pass_and_asking_again_gives_the_same_answer() -> None:
    held = crowds()
    first = [held.passes(n, ["a", "b"], T0 + n) for n in range(1000)]
    assert first == [True] * 3 + [False] * 997
    assert [held.passes(n, ["b", "a", "b"], T0) for n in range(1000)] == first


def test_whoever_differs_by_one_item_passes() -> None:
    held = crowds(1)
    assert all(held.passes(n, ["a", "b", f"own-{n}"], T0) for n in range(1000))


def test_another_window_lets_as_many_pass_again() -> None:
    held = crowds(2)
    for window in range(3):
        assert [held.passes(n, ["a"], T0 + 6 * HOUR * window + 5 * HOUR) for n in range(4)] == [True, True, False, False]


def test_without_a_bound_all_pass_and_nothing_is_remembered() -> None:
    held = crowds(0)
    assert all(held.passes(n, ["a"], T0) for n in range(100))
    assert len(held) == 0


@given(st.lists(st.tuples(st.integers(0, 9), st.sets(st.sampled_from("abc"))), max_size=60), st.integers(1, 3))
def test_memory_is_bounded_and_no_set_passes_more_often_than_it_may(told: list[tuple[int, set[str]]], max_alike: int) -> None:
    held, passed = crowds(max_alike), dict[frozenset[str], set[int]]()
    for visitor, items in told:
        if held.passes(visitor, items, T0):
            passed.setdefault(frozenset(items), set()).add(visitor)
    assert all(len(visitors) <= max_alike for visitors in passed.values())
    small = crowds(max_alike, max_sets=2)
    for visitor, items in told:
        small.passes(visitor, items, T0)
        assert len(small) <= 2
