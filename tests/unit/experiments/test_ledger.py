"""What is counted, once, for whom, and in which memory."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrec.events import Click, Impressions, Order
from streamrec.experiments.ledger import BEGIN, END, Ledger, Tally
from streamrec.experiments.plan import Plan
from tests.unit.experiments.events import (
    CONTROL,
    DAY,
    HOT,
    LABELS,
    MINUTE,
    SPLIT,
    T0,
    Told,
    click,
    order,
    plan,
    shown,
    users,
)


def tally(*events: Told, of: Plan | None = None, max_rows: int = 1000) -> Tally:
    ledger = Ledger(of or plan(), max_rows=max_rows)
    for user_id, event in events:
        ledger.add(user_id, event)
    assert ledger.end == END
    return ledger.tally()


def clicked(*events: Told, of: Plan | None = None) -> tuple[int, int]:
    """Return the control's clicked impressions and impressions."""
    found = tally(*events, of=of).clicks[0]
    return found.x, found.y


def test_a_click_counts_for_an_impression_of_its_item_by_its_visitor_within_the_window() -> None:
    seen = shown(CONTROL, "a", "b", "c", at=MINUTE)
    other = users(0, 2)[1]
    assert clicked(seen, click(CONTROL, "b", MINUTE)) == (1, 3)
    assert clicked(seen, click(CONTROL, "b", 31 * MINUTE)) == (1, 3)
    assert clicked(seen, click(CONTROL, "b", 31 * MINUTE + 1)) == (0, 3)
    assert clicked(seen, click(CONTROL, "b", MINUTE - 1)) == (0, 3)
    assert clicked(seen, click(CONTROL, "d", 2 * MINUTE)) == (0, 3)
    assert clicked(seen, click(other, "b", 2 * MINUTE)) == (0, 3)


def test_a_click_belongs_to_the_latest_impression_and_an_impression_is_clicked_once() -> None:
    twice = shown(CONTROL, "a", at=0), shown(CONTROL, "a", at=MINUTE)
    assert clicked(*twice, click(CONTROL, "a", 2 * MINUTE)) == (1, 2)
    assert clicked(*twice, click(CONTROL, "a", 2 * MINUTE), click(CONTROL, "a", 3 * MINUTE)) == (1, 2)
    assert clicked(*twice, click(CONTROL, "a", 1), click(CONTROL, "a", 3 * MINUTE)) == (2, 2)


def test_an_order_within_the_window_after_any_impression_converts_its_visitor_once() -> None:
    one, other = users(0, 2)
    seen = shown(one, "a"), shown(other, "a"), shown(HOT, "a")
    found = tally(*seen, order(one, "z", at=MINUTE), order(one, "y", at=2 * MINUTE), order(HOT, "a", at=31 * MINUTE))
    assert [(variant.x, variant.n) for variant in found.orders] == [(1, 2), (0, 1)]
    assert (found.counts.orders, found.counts.attributed_orders) == (3, 2)


def test_messages_with_the_event_id_of_another_count_once() -> None:
    events = (
        shown(CONTROL, "a", "b", event_id="i1"),
        click(CONTROL, "a", MINUTE, event_id="c1"),
        order(CONTROL, "a", at=MINUTE, event_id="o1"),
    )
    once, more = tally(*events), tally(*events, *events, *events)
    assert more.counts.repeated == 6
    assert (more.clicks, more.orders) == (once.clicks, once.orders)
    assert (more.counts.impressions, more.counts.clicks, more.counts.orders) == (1, 1, 1)
    # The same id of another visitor is another event, and so is the same item at another time without an id.
    assert tally(*events, shown(HOT, "a", event_id="i1"), click(CONTROL, "a", 2 * MINUTE)).counts.repeated == 0


def test_without_ids_a_repeated_message_is_recognised_by_its_time_and_items() -> None:
    events = shown(CONTROL, "a", "b"), click(CONTROL, "a", MINUTE), order(CONTROL, "a", "b", at=MINUTE)
    assert tally(*events, *events).counts.repeated == 3
    assert clicked(*events, *events) == (1, 2)


