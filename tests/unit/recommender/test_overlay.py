"""A boost or bury moves items within lists at once, by the scores that were ranked, and nothing that has its place by rule."""

from __future__ import annotations

from itertools import chain

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streamrec.lists.matrix import ListMatrix
from streamrec.ranking import Ranking, Reason
from streamrec.recommender.overlay import latest_holding, order_of, overlaid
from tests.unit.recommender.rooms import T0, Room

K = 6


def _ranking(rows: list[int], scores: list[float], reasons: dict[int, Reason] | None = None, evidence: int = -1) -> Ranking:
    codes = np.array([(reasons or {}).get(place, Reason.CONTENT) for place in range(len(rows))], np.uint8)
    return Ranking(np.array(rows, np.int32), np.array(scores, np.float32), codes, np.full(len(rows), evidence, np.int32), "q")


def _moved(
    matrix: ListMatrix, factors: list[float], *, pinning: tuple[int, ...] = (), explore_every: int = 0
) -> dict[str, list[int]]:
    made = overlaid(matrix, matrix.users(), np.array(factors, np.float32), 0, pinning, lambda _: explore_every)
    return {user_id: ranking.rows.tolist() for user_id, ranking in chain.from_iterable(made)}


def test_only_lists_whose_order_changes_are_yielded_and_all_scores_are_kept() -> None:
    matrix = ListMatrix(10, K)
    matrix.put(["u", "v"], [_ranking([0, 1, 2], [9, 8, 1]), _ranking([3, 1], [9, 1])])
    assert _moved(matrix, [1, 4, 1, 1]) == {"u": [1, 0, 2]}
    scores = {user_id: found.scores.tolist() for user_id in "uv" if (found := matrix.get(user_id)) is not None}
    assert scores == {"u": [9, 32, 1], "v": [9, 4]}


def test_pinned_and_explored_items_keep_their_places() -> None:
    matrix = ListMatrix(10, K)
    matrix.put(["pin"], [_ranking([0, 1, 2], [9, 8, 7], {1: Reason.CAMPAIGN}, evidence=5)])
    assert _moved(matrix, [1, 1, 9], pinning=(5,)) == {"pin": [2, 1, 0]}
    matrix = ListMatrix(10, K)
    matrix.put(["new"], [_ranking([0, 1, 2, 3], [9, 1, 7, 8], {1: Reason.NEW, 2: Reason.NEW})])
    assert _moved(matrix, [1, 9, 9, 1], explore_every=2) == {"new": [2, 1, 0, 3]}


def test_visitors_of_several_variants_have_their_own_places_for_new_items() -> None:
    matrix = ListMatrix(10, K)
    lists = _ranking([0, 1, 2, 3], [9, 1, 7, 8], {1: Reason.NEW, 2: Reason.NEW})
    matrix.put(["second", "third", "none"], [lists, lists, lists])
    every = {"second": 2, "third": 3, "none": 0}
    made = overlaid(matrix, list(every), np.array([1, 9, 9, 1], np.float32), 0, (), every.__getitem__)
    found = {user_id: ranking.rows.tolist() for user_id, ranking in chain.from_iterable(made)}
    assert found == {"second": [2, 1, 0, 3], "none": [2, 0, 1, 3]}  # the third's one place for it is where it stands


def test_the_latest_come_first_and_lists_that_were_made_since_are_left_alone() -> None:
    matrix = ListMatrix(10, K)
    for number, user_id in enumerate("abcd"):
        matrix.put([user_id], [_ranking([0, number], [2, 1])], made_at=number)
    assert latest_holding(matrix, np.array([0], np.int32), 2, 2) == ["c", "b"]
    assert latest_holding(matrix, np.array([3], np.int32), 9, 9) == ["d"]


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=K))
def test_the_order_is_that_of_sorting_what_has_no_fixed_place(places: list[tuple[int, bool]]) -> None:
    scores, fixed = np.array([[s for s, _ in places]], np.float32), np.array([[f for _, f in places]])
    waiting = sorted((n for n, (_, is_fixed) in enumerate(places) if not is_fixed), key=lambda n: -places[n][0])
    expected = [n if is_fixed else waiting.pop(0) for n, (_, is_fixed) in enumerate(places)]
    assert order_of(scores, fixed)[0].tolist() == expected


def test_a_boost_moves_its_item_in_everybodys_list_at_its_moment_and_ranking_again_agrees() -> None:
    """Of forty visitors one tick ranks sixteen; the lists of all have moved by then."""
    room = Room()
    users = [f"u{n}" for n in range(40)]
    for user_id in users:
        room.click(user_id, "i1")
    room.tick()
    fourth = room.home("u0")[3]
    room.campaign("c", "boost", fourth, factor=50.0, starts=5000, ends=9000)
    room.tick()
    for ms, first in ((5000, True), (9000, False)):
        room.clock.advance(T0 + ms - room.clock.now_ms())
        room.upkeep.tick(0.0)
        assert {room.home(user_id)[0] == fourth for user_id in users} == {first}
        at_once = room.homes()
        room.tick()
        assert room.homes() == at_once
    assert room.pushed("overlay") == 2 * len(users)
