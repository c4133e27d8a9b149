"""Laws of ranking that hold in every shop, for every visitor, under every set of campaigns."""

from __future__ import annotations

import pickle
import random
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamrec.config import RankingSettings
from streamrec.events import Cart, Click, Event, Impressions, Order, OrderLine, Search
from tests.unit.ranking.worlds import NOW, T0, World, visitor

NAMES = [f"i{n}" for n in range(10)]
FEW = RankingSettings(list_size=6, max_per_category=3, max_per_brand=4, explore_every=3, candidates_per_interest=10)
ITEMS = st.sampled_from(NAMES)
MOMENTS = st.integers(T0, T0 + 500_000)
EVENTS = st.lists(
    st.one_of(
        st.builds(lambda item, ts: Click(item_id=item, ts=ts), ITEMS, MOMENTS),
        st.builds(lambda item, ts, op: Cart(item_id=item, op=op, ts=ts), ITEMS, MOMENTS, st.sampled_from(["add", "remove"])),
        st.builds(lambda item, ts: Order(lines=(OrderLine(item_id=item),), ts=ts), ITEMS, MOMENTS),
        st.builds(lambda query, ts: Search(query=query, ts=ts), st.sampled_from(["x", "y"]), MOMENTS),
        st.builds(lambda item, ts: Impressions(item_ids=(item,), ts=ts), ITEMS, MOMENTS),
    ),
    max_size=8,
)


@dataclass(frozen=True)
class Shop:
    """What a shop is, free of the order in which it is told."""

    items: tuple[tuple[str, dict[str, Any]], ...]
    sold_out: frozenset[str]
    met: tuple[tuple[str, float, dict[str, float]], ...]
    campaigns: tuple[tuple[str, tuple[str, ...], dict[str, Any]], ...]

    def build(self, order: random.Random | None = None) -> World:
        world = World(FEW, encode=lambda queries: np.stack([_vector(len(q) + ord(q[0])) for q in queries]))
        steps: list[Any] = [*(("item", *item) for item in self.items), *(("met", *met) for met in self.met)]
        if order:
            order.shuffle(steps)
        for kind, name, *told in steps:
            if kind == "item":
                facts = dict(told[0])
                world.item(name, _vector(facts.pop("seed")), **facts)
            else:
                world.met(name, *told)
        for name in self.sold_out:
            world.stock(name, 0)
        for number, (action, targets, fields) in enumerate(self.campaigns):
            world.campaign(f"k{number}", action, *targets, **fields)
        return world


def _vector(seed: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    vector = np.random.default_rng(seed).normal(size=4).astype(np.float32)
    return vector / np.linalg.norm(vector)


FACTS = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 30),
        "ts": st.integers(T0 - 5, T0).map(lambda ts: T0 + (ts - T0) * 86_400_000),
        "category": st.sampled_from(["", "c", "d"]),
        "brand": st.sampled_from(["", "e", "f"]),
    }
)
MET = st.tuples(ITEMS, st.floats(0.5, 50), st.dictionaries(ITEMS, st.floats(0.1, 5), max_size=3))
CAMPAIGN: st.SearchStrategy[Any] = st.one_of(
    st.tuples(
        st.sampled_from(["boost", "bury"]),
        st.lists(ITEMS, min_size=1, max_size=3).map(tuple),
        st.fixed_dictionaries({"factor": st.sampled_from([0.5, 2.0, 100.0])}),
    ),
    st.tuples(st.just("exclude"), st.tuples(ITEMS), st.just({})),
    st.tuples(
        st.just("pin"),
        st.lists(ITEMS, min_size=1, max_size=3, unique=True).map(tuple),
        st.fixed_dictionaries({"slots": st.lists(st.integers(1, 8), min_size=1, max_size=2).map(tuple)}),
    ),
)
SHOPS = st.builds(
    lambda facts, sold_out, met, campaigns: Shop(
        tuple(zip(NAMES, facts, strict=True)), frozenset(sold_out), tuple({m[0]: m for m in met}.values()), tuple(campaigns)
    ),
    st.lists(FACTS, min_size=10, max_size=10),
    st.sets(ITEMS, max_size=3),
    st.lists(MET, max_size=5),
    st.lists(CAMPAIGN, max_size=3),
)
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@quick
@given(SHOPS, EVENTS)
def test_no_filtered_item_is_shown_nothing_is_shown_twice_and_no_slot_stays_empty(shop: Shop, events: list[Event]) -> None:
    world, profile = shop.build(), visitor(*events)
    ids = world.ids(*events)
    excluded = {name for action, targets, _ in shop.campaigns if action == "exclude" for name in targets}
    hidden = shop.sold_out | excluded | set(profile.bought) | set(profile.in_cart())
    assert not hidden & set(ids)
    assert len(ids) == len(set(ids)) == min(6, len(set(NAMES) - hidden))


