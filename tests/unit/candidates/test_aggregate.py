"""Laws of the co-visitation aggregator."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrec.candidates import CovisitationAggregator
from streamrec.candidates.contributions import Newest
from streamrec.candidates.sightings import estimate, sighting
from streamrec.errors import InvalidMessage
from streamrec.events import ItemActivity, ItemNeighbours, decode, encode
from streamrec.events.topics import NEIGHBOURS

T0 = 1_700_000_000_000
HOUR = 3_600_000


def act(
    visitor: int = 1, ts: int = T0, neighbours: tuple[str, ...] = (), kind: str = "click", *, echo: bool = False, **told: Any
) -> ItemActivity:
    return ItemActivity(visitor=visitor, kind=kind, ts=ts, neighbours=neighbours, echo=echo, **told)  # type: ignore[arg-type]


ACTIVITY = st.builds(
    act,
    st.integers(1, 4),
    st.integers(T0, T0 + 5),
    st.lists(st.sampled_from("abcd"), max_size=3).map(tuple),
    st.sampled_from(["click", "cart", "order"]),
    echo=st.booleans(),
    distance=st.integers(1, 3),
    again=st.booleans(),
    shown=st.booleans(),
)
MESSAGES = st.lists(st.tuples(st.sampled_from("ab"), ACTIVITY), max_size=30)


def small() -> CovisitationAggregator:
    return CovisitationAggregator(max_touches=3, max_pairs=4, visitor_pairs=2)


def records(aggregator: CovisitationAggregator) -> list[ItemNeighbours | None]:
    return [aggregator.record(item_id) for item_id in "ab"]


@given(MESSAGES, st.randoms(use_true_random=False))
def test_order_and_repeats_do_not_matter(messages: list[tuple[str, ItemActivity]], rng: random.Random) -> None:
    straight, muddled = small(), small()
    straight.update(messages)
    twice = messages + messages
    rng.shuffle(twice)
    for message in twice:
        muddled.update([message])
    assert records(straight) == records(muddled)


@given(MESSAGES)
def test_a_replay_changes_nothing_and_says_so(messages: list[tuple[str, ItemActivity]]) -> None:
    aggregator = CovisitationAggregator()
    aggregator.update(messages)
    before = records(aggregator)
    assert aggregator.update(messages) == []
    assert records(aggregator) == before


@given(MESSAGES, MESSAGES)
def test_a_restored_aggregator_goes_on_as_if_it_had_never_stopped(
    first: list[tuple[str, ItemActivity]], then: list[tuple[str, ItemActivity]]
) -> None:
    steady, stopped = small(), small()
    steady.update(first)
    for item_id, record in zip("ab", records(steady), strict=True):
        if record is not None:
            message = decode(NEIGHBOURS, item_id.encode(), encode(record, NEIGHBOURS), T0 + HOUR)
            assert isinstance(message.value, ItemNeighbours)
            stopped.restore(item_id, message.value)
    assert records(stopped) == records(steady)
    steady.update(then)
    stopped.update(then)
    assert records(stopped) == records(steady)


def test_one_visitor_counts_once_however_often_the_pair_is_repeated() -> None:
    aggregator = CovisitationAggregator()
    aggregator.update([("a", act(1, T0 + i, ("b",))) for i in range(50)])
    record = aggregator.record("a")
    assert record is not None
    assert record.popularity == 1.0
    assert [(n.item_id, n.together, n.bought) for n in record.neighbours] == [("b", 1.0, 0.0)]


def test_a_purchase_counts_as_met_once_and_as_bought_once() -> None:
    aggregator = CovisitationAggregator()
    aggregator.update([("a", act(1, T0, ("b",))), ("a", act(1, T0, ("b",), "order")), ("a", act(2, T0, ("b",)))])
    record = aggregator.record("a")
    assert record is not None
    assert [(n.together, n.bought) for n in record.neighbours] == [(2.0, 1.0)]


def weights(aggregator: CovisitationAggregator, item_id: str = "a") -> dict[str, float]:
    record = aggregator.record(item_id)
    assert record is not None
    return {neighbour.item_id: neighbour.together for neighbour in record.neighbours}


def test_the_farther_two_items_are_in_a_visit_the_less_the_visitor_counts_for_them() -> None:
    aggregator = CovisitationAggregator()
    aggregator.update([("a", act(1, T0, ("b", "c", "d"))), ("b", act(1, T0, ("a",), echo=True, distance=4))])
    assert weights(aggregator) == {"b": 1.0, "c": 0.5, "d": pytest.approx(1 / 3)}
    assert weights(aggregator, "b") == {"a": 0.25}
    # The newest meeting of a visitor counts, of equal times the nearer one.
    aggregator.update([("a", act(1, T0 + 1, ("x", "b"))), ("a", act(1, T0, ("d",)))])
    assert weights(aggregator) == pytest.approx({"b": 0.5, "c": 0.5, "d": 1.0, "x": 1.0})


def test_an_order_of_many_lines_says_as_little_of_each_as_there_are_others() -> None:
    aggregator = CovisitationAggregator()
    aggregator.update([("a", act(1, T0, ("b", "c", "d", "e"), "order")), ("a", act(2, T0, ("b",), "order"))])
    record = aggregator.record("a")
    assert record is not None
    assert [(n.item_id, n.together, n.bought) for n in record.neighbours[:2]] == [("b", 1.25, 2.0), ("c", 0.25, 1.0)]


def test_orders_push_no_visit_out() -> None:
    aggregator = CovisitationAggregator(max_pairs=4)
    aggregator.update([("a", act(1, T0, ("b",))), ("a", act(2, T0 + 1, tuple("cdefgh"), "order"))])
    assert weights(aggregator)["b"] == pytest.approx(1.0)


def test_the_total_counts_the_neighbours_that_found_no_room_in_the_record() -> None:
    aggregator = CovisitationAggregator(max_neighbours=2)
    aggregator.update([("a", act(n, T0, (f"b{n}",))) for n in range(5)])
    record = aggregator.record("a")
    assert record is not None
    assert (len(record.neighbours), record.total) == (2, 5.0)


def test_a_record_tells_the_share_of_visitors_that_met_the_item_again_and_their_number_over_weeks() -> None:
    aggregator = CovisitationAggregator(popularity_half_life_s=3600, together_half_life_s=7200)
    aggregator.update([("a", act(1, T0)), ("a", act(1, T0 + 1, again=True)), *(("a", act(n, T0 + 1)) for n in (2, 3, 4))])
    record = aggregator.record("a")
    assert record is not None
    assert record.again == pytest.approx(0.25)
    aggregator.update([("a", act(5, T0 + 2 * HOUR + 1))])
    later = aggregator.record("a")
    assert later is not None
    assert later.again == pytest.approx(0.5 / 3)
    assert later.popularity == pytest.approx(1 + 4 / 4)
    assert later.visitors == pytest.approx(1 + 4 / 2)


def test_a_share_is_of_the_visitors_that_are_kept() -> None:
    """The last of ten visitors met the item again, and one of long before; three are kept."""
    aggregator = CovisitationAggregator(max_touches=3)
    aggregator.update([("a", act(n, T0 + n, again=n in {0, 9})) for n in range(10)])
    record = aggregator.record("a")
    assert record is not None
    assert record.again == pytest.approx(1 / 3, rel=1e-3)


def test_a_state_of_before_distances_is_read_as_if_all_had_been_one() -> None:
    state = msgspec.msgpack.encode([1, [[7, 5]], ["b", "c"], [[0, 7, False, 0], [1, 7, True, 5]]])
    aggregator = CovisitationAggregator()
    aggregator.restore("a", ItemNeighbours(as_of=T0, popularity=1.0, neighbours=(), state=state))
    record = aggregator.record("a")
    assert record is not None
    assert [(n.item_id, round(n.together, 6), round(n.bought, 6)) for n in record.neighbours] == [("c", 1, 1), ("b", 1, 0)]
    assert record.popularity == pytest.approx(1.0)


def test_a_state_of_before_impressions_is_read() -> None:
    state = msgspec.msgpack.encode([2, [[7, 5]], ["b"], [[0, 7, 2, 0]], [], []])
    aggregator = CovisitationAggregator()
    aggregator.restore("a", ItemNeighbours(as_of=T0, popularity=1.0, neighbours=(), state=state))
    record = aggregator.record("a")
    assert record is not None
    assert (weights(aggregator), record.shown) == ({"b": 0.5}, 0.0)


def test_a_state_that_names_nobody_is_refused() -> None:
    state = msgspec.msgpack.encode([2, [], ["b"], [[1, 7, 1, 0]], [], []])
    with pytest.raises(InvalidMessage, match="state of item a: a name is missing"):
        CovisitationAggregator().restore("a", ItemNeighbours(as_of=T0, popularity=1.0, neighbours=(), state=state))


def test_what_one_visitor_met_near_an_item_pushes_nobody_out_and_counts_as_five_visitors_at_most() -> None:
    """Ten thousand clicks of one visitor, each beside another item, and one meeting of somebody else long before."""
    aggregator = CovisitationAggregator()
    aggregator.update([("a", act(1, T0, ("b",)))])
    aggregator.update([("a", act(2, T0 + n, (f"x{n % 500}",))) for n in range(1, 10_000)])
    record = aggregator.record("a")
    assert record is not None
    assert record.popularity == pytest.approx(2.0, rel=1e-3)
    assert weights(aggregator)["b"] == pytest.approx(1.0, rel=1e-3)
    assert len(record.neighbours) == 33
    assert record.total == pytest.approx(6.0, rel=1e-3)
    assert record.neighbours[0].item_id == "b"


def test_a_visit_counts_in_full() -> None:
    """Five items on either side, the nearer the more."""
    aggregator = CovisitationAggregator()
    aggregator.update([("a", act(1, T0, tuple("bcdef")))])
    aggregator.update([("a", act(1, T0 + n, (name,), echo=True, distance=n)) for n, name in enumerate("ghijk", 1)])
    record = aggregator.record("a")
    assert record is not None
    assert record.total == pytest.approx(2 * sum(1 / n for n in range(1, 6)))


def test_an_impression_is_counted_once_and_is_no_visit() -> None:
    aggregator = CovisitationAggregator()
    shown = [("a", act(visitor, T0 + n, echo=True, shown=True)) for visitor in range(10) for n in range(10)]
    assert aggregator.update(shown + shown) == ["a"]
    record = aggregator.record("a")
    assert record is not None
    assert record.shown == pytest.approx(100, rel=0.1)
    assert (record.popularity, record.visitors, record.neighbours, record.as_of) == (0.0, 0.0, (), T0 + 9)
    assert aggregator.update(shown) == []
    assert aggregator.entries == 0


def test_impressions_are_estimated_within_a_tenth_up_to_two_thousand() -> None:
    for n in (1, 10, 100, 500, 1000, 2000):
        sightings = 0
        for i in range(n):
            sightings |= sighting(i % 97, T0 + i)
        assert estimate(sightings) == pytest.approx(n, rel=0.1)


def test_an_echo_is_a_pair_but_no_visit() -> None:
    aggregator = CovisitationAggregator()
    assert aggregator.update([("a", act(1, T0, ("b",), echo=True))]) == ["a"]
    record = aggregator.record("a")
    assert record is not None
    assert record.popularity == 0.0
    assert record.neighbours[0].item_id == "b"


def test_weights_halve_with_their_half_lives() -> None:
    aggregator = CovisitationAggregator(popularity_half_life_s=3600, together_half_life_s=7200)
    aggregator.update([("a", act(1, T0, ("b",))), ("a", act(2, T0 + 2 * HOUR))])
    record = aggregator.record("a")
    assert record is not None
    assert record.as_of == T0 + 2 * HOUR
    assert record.popularity == pytest.approx(1.25)
    assert record.neighbours[0].together == pytest.approx(0.5)


def test_an_item_is_no_neighbour_of_itself() -> None:
    aggregator = CovisitationAggregator()
    aggregator.update([("a", act(1, T0, ("a", "b")))])
    record = aggregator.record("a")
    assert record is not None
    assert [n.item_id for n in record.neighbours] == ["b"]


def test_popularity_still_tells_best_sellers_apart_where_only_the_newest_visitors_are_kept() -> None:
    aggregator = CovisitationAggregator(max_touches=10)
    for i in range(200):
        aggregator.update([("quick", act(i, T0 + i * 60_000)), ("slow", act(i, T0 + i * 600_000))])
    quick, slow = aggregator.record("quick"), aggregator.record("slow")
    assert quick is not None
    assert slow is not None
    assert quick.popularity > 1.5 * slow.popularity
    assert quick.popularity <= 10 * 17


@pytest.mark.parametrize(("max_items", "max_entries"), [(20, 10_000), (1_000, 150)])
def test_memory_is_bounded_over_a_long_stream(max_items: int, max_entries: int) -> None:
    rng = random.Random(1)
    aggregator = CovisitationAggregator(max_items=max_items, max_entries=max_entries, max_touches=8, max_pairs=8)
    most = (0, 0)
    for i in range(5_000):
        names = [f"i{int(rng.random() ** 3 * 50)}" for _ in range(3)]
        aggregator.update([(names[0], act(i, T0 + i, tuple(names[1:])))])
        most = max(most[0], len(aggregator)), max(most[1], aggregator.entries)
    assert most[0] <= max_items
    assert most[1] <= min(max_entries, max_items * 20)
    assert aggregator.entries > 100


def test_what_is_forgotten_is_told_and_has_no_record() -> None:
    aggregator = CovisitationAggregator(max_items=2)
    assert aggregator.update([(name, act()) for name in "abc"]) == ["a", "b", "c"]
    assert aggregator.record("a") is None
    assert aggregator.record("c") is not None


def test_a_damaged_state_is_refused_with_its_item() -> None:
    aggregator = CovisitationAggregator()
    with pytest.raises(InvalidMessage, match="state of item a"):
        aggregator.restore("a", ItemNeighbours(as_of=T0, popularity=1.0, neighbours=(), state=b"\xc1"))
    aggregator.restore("a", ItemNeighbours(as_of=T0, popularity=1.0, neighbours=()))
    assert aggregator.record("a") is None


def test_a_record_fits_its_topic_even_with_the_longest_ids() -> None:
    aggregator = CovisitationAggregator()
    wide = "字" * 120
    for i in range(400):
        aggregator.update([("a", act(i, T0 + i, (f"{wide}{i}",)))])
    record = aggregator.record("a")
    assert record is not None
    assert isinstance(decode(NEIGHBOURS, b"a", encode(record, NEIGHBOURS), T0 + HOUR).value, ItemNeighbours)


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 20)), max_size=60), st.randoms(use_true_random=False))
def test_the_newest_of_each_group_are_those_of_the_whole_history(pairs: list[tuple[int, int]], rng: random.Random) -> None:
    newest: Newest[int, int] = Newest(4, of_group=2, group=lambda key: key % 3)
    shuffled = pairs + pairs
    rng.shuffle(shuffled)
    for key, ts in shuffled:
        newest.put(key, ts)
    greatest = {key: max(ts for other, ts in pairs if other == key) for key, _ in pairs}
    ranked = sorted(((ts, key) for key, ts in greatest.items()), reverse=True)
    of_groups = [pair for group in range(3) for pair in [pair for pair in ranked if pair[1] % 3 == group][:2]]
    assert list(newest.newest_first()) == sorted(of_groups, reverse=True)[:4]


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 20)), max_size=60), st.randoms(use_true_random=False))
def test_the_newest_are_those_of_the_whole_history(pairs: list[tuple[int, int]], rng: random.Random) -> None:
    newest: Newest[int, int] = Newest(3)
    shuffled = pairs + pairs
    rng.shuffle(shuffled)
    for key, ts in shuffled:
        newest.put(key, ts)
    greatest = {key: max(ts for other, ts in pairs if other == key) for key, _ in pairs}
    assert list(newest.newest_first()) == sorted(((ts, key) for key, ts in greatest.items()), reverse=True)[:3]
