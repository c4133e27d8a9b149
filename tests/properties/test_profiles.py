"""The laws of a profile: a join-semilattice, whatever the events, their order, their repeats and the bounds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streamrec.config import ProfileSettings
from streamrec.events import Cart, Click, Event, Impressions, Order, OrderLine, Search
from streamrec.profiles import Profile, apply, search_weights, weights

T0 = 1_767_225_600_000
#: Few ids, times and bounds, so that ties, repeats and evictions happen in nearly every example.
items = st.sampled_from("abcde")
times = st.integers(T0, T0 + 6)
event_ids = st.sampled_from(["", "", "e1", "e2", "e3"])
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(Click, item_id=items, ts=times, event_id=event_ids),
    st.builds(Cart, item_id=items, ts=times, op=st.sampled_from(["add", "remove"]), quantity=st.integers(0, 3), event_id=event_ids),
    st.builds(
        Order,
        lines=st.lists(st.builds(OrderLine, item_id=items), min_size=1, max_size=4).map(tuple),
        ts=times,
        event_id=event_ids,
    ),
    st.builds(
        Search,
        query=st.sampled_from(["tea", "red tea", " red  tea ", "  "]),
        ts=times,
        event_id=event_ids,
        filters=st.dictionaries(st.sampled_from(["brand", "category", "colour"]), st.sampled_from(["", "x", "y"]), max_size=2),
    ),
    st.builds(Impressions, item_ids=st.lists(items, min_size=1, max_size=5).map(tuple), ts=times, event_id=event_ids),
)
streams = st.lists(events, max_size=40)
bounds = st.builds(
    ProfileSettings,
    max_interactions=st.integers(1, 6),
    max_bought=st.integers(1, 4),
    max_cart=st.integers(1, 4),
    max_searches=st.integers(1, 2),
    max_shown=st.integers(1, 6),
)


def profile_of(stream: Sequence[Event], limits: ProfileSettings) -> Profile:
    profile = Profile()
    for event in stream:
        apply(profile, event, limits)
    return profile


def sizes_are_kept(profile: Profile, limits: ProfileSettings) -> bool:
    shown = sum(len(item_ids) for _, item_ids in profile.impressions)
    return (
        len(profile.recent) <= limits.max_interactions
        and len(profile.bought) <= limits.max_bought
        and len(profile.cart) <= limits.max_cart
        and len(profile.searches) <= limits.max_searches
        and profile.filters.keys() <= profile.searches.keys()
        and shown <= limits.max_shown
    )


@settings(max_examples=300)
@given(st.data(), streams, bounds)
def test_any_order_and_any_repeats_of_the_same_events_give_the_same_bytes(
    data: st.DataObject, stream: list[Event], limits: ProfileSettings
) -> None:
    repeats = data.draw(st.lists(st.sampled_from(stream), max_size=10)) if stream else []
    shuffled = data.draw(st.permutations(stream + repeats))
    assert profile_of(shuffled, limits).pack() == profile_of(stream, limits).pack()


@settings(max_examples=200)
@given(streams, bounds)
def test_replaying_a_stream_changes_nothing_and_says_so(stream: list[Event], limits: ProfileSettings) -> None:
    """What the bounds pushed out never comes in again."""
    profile = profile_of(stream, limits)
    packed = profile.pack()
    assert not any(apply(profile, event, limits) for event in stream)
    assert profile.pack() == packed


@given(streams, events, bounds)
def test_an_event_is_new_exactly_when_it_changes_the_bytes(stream: list[Event], event: Event, limits: ProfileSettings) -> None:
    profile = profile_of(stream, limits)
    before = profile.pack()
    assert apply(profile, event, limits) == (profile.pack() != before)


@settings(max_examples=30)
@given(st.integers(0, 2**31), bounds)
def test_bounds_hold_over_a_long_stream_and_so_do_the_bytes(seed: int, limits: ProfileSettings) -> None:
    rng = np.random.default_rng(seed)
    profile, longest = Profile(), 0
    for step in range(400):
        ts, item_ids = T0 + step, tuple(f"item-{i}" for i in rng.integers(0, 1000, 6))
        for event in (
            Click(item_id=item_ids[0], ts=ts),
            Cart(item_id=item_ids[1], op="add", ts=ts),
            Order(lines=tuple(OrderLine(item_id=i) for i in item_ids), ts=ts),
            Search(query=f"query {ts} " * 50, ts=ts),
            Impressions(item_ids=item_ids, ts=ts),
        ):
            apply(profile, event, limits)
            assert sizes_are_kept(profile, limits)
        if step == 40:
            longest = len(profile.pack())
    assert len(profile.pack()) <= longest + 100


@given(streams, bounds, st.integers(0, 2**63))
def test_packing_and_unpacking_gives_the_same_profile(stream: list[Event], limits: ProfileSettings, revision: int) -> None:
    profile = profile_of(stream, limits)
    profile.revision = revision
    packed = profile.pack()
    assert Profile.unpack(packed) == profile
    assert Profile.unpack(packed).pack() == packed


@given(streams, streams, bounds)
def test_a_profile_read_back_takes_further_events_as_the_one_in_memory(
    first: list[Event], then: list[Event], limits: ProfileSettings
) -> None:
    profile = Profile.unpack(profile_of(first, limits).pack())
    for event in then:
        apply(profile, event, limits)
    assert profile.pack() == profile_of(first + then, limits).pack()


@given(streams, bounds, st.integers(1, 10**9))
def test_weights_are_bounded_fall_with_age_and_do_not_depend_on_the_date(
    stream: list[Event], limits: ProfileSettings, shift: int
) -> None:
    profile = profile_of(stream, limits)
    mine = weights(profile, limits)
    assert mine.dtype == np.float64
    assert len(mine) == len(profile.recent)
    assert ((mine > 0) & (mine <= limits.weight_order)).all()
    moved = Profile.unpack(profile.pack())
    moved.recent = [type(r)(r.ts + shift, r.code, r.item_id, r.event) for r in profile.recent]
    moved.cart = {item: (quantity, ts + shift) for item, (quantity, ts) in profile.cart.items()}
    moved.bought = {item: ts + shift for item, ts in profile.bought.items()}
    moved.searches = {query: ts + shift for query, ts in profile.searches.items()}
    np.testing.assert_allclose(weights(moved, limits), mine, rtol=1e-9)
    np.testing.assert_allclose(search_weights(moved, limits), search_weights(profile, limits), rtol=1e-9)


@given(streams)
def test_with_room_enough_the_cart_is_what_the_last_word_on_each_item_says(stream: list[Event]) -> None:
    """In the cart is what was added last, with a quantity, and not ordered then or later: computed here from all events."""
    expected = {}
    for item in "abcde":
        words = [(e.ts, e.quantity if e.op == "add" else 0) for e in stream if isinstance(e, Cart) and e.item_id == item]
        ordered = [e.ts for e in stream if isinstance(e, Order) and any(line.item_id == item for line in e.lines)]
        ts, quantity = max(words, default=(0, 0))
        if quantity and ts > max(ordered, default=0):
            expected[item] = quantity
    assert profile_of(stream, ProfileSettings()).in_cart() == expected


@given(streams)
def test_with_room_enough_purchases_and_impressions_are_counted_in_full(stream: list[Event]) -> None:
    profile = profile_of(stream, ProfileSettings())
    orders = [(line.item_id, e.ts) for e in stream if isinstance(e, Order) for line in e.lines]
    assert profile.bought == {item: max(ts for i, ts in orders if i == item) for item, _ in orders}
    assert profile.bought_since(T0 + 3) == {item for item, ts in orders if ts >= T0 + 3}
    assert ("buyers" in profile.segment()) == bool(orders)
    touched: dict[str, int] = {}
    for interaction in profile.recent:
        touched[interaction.item_id] = max(touched.get(interaction.item_id, 0), interaction.ts)
    seen = {(i, e.ts) for e in stream if isinstance(e, Impressions) for i in e.item_ids if e.ts > touched.get(i, 0)}
    counts = {item: sum(1 for i, _ in seen if i == item) for item, _ in seen}
    assert {item: count for item, (count, _) in profile.shown.items()} == counts
