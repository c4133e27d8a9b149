"""Prices: a reduction that changes ranks the lists again that hold the item, not too many in a second."""

from __future__ import annotations

import pytest

from streamrec.lists.keys import HOME
from streamrec.recommender.upkeep import UNHURRIED_PER_S
from tests.unit.recommender.rooms import Room, visited


def test_lists_that_hold_an_item_whose_reduction_changed_are_ranked_again_and_no_others() -> None:
    room = visited()
    last = room.home("u")[-1]
    held = [user_id for user_id, ids in room.homes().items() if last in room.knowledge.items.ids(room.matrix.get(user_id).rows)]  # type: ignore[union-attr]
    before = next(item.score for item in room.store.lists("u")[HOME].items if item.id == last)
    room.price(last, 5.0, 10.0)
    room.tick()
    assert room.pushed("refresh") == len(held)
    after = next(item.score for item in room.store.lists("u")[HOME].items if item.id == last)
    assert after == pytest.approx(before + 0.5 * room.settings.ranking.weight_discount, abs=1e-4)
    room.clock.advance(2000)
    room.price(last, 4.9, 10.0)  # too little to move anything
    room.tick()
    assert room.pushed("refresh") == len(held)


def test_many_small_steps_of_a_price_count_like_a_large_one() -> None:
    room = visited()
    last = room.home("u")[-1]
    told = [len(room.price(last, 10.0 - 0.2 * n, 10.0).repriced) for n in range(9)]
    assert told == [0, 0, 0, 1, 0, 0, 1, 0, 0]


def test_prices_rank_so_many_lists_again_in_a_second() -> None:
    room = Room(max_visitors=300)
    for n in range(UNHURRIED_PER_S + 50):
        room.click(f"u{n}", "i1")
    room.price(room.home("u0")[0], 5.0, 10.0)
    room.tick()
    assert room.pushed("refresh") == UNHURRIED_PER_S
    room.at(1000)
    assert room.pushed("refresh") == UNHURRIED_PER_S + 50
