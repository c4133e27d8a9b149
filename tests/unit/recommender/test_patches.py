"""Patches of published lists: who else patched one is noticed, and what an item needs of its place may change."""

from __future__ import annotations

import numpy as np

from streamrec.catalogue.store import Fact
from streamrec.events import Stock
from streamrec.events.topics import STOCK
from streamrec.lists.keys import HOME
from tests.unit.recommender.rooms import T0, Room, visited


def test_the_first_patch_of_a_list_that_was_taken_over_tells_its_last_owner() -> None:
    """Who returns to a visitor sees by ``made_at`` that others patched the list, and looks at it again."""
    room = visited()
    first, item_id = room.upkeep, room.home("u")[1]
    matrix, made_at = room.matrix, {u: room.store.lists(u)[HOME].made_at for u in "uv"}
    room.start()  # another worker, which knows the shop and no visitor, takes over all lists
    room.items([f"i{n}" for n in range(12)])
    room.upkeep.adopt()
    room.tick()
    room.stock(item_id, 0)
    room.stock(item_id, 5)
    room.stock(item_id, 0)
    assert {u: room.store.lists(u)[HOME].made_at - made_at[u] for u in "uv"} == dict.fromkeys("uv", 1)
    room.upkeep, room.matrix = first, matrix  # it holds the lists as they were when it lost them
    gone = room.home("u")[0]
    room.upkeep._knowledge.take_facts([Fact(STOCK, item_id, Stock(quantity=0, ts=T0 + 9000), 9000)])
    room.upkeep.changed(room.upkeep._knowledge.take_facts([Fact(STOCK, gone, Stock(quantity=0, ts=T0 + 9001), 9001)]))
    assert not {item_id, gone} & set(room.home("u"))
    assert room.knowledge.items.ids(matrix.shown("u")) == room.home("u")


def _rescore(room: Room, score: float) -> None:
    """Give what is ranked for u another score, as a campaign does, and leave the list as it stands."""
    lines = room.matrix.lines_of(["u"])
    room.matrix.rescore(lines, np.full_like(room.matrix.ranked(lines)[1], score))


def test_what_has_no_room_in_its_list_any_more_is_ranked_again() -> None:
    """Scores that a campaign changed may take more bytes than the list left for them."""
    room = visited()
    before, gone = room.homes(), room.home("u")[2]
    room.stock(gone, 0)
    _rescore(room, 1.2345e-10)
    room.stock(gone, 5)
    assert (gone in room.home("u"), gone in room.home("v")) == (False, gone in before["v"])
    assert room.upkeep.backlog == 1
    room.tick()
    assert room.home("u") == before["u"]


def test_what_needs_less_room_than_before_leaves_blanks_within_its_place() -> None:
    room = visited()
    before, gone = room.homes(), room.home("u")[2]
    room.stock(gone, 0)
    _rescore(room, 1.0)
    room.stock(gone, 5)
    assert room.homes() == before
    room.stock(before["u"][3], 0)
    assert room.home("u") == [item_id for item_id in before["u"] if item_id != before["u"][3]]
    assert room.upkeep.backlog == 0
