"""Single facts of profiles that the laws do not name."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from streamrec.config import ProfileSettings
from streamrec.errors import ProfileError
from streamrec.events import Cart, Click, Event, Impressions, Order, OrderLine, Search
from streamrec.profiles import Profile, apply, search_weights, weights

T0 = 1_767_225_600_000
HOUR = 3_600_000
LIMITS = ProfileSettings()


def profile_of(*stream: Event, limits: ProfileSettings = LIMITS) -> Profile:
    profile = Profile()
    for event in stream:
        apply(profile, event, limits)
    return profile


def order(ts: int, *item_ids: str, event_id: str = "") -> Order:
    return Order(lines=tuple(OrderLine(item_id=i) for i in item_ids), ts=ts, event_id=event_id)


def test_the_packed_layout_is_what_the_read_side_was_promised() -> None:
    """A golden profile: revision, then a map whose keys, shapes and plain types a Lua script relies on."""
    profile = profile_of(
        Click(item_id="tea", ts=T0, event_id="c1"),
        Cart(item_id="cup", op="add", quantity=2, ts=T0 + 1),
        Cart(item_id="pot", op="remove", ts=T0 + 2),
        order(T0 + 3, "tea"),
        Search(query=" red  cup ", ts=T0 + 4),
        Impressions(item_ids=("pot", "cup"), ts=T0 + 5),
    )
    profile.revision = 258
    packed = profile.pack()
    assert packed[:8] == b"\0\0\0\0\0\0\1\2"
    plain = msgspec.msgpack.decode(packed[8:])
    interactions = plain.pop("r")
    assert [row[:3] for row in interactions] == [[T0 + 3, 3, "tea"], [T0 + 1, 2, "cup"], [T0, 1, "tea"]]
    assert all(0 <= row[3] < 2**64 for row in interactions)
    assert plain == {
        "v": 1,
        "b": {"tea": T0 + 3},
        "c": {"cup": [2, T0 + 1], "pot": [0, T0 + 2]},
        "q": {"red cup": T0 + 4},
        "s": [[T0 + 5, ["cup", "pot"]]],
        "f": 0,
    }


def test_the_filters_of_a_search_are_remembered_with_it_until_it_is_made_without() -> None:
    first = Search(query="cup", ts=T0, filters={"brand": "Acme", "price_max": "9", "colour": "red", "category": ""})
    profile = profile_of(first)
    assert profile.filters == {"cup": (("brand", "Acme"), ("price_max", "9"))}
    assert msgspec.msgpack.decode(profile.pack()[8:])["g"] == {"cup": {"brand": "Acme", "price_max": "9"}}
    assert Profile.unpack(profile.pack()) == profile
    assert apply(profile, Search(query="cup", ts=T0 + 1), LIMITS)
    assert profile.filters == {}
    assert not apply(profile, first, LIMITS)
    assert profile.filters == {}


@pytest.mark.parametrize("damaged", [b"", b"\0" * 8, b"\0" * 8 + b"\x81", b"junk that is no profile", b"\0" * 8 + b"\x80"])
def test_damaged_bytes_are_an_error_that_says_what_to_do(damaged: bytes) -> None:
    with pytest.raises(ProfileError, match="forget"):
        Profile.unpack(damaged)


def test_another_layout_is_refused_and_an_unknown_key_is_not() -> None:
    plain = msgspec.msgpack.decode(profile_of(Click(item_id="a", ts=T0)).pack()[8:])
    newer_field = b"\0" * 8 + msgspec.msgpack.encode(plain | {"x": [1]})
    assert Profile.unpack(newer_field).recent[0].item_id == "a"
    with pytest.raises(ProfileError, match="upgrade streamrec"):
        Profile.unpack(b"\0" * 8 + msgspec.msgpack.encode(plain | {"v": 2}))


def test_recent_is_newest_first_with_its_kinds_and_every_line_of_an_order() -> None:
    profile = profile_of(order(T0 + 2, "a", "b"), Click(item_id="c", ts=T0), Cart(item_id="a", op="add", ts=T0 + 1))
    assert [(r.item_id, r.kind) for r in profile.recent] == [("b", "order"), ("a", "order"), ("a", "cart"), ("c", "click")]
    assert profile.latest_ts == T0 + 2


def test_one_event_id_is_one_event_even_when_it_is_stamped_again() -> None:
    profile = profile_of(Click(item_id="a", ts=T0, event_id="x"))
    assert apply(profile, Click(item_id="a", ts=T0 + 5, event_id="x"), LIMITS)
    assert not apply(profile, Click(item_id="a", ts=T0, event_id="x"), LIMITS)
    assert [r.ts for r in profile.recent] == [T0 + 5]
    assert apply(profile, Click(item_id="a", ts=T0, event_id="y"), LIMITS)
    assert len(profile.recent) == 2


def test_without_ids_two_clicks_at_different_times_are_two_and_at_the_same_time_one() -> None:
    profile = profile_of(Click(item_id="a", ts=T0), Click(item_id="a", ts=T0 + 1), Click(item_id="a", ts=T0))
    assert [r.ts for r in profile.recent] == [T0 + 1, T0]


def test_of_two_words_on_the_cart_at_the_same_time_the_larger_quantity_counts() -> None:
    two, none = Cart(item_id="a", op="add", quantity=2, ts=T0), Cart(item_id="a", op="remove", ts=T0)
    assert profile_of(two, none).in_cart() == profile_of(none, two).in_cart() == {"a": 2}


def test_ids_of_different_kinds_do_not_meet() -> None:
    profile = profile_of(Click(item_id="a", ts=T0, event_id="1"), Cart(item_id="a", op="add", ts=T0, event_id="1"))
    assert len(profile.recent) == 2


def test_taking_out_of_the_cart_is_no_sign_of_interest() -> None:
    profile = profile_of(Cart(item_id="a", op="remove", ts=T0))
    assert profile.recent == []
    assert profile.in_cart() == {}


def test_an_order_empties_the_cart_of_its_items_whichever_arrives_first() -> None:
    added, bought, again = Cart(item_id="a", op="add", ts=T0), order(T0, "a"), Cart(item_id="a", op="add", quantity=3, ts=T0 + 1)
    assert profile_of(added, bought).in_cart() == profile_of(bought, added).in_cart() == {}
    assert profile_of(again, bought, added).in_cart() == {"a": 3}


def test_a_purchase_that_was_pushed_out_does_not_put_its_item_back_into_the_cart() -> None:
    limits = ProfileSettings(max_bought=2)
    profile = profile_of(
        Cart(item_id="old", op="add", ts=T0), order(T0 + 1, "old"), order(T0 + 2, "b"), order(T0 + 3, "c"), limits=limits
    )
    assert "old" not in profile.bought
    assert profile.in_cart() == {}
    apply(profile, Cart(item_id="new", op="add", ts=T0 + 4), limits)
    assert profile.in_cart() == {"new": 1}


def test_shown_counts_impressions_since_the_last_interaction_with_the_item() -> None:
    profile = profile_of(
        Impressions(item_ids=("a", "b"), ts=T0),
        Click(item_id="a", ts=T0 + 1),
        Impressions(item_ids=("a", "b"), ts=T0 + 2),
        Impressions(item_ids=("a",), ts=T0 + 2),
    )
    assert profile.shown == {"a": (1, T0 + 2), "b": (2, T0 + 2)}
    assert profile.latest_ts == T0 + 1


def test_long_queries_are_cut_and_the_newest_come_first() -> None:
    profile = profile_of(Search(query="x" * 1024, ts=T0), Search(query="tea", ts=T0 + 1), Search(query="tea", ts=T0))
    assert profile.queries == [("tea", T0 + 1), ("x" * 256, T0)]


def test_segments_follow_the_number_of_interactions_and_purchases() -> None:
    clicks = [Click(item_id=f"i{n}", ts=T0 + n) for n in range(5)]
    assert profile_of().segment() == {"all", "new"}
    assert profile_of(*clicks[:4]).segment() == {"all", "new"}
    assert profile_of(*clicks).segment() == {"all", "returning"}
    assert profile_of(*clicks, order(T0, "a")).segment() == {"all", "returning", "buyers"}


def test_a_weight_is_its_kind_s_halved_for_every_half_life_before_the_newest_event() -> None:
    limits = ProfileSettings(half_life_s=3600.0)
    profile = profile_of(
        Click(item_id="a", ts=T0),
        Cart(item_id="b", op="add", ts=T0 + HOUR),
        order(T0 + 2 * HOUR, "c"),
        Search(query="tea", ts=T0 + 3 * HOUR),
        limits=limits,
    )
    np.testing.assert_allclose(weights(profile, limits), [4.0 / 2, 2.5 / 4, 1.0 / 8])
    np.testing.assert_allclose(search_weights(profile, limits), [0.8])
    assert weights(Profile(), limits).shape == search_weights(Profile(), limits).shape == (0,)


def test_late_events_find_their_place() -> None:
    limits = ProfileSettings(max_bought=3, max_interactions=3)
    profile = profile_of(order(T0 + 9, "z"), order(T0 + 1, "a"), order(T0 + 5, "m"), limits=limits)
    assert list(profile.bought.items()) == [("a", T0 + 1), ("m", T0 + 5), ("z", T0 + 9)]
    assert not apply(profile, order(T0 + 9, "z"), limits)
    assert apply(profile, order(T0 + 6, "a"), limits)
    assert list(profile.bought) == ["m", "a", "z"]
    assert [r.ts - T0 for r in profile.recent] == [9, 6, 5]
