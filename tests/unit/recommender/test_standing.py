"""The cart page's list is ranked when anything that it depends on changed, and stays where nothing did."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from streamrec.events import Cart, Click, Event, Order, OrderLine, Search
from streamrec.lists.keys import CART
from streamrec.lists.visitors import VisitorUpdate
from streamrec.recommender.standing import Standing
from tests.unit.recommender.rooms import T0, Room


def put(item_id: str, at: int = 0) -> Cart:
    return Cart(item_id=item_id, op="add", ts=T0 + at)


@pytest.fixture
def room() -> Room:
    """A visitor with i1 in the cart, whose list is made and who has clicked since."""
    room = Room()
    room.visit(("u", put("i1")), ("v", put("i2")))
    assert room.pushed("cart") == 2
    for at in (10, 20):
        room.clock.advance(100)
        room.visit(("u", Click(item_id="i2", ts=T0 + at)))
    assert room.pushed("cart") == 2
    return room


def listed(room: Room) -> list[str]:
    return room.store.lists("u")[CART].ids()


def go_on(room: Room, event: Event | None = None) -> int:
    """Return how many lists of carts one more event makes."""
    before = room.pushed("cart")
    room.clock.advance(100)
    room.visit(("u", event or Click(item_id="i2", ts=T0 + 1000)))
    return room.pushed("cart") - before


def test_clicks_elsewhere_make_no_list_for_the_cart_and_leave_the_one_that_stands(room: Room) -> None:
    before = listed(room)
    assert go_on(room) == 0
    assert listed(room) == before


CHANGES: dict[str, Callable[[Room], object]] = {
    "sold out": lambda room: room.stock(listed(room)[0], 0),
    "reduced": lambda room: room.price(listed(room)[-1], 5.0, 50.0),
    "excluded": lambda room: room.campaign("recall", "exclude", listed(room)[0]),
    "boosted": lambda room: room.campaign("spring", "boost", "i10", factor=50.0),
    "pinned": lambda room: room.campaign("top", "pin", "i9", slots=(1,)),
    "for a segment": lambda room: room.campaign("new", "exclude", listed(room)[0], segment="new"),
    "of another time": lambda room: room.clock.advance(60_000),
    "forgotten": lambda room: room.store.forget("u"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_the_shop_changes_reaches_the_list_with_the_next_event(room: Room, change: Callable[[Room], object]) -> None:
    change(room)
    made = go_on(room, put("i1", 2000) if change is CHANGES["forgotten"] else None)
    assert made == 1
    assert go_on(room) == 0, "and then it stands again"


def test_an_item_that_is_back_is_on_the_list_again(room: Room) -> None:
    first = listed(room)
    room.stock(first[0], 0)
    assert go_on(room) == 1
    assert first[0] not in listed(room)
    room.stock(first[0], 5)
    assert go_on(room, Click(item_id="i2", ts=T0 + 1100)) == 1
    assert listed(room) == first


@pytest.mark.parametrize(
    "event",
    [
        put("i4", 1000),
        Cart(item_id="i1", op="remove", ts=T0 + 1000),
        Order(lines=(OrderLine(item_id="i1"),), ts=T0 + 1000),
        Search(query="green shoe", ts=T0 + 1000),
        Click(item_id="i1", ts=T0 + 1000),
    ],
    ids=["more", "less", "bought", "searched", "weighs more"],
)
def test_what_the_visitor_changes_reaches_it_at_once(room: Room, event: Event) -> None:
    first = room.store.image()[1]["u"][CART]
    made = go_on(room, event)
    alone = isinstance(event, Click)  # one item in the cart is all that the list is for, however often it is opened
    assert made == (0 if alone else 1)
    assert (room.store.image()[1]["u"][CART] == first) is alone


def test_another_worker_that_wrote_the_visitor_is_not_trusted_to_have_left_the_list(room: Room) -> None:
    [profile] = room.store.load(["u"])
    room.store.commit([VisitorUpdate("u", profile)])
    assert go_on(room) == 1


def test_what_is_remembered_is_bounded(room: Room) -> None:
    standing = Standing(room.knowledge, CART, 60.0, max_visitors=3)
    [profile] = room.store.load(["u"])
    rows = room.knowledge.items.find_all(("i1", "i2"))
    for n in range(10):
        standing.made(f"u{n}", profile, rows, T0)
    assert len(standing) == 3
    assert standing.holds("u9", profile.revision, profile, T0)
    assert not standing.holds("u1", profile.revision, profile, T0)
    assert not standing.holds("u9", profile.revision + 1, profile, T0)
