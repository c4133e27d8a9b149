"""Laws of the whole recommender: whatever happens in a shop, in whatever order, no list shows what it must not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from streamrec.events import Cart, Click, Event, Order, OrderLine, Search
from streamrec.lists.keys import HOME
from tests.unit.recommender.rooms import T0, Room

N = 8
Step = Callable[[Room], None]
ITEMS = st.integers(0, N - 1).map(lambda n: f"i{n}")
USERS = st.sampled_from(["u", "v", "w"])


def _event(user_id: str, kind: str, item_id: str, ts: int) -> tuple[str, Event]:
    made: dict[str, Event] = {
        "click": Click(item_id=item_id, ts=T0 + ts),
        "cart": Cart(item_id=item_id, op="add", ts=T0 + ts),
        "order": Order(lines=(OrderLine(item_id=item_id),), ts=T0 + ts),
        "search": Search(query=f"shoe {item_id[1:]}", ts=T0 + ts),
    }
    return user_id, made[kind]


EVENTS = st.builds(_event, USERS, st.sampled_from(["click", "cart", "order", "search"]), ITEMS, st.integers(0, 9999))


def _campaign(name: str, action: str, ids: list[str], starts: int, lasts: int, segment: str) -> tuple[str, dict[str, Any]]:
    more = {"slots": (1, 3)} if action == "pin" else {}
    return name, {"action": action, "ids": ids, "starts": starts, "ends": starts + lasts, "segment": segment, **more}


CAMPAIGNS = st.builds(
    _campaign,
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from(["boost", "bury", "pin", "exclude", "exclude"]),
    st.lists(ITEMS, min_size=1, max_size=3),
    st.integers(0, 60_000),
    st.integers(1, 60_000),
    st.sampled_from(["all", "all", "new", "returning", "buyers"]),
)
#: (what, arguments): data instead of functions, so that a failing example can be read.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("stock"), ITEMS, st.integers(0, 1)),
        st.tuples(st.just("visit"), st.lists(EVENTS, min_size=1, max_size=4)),
        st.tuples(st.just("campaign"), CAMPAIGNS),
        st.tuples(st.just("cancel"), st.sampled_from(["a", "b", "c"])),
        st.tuples(st.just("remove"), ITEMS),
        st.tuples(st.just("price"), ITEMS, st.sampled_from([5.0, 9.9, 10.0])),
        st.tuples(st.just("restart")),
        st.tuples(st.just("wait"), st.integers(1, 30_000)),
    ),
    max_size=15,
)


def _do(room: Room, what: str, *told: Any) -> None:
    if what == "stock":
        room.stock(*told)
    elif what == "visit":
        room.visit(*told[0])
    elif what == "campaign":
        name, fields = told[0]
        fields = dict(fields)
        room.campaign(name, fields.pop("action"), *fields.pop("ids"), **fields)
    elif what == "cancel":
        room.tell(told[0], None)
    elif what == "price":
        room.price(told[0], told[1], 10.0)
    elif what == "restart":
        room.upkeep.adopt()
    elif what == "remove":
        room.fact("items.catalog", told[0], None)
    else:
        room.at(room.clock.now_ms() - T0 + told[0])


def _settle(room: Room) -> None:
    """Let everything that is due be done."""
    room.fallbacks.items_changed(room.knowledge.items.find_all([f"i{n}" for n in range(N)]))
    room.at(room.clock.now_ms() - T0 + 3000)


def _hidden(room: Room) -> set[str]:
    return {f"i{n}" for n in range(N) if room.knowledge.hidden(room.clock.now_ms())[room.knowledge.items.find(f"i{n}")]}


def _check(room: Room) -> None:
    hidden = _hidden(room)
    for ranked in room.lists.get(list(room.lists._values)):
        assert ranked is not None
        assert not hidden & set(ranked.ids())
        assert len(set(ranked.ids())) == len(ranked.ids())
    users = list(room.homes())
    for user_id, profile in zip(users, room.store.load(users), strict=True):
        ids = room.store.lists(user_id)[HOME].ids()
        assert len(set(ids)) == len(ids) <= 6
        kept_from = room.knowledge.campaigns.effects(room.clock.now_ms(), room.knowledge.items, profile.segment()).excluded
        shown = {room.knowledge.items.find(item_id) for item_id in ids}
        assert not hidden & set(ids)
        assert not [row for row in shown if kept_from[row]]
        assert not set(profile.bought) & set(ids)
        assert not set(profile.in_cart()) & set(ids)
        # Nothing that may be shown is missing where the list is short.
        may = {f"i{n}" for n in range(N) if not kept_from[n]} - hidden - set(profile.bought) - set(profile.in_cart())
        assert len(ids) >= min(4, len(may))


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_what_is_published_is_what_was_ranked_less_what_is_hidden_whenever_repair_is_idle(steps: list[tuple[Any, ...]]) -> None:
    """However it came about, by edits or anew: ids, scores and reasons; and the matrix knows what stands."""
    room = Room(N)
    for step in steps:
        _do(room, *step)
        for user_id in room.matrix.users():
            assert room.knowledge.items.ids(room.matrix.shown(user_id)) == room.home(user_id)
    _settle(room)
    now_ms = room.clock.now_ms()
    hidden = room.knowledge.hidden(now_ms)
    for user_id in room.matrix.users():
        ranking, stands = room.matrix.get(user_id), room.store.lists(user_id)[HOME]
        assert ranking is not None
        assert room.knowledge.publish(ranking, stands.made_at, hidden) == stands


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_no_list_shows_what_it_must_not_and_repeating_all_events_changes_nothing(steps: list[tuple[Any, ...]]) -> None:
    """Nothing unavailable, excluded, bought, in the cart or twice; and no list is short while there is something to show."""
    room = Room(N)
    for step in steps:
        _do(room, *step)
    _settle(room)
    _check(room)
    before, pushed = room.store.image(), room.pushed("visit")
    for step in steps:
        if step[0] == "visit":
            _do(room, *step)
    assert room.store.image() == before
    assert room.pushed("visit") == pushed


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_what_sold_out_is_on_no_visitors_list_at_any_moment(steps: list[tuple[Any, ...]]) -> None:
    """Not only once everything has settled: the repair is done with the fact."""
    room = Room(N)
    for step in steps:
        _do(room, *step)
        gone = {f"i{n}" for n in range(N) if not room.knowledge.items.available[n]}
        assert not [user_id for user_id, ids in room.homes().items() if gone & set(ids)]