def test_who_was_seen_in_several_variants_is_left_out_of_all() -> None:
    found = tally(shown(CONTROL, "a"), shown(CONTROL, "b", variant=LABELS[1], at=5), shown(HOT, "a"))
    assert [variant.n for variant in found.clicks] == [0, 1]
    assert (found.counts.crossed, found.counts.misplaced) == (1, 0)
    by_click = tally(shown(CONTROL, "a"), click(CONTROL, "a", MINUTE, variant=LABELS[1]))
    assert (by_click.counts.crossed, by_click.clicks[0].n) == (1, 0)


def test_who_was_seen_in_anothers_variant_is_left_out() -> None:
    found = tally(shown(CONTROL, "a", variant=LABELS[1]), shown(HOT, "a"))
    assert [variant.n for variant in found.clicks] == [0, 1]
    assert (found.counts.crossed, found.counts.misplaced) == (0, 1)


def test_impressions_of_no_variant_are_counted_and_leave_their_visitor_in() -> None:
    found = tally(
        shown(CONTROL, "a"),
        shown(CONTROL, "b", variant="", at=1),
        shown(CONTROL, "c", "d", variant="default", at=2),
        shown(CONTROL, "e", variant="spring:control", at=3),
        click(CONTROL, "c", MINUTE),
    )
    assert (found.clicks[0].n, found.clicks[0].x, found.clicks[0].y) == (1, 0, 1)
    counts = found.counts
    assert (counts.impressions, counts.without_variant, counts.of_no_visitor, counts.of_other_variants) == (4, 1, 1, 1)


def test_event_time_decides_and_clicks_may_come_after_the_last_impressions() -> None:
    of = plan(since_ms=T0 + MINUTE, until_ms=T0 + 2 * MINUTE)
    assert clicked(shown(CONTROL, "a", at=MINUTE - 1), of=of) == (0, 0)
    assert clicked(shown(CONTROL, "a", at=2 * MINUTE), of=of) == (0, 0)
    assert clicked(shown(CONTROL, "a", at=2 * MINUTE - 1), click(CONTROL, "a", 31 * MINUTE), of=of) == (1, 1)
    assert tally(shown(CONTROL, "a", at=MINUTE + 7), of=of).first_ms == T0 + MINUTE + 7


def test_only_impressions_of_the_placement_count_where_one_is_asked_for() -> None:
    events = shown(CONTROL, "a"), shown(CONTROL, "b", placement="cart", at=1), click(CONTROL, "b", MINUTE)
    assert clicked(*events, of=plan(placement="cart")) == (1, 1)
    assert clicked(*events, of=plan(placement="home")) == (0, 1)


# -- memory ------------------------------------------------------------------------------------------------------------------


def _whole(events: list[Told], max_rows: int) -> tuple[Tally, int]:
    """Return what as many ledgers say as it takes, and how many that was."""
    total, begin, passes = None, BEGIN, 0
    while begin < END:
        ledger = Ledger(plan(), begin, max_rows=max_rows)
        for user_id, event in events:
            ledger.add(user_id, event)
            assert sum(map(len, ledger._tables)) <= max_rows
        assert ledger.end > begin
        part, begin, passes = ledger.tally(), ledger.end, passes + 1
        total = part if total is None else total + part
    assert total is not None
    return total, passes


def _busy(n: int) -> list[Told]:
    return [
        event
        for number in range(n)
        for event in (
            shown(f"u{number}", "a", "b", at=number, variant="" if number % 7 == 0 else None),
            click(f"u{number}", "ab"[number % 2], MINUTE + number),
            *([order(f"u{number}", "a", at=2 * MINUTE)] * (number % 3)),
        )
    ]


def test_less_room_costs_more_passes_and_changes_nothing() -> None:
    events = _busy(60)
    whole, once = _whole(events, 1000)
    assert once == 1
    for max_rows in (150, 40, 20):
        found, passes = _whole(events, max_rows)
        assert passes > 1
        assert found == whole


def test_a_visitor_who_needs_half_of_the_room_is_left_out_and_counted_once() -> None:
    robot = users(0, 40)[-1]
    events = [*_busy(30), *(shown(robot, f"i{n}", at=n) for n in range(200))]
    found, _ = _whole(events, 60)
    expected, _ = _whole([event for event in events if event[0] != robot], 1000)
    assert found.counts.unbounded == 1
    assert replace(found, counts=expected.counts) == expected


