"""What events tell of items met together."""

from __future__ import annotations

from streamrec.candidates import activities
from streamrec.candidates.activity import visitor_hash
from streamrec.config import ProfileSettings
from streamrec.events import Cart, Click, Event, Impressions, ItemActivity, Order, OrderLine, Search
from streamrec.profiles import Profile, apply

T0 = 1_700_000_000_000
HOUR = 3_600_000


def after(*events: Event) -> list[tuple[str, ItemActivity]]:
    """What the last event tells once the others are in the profile."""
    profile = Profile()
    for event in events:
        assert apply(profile, event, ProfileSettings())
    return activities("u", profile, events[-1])


def pairs(messages: list[tuple[str, ItemActivity]]) -> set[tuple[str, str]]:
    return {(item_id, other) for item_id, activity in messages for other in activity.neighbours}


def click(item_id: str, ts: int = T0) -> Click:
    return Click(item_id=item_id, ts=ts)


def test_a_first_click_is_a_visit_without_neighbours() -> None:
    [(item_id, activity)] = after(click("a"))
    assert (item_id, activity.kind, activity.neighbours, activity.echo) == ("a", "click", (), False)


def test_both_sides_of_a_pair_are_told_and_the_neighbours_side_is_an_echo() -> None:
    told = after(click("a"), click("b", T0 + 1))
    assert [(item_id, m.neighbours, m.echo) for item_id, m in told] == [("b", ("a",), False), ("a", ("b",), True)]


def test_the_nearest_five_other_items_of_the_visit_are_named() -> None:
    events = [click("old", T0 - 2 * HOUR), *(click(f"i{i}", T0 + i) for i in range(8)), click("x", T0 + 8)]
    assert after(*events)[0][1].neighbours == ("i7", "i6", "i5", "i4", "i3")


def test_an_echo_tells_the_place_that_the_order_of_the_own_message_tells() -> None:
    told = after(*(click(f"i{i}", T0 + i) for i in range(4)))
    assert told[0][1].neighbours == ("i2", "i1", "i0")
    assert [(item_id, m.distance) for item_id, m in told[1:]] == [("i2", 1), ("i1", 2), ("i0", 3)]


def test_a_click_on_the_item_that_was_clicked_last_in_the_visit_is_told_so() -> None:
    assert after(click("a"), click("a", T0 + 1))[0][1].again
    assert not after(click("a"))[0][1].again
    assert not after(click("a"), click("b", T0 + 1), click("a", T0 + 2))[0][1].again
    assert not after(click("a"), click("a", T0 + HOUR + 1))[0][1].again
    assert not after(click("a"), Cart(item_id="a", op="add", ts=T0 + 1))[0][1].again
    assert after(click("a"), Cart(item_id="a", op="add", ts=T0 + 1), click("a", T0 + 2))[0][1].again


def test_a_late_event_makes_the_pair_that_it_would_have_made_in_time() -> None:
    in_time = pairs(after(click("a", T0), click("b", T0 + 1)))
    late = pairs(after(click("b", T0 + 1), click("a", T0)))
    assert in_time == late


def test_the_lines_of_an_order_are_each_others_neighbours() -> None:
    lines = tuple(OrderLine(item_id=name) for name in "cabca")
    told = after(Order(lines=lines, ts=T0))
    assert pairs(told) == {(x, y) for x in "abc" for y in "abc" if x != y}
    assert {m.kind for _, m in told} == {"order"}
    assert not any(m.echo for _, m in told)


def test_a_long_order_stays_bounded_and_symmetric() -> None:
    told = after(Order(lines=tuple(OrderLine(item_id=f"i{i:03d}") for i in range(200)), ts=T0))
    assert len(told) == 200
    assert all(len(m.neighbours) == 20 for _, m in told)
    assert {(b, a) for a, b in pairs(told)} == pairs(told)


def test_adding_to_the_cart_tells_and_taking_out_searching_and_being_shown_do_not() -> None:
    assert after(Cart(item_id="a", op="add", ts=T0))[0][1].kind == "cart"
    assert after(Cart(item_id="a", op="remove", ts=T0)) == []
    assert after(Search(query="tea", ts=T0)) == []
    assert after(Impressions(item_ids=("a",), ts=T0)) == []


def test_visitors_are_told_apart_by_a_number_that_fits_a_signed_word() -> None:
    numbers = {visitor_hash(f"u{i}") for i in range(1000)}
    assert len(numbers) == 1000
    assert all(0 <= number < 1 << 63 for number in numbers)
