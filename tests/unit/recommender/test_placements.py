"""Lists of placements besides home: who gets one when, and what it may hold."""

from __future__ import annotations

import pytest

from streamrec.config import ListSettings
from streamrec.events import Cart, Click, Event, Impressions, ItemNeighbours, Neighbour, Order, OrderLine, Search
from streamrec.lists.keys import CART, HOME
from streamrec.lists.packing import RankedList
from tests.unit.recommender.rooms import T0, Room


def put(item_id: str, at: int = 0, op: str = "add") -> Cart:
    return Cart(item_id=item_id, op=op, ts=T0 + at)  # type: ignore[arg-type]


def ordered(item_id: str, at: int) -> Order:
    return Order(lines=(OrderLine(item_id=item_id),), ts=T0 + at)


def cart(room: Room, user_id: str = "u") -> RankedList | None:
    return room.store.lists(user_id).get(CART)


def ids(room: Room) -> list[str]:
    ranked = cart(room)
    assert ranked is not None
    return ranked.ids()


def test_who_has_nothing_in_the_cart_has_no_list_for_it() -> None:
    room = Room()
    room.visit(("u", Click(item_id="i1", ts=T0)), ("u", Search(query="red shoe", ts=T0 + 1)))
    assert set(room.store.lists("u")) == {HOME}


def test_a_change_of_the_cart_makes_its_list_with_the_home_list_in_one_write() -> None:
    room = Room()
    room.visit(("u", put("i1")))
    assert room.outage.calls.count("commit") == 1
    assert set(room.store.lists("u")) == {HOME, CART}
    assert "i1" not in ids(room)
    # Items of a colour are alike: what is for the cart is of its colour, whatever was clicked meanwhile.
    room.clock.advance(1000)
    room.visit(("u", Click(item_id="i2", ts=T0 + 10)), ("u", Click(item_id="i5", ts=T0 + 11)))
    assert {int(item_id[1:]) % 3 for item_id in ids(room)[:3]} == {1}
    assert {int(item_id[1:]) % 3 for item_id in room.home("u")[:2]} == {2}
    assert room.pushed("cart") == 1  # and it is as it was: nothing that it depends on changed


def test_what_others_bought_with_the_cart_comes_first() -> None:
    room = Room()
    room.knowledge.take_neighbours([("i1", _record({"i3": 9.0, "i0": 3.0}))])
    room.visit(("u", put("i1")))
    ranked = cart(room)
    assert ranked is not None
    assert [(item.id, item.why) for item in ranked.items[:2]] == [("i3", "together:i1"), ("i0", "together:i1")]


def _record(bought: dict[str, float]) -> ItemNeighbours:
    met = tuple(Neighbour(item_id=item_id, together=weight, bought=weight) for item_id, weight in bought.items())
    return ItemNeighbours(as_of=T0, popularity=9.0, neighbours=met, total=sum(bought.values()))


def test_an_order_and_a_removal_make_the_list_anew() -> None:
    room = Room(6)
    room.visit(("u", put("i1")), ("u", put("i2", 1)))
    assert not {"i1", "i2"} & set(ids(room))
    room.visit(("u", put("i2", 2, "remove")))
    assert "i2" in ids(room)
    room.visit(("u", ordered("i1", 3)))
    assert "i1" not in ids(room)
    assert room.pushed("cart") == 3


def test_being_shown_something_makes_no_list_and_repeating_a_batch_changes_nothing() -> None:
    room = Room()
    batch: list[tuple[str, Event]] = [("u", put("i1")), ("u", Impressions(item_ids=("i2",), ts=T0 + 1))]
    room.visit(*batch)
    before = room.store.image()
    room.clock.advance(1000)
    room.visit(*batch)
    assert room.store.image() == before
    room.visit(("u", Impressions(item_ids=("i4",), ts=T0 + 2)))
    assert room.pushed("cart") == 1


def test_what_may_not_be_shown_is_on_no_new_list_and_leaves_the_old_one_with_the_next_event() -> None:
    """In between readers are guarded: it is in the guard before anything else happens."""
    room = Room()
    room.visit(("u", put("i1")))
    gone = ids(room)[0]
    room.stock(gone, 0)
    assert room.knowledge.hidden(room.clock.now_ms())[room.knowledge.items.find(gone)]
    room.visit(("u", Click(item_id="i1", ts=T0 + 5)))
    assert gone not in ids(room)
    room.stock(gone, 3)
    room.visit(("u", Click(item_id="i1", ts=T0 + 6)))
    assert gone in ids(room)


def test_forgetting_a_visitor_deletes_the_lists_of_all_placements() -> None:
    room = Room()
    room.visit(("u", put("i1")))
    assert set(room.store.forget("u").deleted) == {"profile:{u}", "rec:{u}", "rec:{u}:cart"}
    assert room.store.lists("u") == {}


def test_recalled_carts_have_their_list_again() -> None:
    room = Room()
    room.visit(("u", Click(item_id="i2", ts=T0)), ("u", put("i1", 1)))
    before = ids(room)
    room.store.forget("u")
    room.upkeep.adopt()
    room.visits.recall([("u", Click(item_id="i2", ts=T0))])
    assert cart(room) is None
    room.visits.recall([("u", put("i1", 1))])  # the home list stands by now and is left to upkeep
    assert ids(room) == before


@pytest.mark.parametrize("placements", [(), ("home",), ("cart", "detail", "cart")])
def test_placements_are_configuration(placements: tuple[str, ...]) -> None:
    room = Room()
    room.settings = room.settings.model_copy(update={"lists": ListSettings(reserve=2, placements=placements)})
    room.start()
    room.items([f"i{number}" for number in range(12)])
    room.visit(("u", Click(item_id="i2", ts=T0)), ("v", put("i1")))
    assert set(room.store.lists("u")) == {HOME} | ({"detail"} & set(placements))
    assert set(room.store.lists("v")) == {HOME} | ({"detail", "cart"} & set(placements))