# -- the slow way ------------------------------------------------------------------------------------------------------------

_USERS = [*users(0, 2), *users(1, 2)]
#: Of two messages of one event the one of the last of these counts.
_NUMBERS = ["default", "", *LABELS]


def _impression(user_id: str, one: str, two: str, at: int, variant: str | None, event_id: str) -> Told:
    return shown(user_id, one, two, at=at, variant=variant, event_id=event_id)


def _click(user_id: str, item_id: str, at: int, event_id: str) -> Told:
    return click(user_id, item_id, at, event_id=event_id and event_id + item_id)


_EVENTS = st.one_of(
    st.builds(
        _impression,
        st.sampled_from(_USERS),
        st.sampled_from("ab"),
        st.sampled_from("ab"),
        at=st.integers(0, 8).map(lambda n: n * 10 * MINUTE),
        variant=st.sampled_from([None, None, None, None, "", "default", LABELS[0]]),
        event_id=st.sampled_from(["", "", "i1", "i2"]),
    ),
    st.builds(
        _click,
        st.sampled_from(_USERS),
        st.sampled_from("abc"),
        st.integers(0, 8).map(lambda n: n * 10 * MINUTE + n % 2),
        event_id=st.sampled_from(["", "c1"]),
    ),
    st.builds(order, st.sampled_from(_USERS), st.sampled_from("ab"), at=st.integers(0, 8).map(lambda n: n * 10 * MINUTE)),
)


def _slowly(events: list[Told]) -> list[tuple[int, int, int, int]]:
    """Return, per variant, visitors, impressions, clicked ones and buyers, by looking at every pair of events."""
    found = [[0, 0, 0, 0], [0, 0, 0, 0]]
    by_user: defaultdict[str, list[Impressions | Click | Order]] = defaultdict(list)
    for user_id, event in events:
        by_user[user_id].append(event)  # type: ignore[arg-type]
    for user_id, own in by_user.items():
        seen: dict[tuple[str, str], tuple[int, str]] = {}
        for event in sorted((e for e in own if isinstance(e, Impressions)), key=lambda e: (-e.ts, _NUMBERS.index(e.variant))):
            for item in event.item_ids:
                seen[event.event_id or f"{event.ts} {event.item_ids}", item] = event.ts, event.variant
        labels = {label for _, label in seen.values()} & set(LABELS)
        if labels != {LABELS[SPLIT.variant(user_id)]}:
            continue
        mine = {key: ts for key, (ts, label) in seen.items() if label in LABELS}
        clicks: dict[str, Click] = {}
        for one in sorted((e for e in own if isinstance(e, Click)), key=lambda e: -e.ts):
            clicks[one.event_id or f"{one.ts} {one.item_id}"] = one
        clicked_on = set()
        for one in clicks.values():
            before = [(ts, key) for key, ts in mine.items() if key[1] == one.item_id and ts <= one.ts]
            if before and one.ts - max(before)[0] <= 30 * MINUTE:
                clicked_on.add((max(before)[0], one.item_id))
        bought = any(0 <= e.ts - ts <= 30 * MINUTE for e in own if isinstance(e, Order) for ts in mine.values())
        counts = found[SPLIT.variant(user_id)]
        for place, value in enumerate((1, len(mine), len(clicked_on), int(bought))):
            counts[place] += value
    return [(n, y, x, buyers) for n, y, x, buyers in found]


@given(st.lists(_EVENTS, max_size=30), st.randoms())
def test_in_any_order_it_counts_what_looking_at_all_pairs_counts(events: list[Told], random: object) -> None:
    expected = _slowly(events)
    random.shuffle(events)  # type: ignore[attr-defined]
    found = tally(*events)
    assert [(c.n, c.y, c.x, o.x) for c, o in zip(found.clicks, found.orders, strict=True)] == expected


@pytest.mark.parametrize("day", [0, DAY])
def test_nothing_is_nothing(day: int) -> None:
    found = tally(of=plan(since_ms=T0 + day))
    assert (found.first_ms, [variant.n for variant in found.clicks]) == (None, [0, 0])