@quick
@given(SHOPS, EVENTS, st.randoms(use_true_random=False))
def test_the_order_in_which_items_arrived_does_not_matter(shop: Shop, events: list[Event], rng: random.Random) -> None:
    straight, shuffled = shop.build(), shop.build(rng)
    assert straight.whys(*events) == shuffled.whys(*events)
    assert list(straight.whys(*events)) == list(shuffled.whys(*events))
    assert straight.ranker.trending(NOW, 9).ids(straight.items) == shuffled.ranker.trending(NOW, 9).ids(shuffled.items)
    for mine, theirs in zip(straight.ranker.similar(NAMES, NOW, 4), shuffled.ranker.similar(NAMES, NOW, 4), strict=True):
        assert mine.ids(straight.items) == theirs.ids(shuffled.items)


@quick
@given(SHOPS, EVENTS, ITEMS, st.sampled_from([1.5, 3.0, 1000.0]))
def test_boosting_an_item_never_lowers_it_and_burying_never_raises_it(
    shop: Shop, events: list[Event], item: str, factor: float
) -> None:
    def place(action: str | None) -> float:
        world = shop.build()
        if action:
            world.campaign("z", action, item, factor=factor)
        ids = world.ids(*events)
        return ids.index(item) if item in ids else float("inf")

    assert place("boost") <= place(None) <= place("bury")


@quick
@given(SHOPS, EVENTS, ITEMS)
def test_an_exclusion_wins_over_everything(shop: Shop, events: list[Event], item: str) -> None:
    world = shop.build()
    world.campaign("pin", "pin", item, slots=(1,))
    world.campaign("out", "exclude", item)
    assert item not in world.ids(*events)


@quick
@given(SHOPS, st.lists(EVENTS, min_size=1, max_size=5))
def test_a_batch_gives_each_visitor_the_list_that_a_single_request_gives(shop: Shop, visitors: list[list[Event]]) -> None:
    world = shop.build()
    profiles = [visitor(*events) for events in visitors]
    for profile, together in zip(profiles, world.ranker.rank(profiles, NOW), strict=True):
        [alone] = world.ranker.rank([profile], NOW)
        assert alone.ids(world.items) == together.ids(world.items)
        assert alone.why(world.items, world.campaigns) == together.why(world.items, world.campaigns)
        assert np.allclose(alone.scores, together.scores, atol=1e-4)


@quick
@given(SHOPS, EVENTS)
def test_reading_changes_nothing(shop: Shop, events: list[Event]) -> None:
    world, profile = shop.build(), visitor(*events)
    world.neighbours.log_popularity()

    def digest() -> bytes:
        columns = {name: column[: len(world.items)].tolist() for name, column in world.items._columns.items()}
        vectors = world.index.vectors(np.arange(len(world.items)))
        return pickle.dumps(
            [columns, vectors.tobytes(), world.neighbours._logs.tobytes(), sorted(world.neighbours._records), profile.pack()]
        )

    before, first = digest(), world.whys(*events)
    world.ranker.explain(profile, NAMES[0], NOW)
    world.ranker.similar(NAMES, NOW, 3)
    world.ranker.together(NAMES, NOW, 3)
    world.ranker.trending(NOW, 3)
    world.ranker.newest(NOW, 3)
    assert digest() == before
    assert world.whys(*events) == first


@quick
@given(SHOPS, EVENTS)
def test_caps_hold_while_others_could_fill_the_list(shop: Shop, events: list[Event]) -> None:
    unpinned = Shop(shop.items, shop.sold_out, shop.met, tuple(c for c in shop.campaigns if c[0] != "pin"))
    world = unpinned.build()
    facts = dict(shop.items)
    ids = world.ids(*events)
    for attribute, cap in (("category", FEW.max_per_category), ("brand", FEW.max_per_brand)):
        counts = Counter(facts[item][attribute] for item in ids if facts[item][attribute])
        if max(counts.values(), default=0) > cap:
            reasons = [world.ranker.explain(visitor(*events), item, NOW).reasons[0] for item in ids]
            assert any("would be short" in reason for reason in reasons)


@quick
@given(SHOPS, EVENTS)
def test_every_item_has_a_true_explanation(shop: Shop, events: list[Event]) -> None:
    world, profile = shop.build(), visitor(*events)
    ids = world.ids(*events)
    for item in NAMES:
        told = world.ranker.explain(profile, item, NOW)
        assert told.shown == (item in ids)
        assert told.position == (ids.index(item) + 1 if item in ids else 0)
        assert told.reasons
