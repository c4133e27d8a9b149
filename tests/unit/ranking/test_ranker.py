"""What a visitor's list holds and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from streamrec.config import RankingSettings
from streamrec.errors import ModelError
from streamrec.events import Cart, Click, Impressions, Order, OrderLine, Search, Targets
from streamrec.ranking import Ranking
from tests.unit.ranking.worlds import DAY, NOW, T0, World, direction, visitor

TEA, MILK, SOAP = (1.0, 0, 0, 0), (0, 1.0, 0, 0), (0, 0, 1.0, 0)
#: Without exploration, and with the latest items as good as others, so that lists are told by hand.
PLAIN = RankingSettings(explore_every=0, seen_factor=1.0)


def click(item_id: str, ts: int = T0) -> Click:
    return Click(item_id=item_id, ts=ts)


def bought(*item_ids: str, ts: int = T0) -> Order:
    return Order(lines=tuple(OrderLine(item_id=item_id) for item_id in item_ids), ts=ts)


def shop(settings: RankingSettings = PLAIN) -> World:
    """Nine items in three directions; the number in the name is the distance from the direction."""
    world = World(settings)
    for name, vector in (("tea", TEA), ("milk", MILK), ("soap", SOAP)):
        for i in range(3):
            world.item(f"{name}{i}", (*vector[:3], 0.3 * i), category=name)
    return world


def test_a_visitor_sees_first_what_is_near_to_what_was_clicked_and_is_told_so() -> None:
    world = shop()
    assert world.ids(click("tea0"))[:3] == ["tea0", "tea1", "tea2"]
    assert world.whys(click("tea0"))["tea1"] == "content:tea0"


def test_what_was_just_met_stands_behind_what_it_leads_to_unless_visitors_return_to_it() -> None:
    world = shop(RankingSettings(explore_every=0))
    assert world.ids(click("tea0"))[0] == "tea1"
    world.met("tea0", 10, {"milk0": 5.0, "soap0": 1.0}, total=30.0, visitors=20.0)
    assert world.ids(click("tea0"))[0] == "milk0"
    world.met("tea0", 10, {"milk0": 5.0, "soap0": 1.0}, total=30.0, visitors=20.0, again=0.5)
    whys = world.whys(click("tea0"))
    assert next(iter(whys.items())) == ("tea0", "again")
    # With the seed alone the estimate is 2 * 0.5 and 0.3 times what content and trend say of it.
    [told] = [world.ranker.explain(visitor(click("tea0")), "tea0", NOW)]
    assert told.parts["again"] / told.parts["content"] > 1.0 / 0.3
    off = shop(RankingSettings(explore_every=0, weight_again=0.0))
    off.met("tea0", 10, {"milk0": 5.0, "soap0": 1.0}, total=30.0, visitors=20.0, again=0.5)
    assert off.ids(click("tea0"))[0] == "milk0"


def test_the_more_visitors_met_an_item_the_more_their_next_items_count_against_content() -> None:
    """After few, the item that is alike comes first; after many, the one that they turned to."""
    for visits, first in ((0.4, "tea1"), (40.0, "soap1")):
        world = shop(RankingSettings(explore_every=0))
        world.met("tea0", 1, {"soap1": visits}, total=visits)
        assert world.ids(click("tea0"))[0] == first


def test_the_latest_item_counts_most() -> None:
    world = shop(RankingSettings(explore_every=0, weight_content=0.0, threshold_drop=0.0))
    world.met("tea0", 1, {"tea1": 20.0}, total=20.0)
    world.met("soap0", 1, {"soap1": 20.0}, total=20.0)
    assert world.ids(click("tea0"), click("soap0", T0 + 1))[:2] == ["soap1", "tea1"]
    assert world.ids(click("tea0", T0 + 2), click("soap0", T0 + 1))[:2] == ["tea1", "soap1"]
    scores = dict(zip(("soap1", "tea1"), world.rank(click("tea0"), click("soap0", T0 + 1)).scores.tolist(), strict=False))
    # 20 of 30 visitors after each, the earlier one counting half: p / (p + 0.1) of 4/9 and 2/9, and the newness of all.
    assert scores["soap1"] - scores["tea1"] == pytest.approx(4 / 9 / (4 / 9 + 0.1) - 2 / 9 / (2 / 9 + 0.1), abs=1e-6)


def test_several_interests_share_the_head_of_a_list() -> None:
    assert set(shop().ids(click("tea0"), click("soap0", T0 + 1))[:6]) == {"tea0", "tea1", "tea2", "soap0", "soap1", "soap2"}


def test_what_others_met_together_is_found_without_any_vector() -> None:
    world = shop(RankingSettings(explore_every=0, weight_content=0.0))
    world.met("tea0", 10, {"soap1": 8, "milk1": 2})
    world.met("soap1", 8, {"tea0": 8})
    world.met("milk1", 2, {"tea0": 2})
    assert world.ids(click("tea0"))[:2] == ["soap1", "milk1"]
    assert world.whys(click("tea0"))["soap1"] == "together:tea0"


def test_a_visitor_without_history_sees_what_is_popular_and_what_is_new() -> None:
    world = shop()
    world.met("milk1", 100)
    world.met("soap2", 50)
    world.item("late", TEA, ts=T0 + DAY)
    whys = world.whys()
    assert list(whys)[:2] == ["milk1", "soap2"]
    assert (whys["milk1"], whys["late"]) == ("trending", "new")
    assert len(whys) == 10


def test_an_item_without_a_vector_can_still_be_found_by_others_and_by_being_new() -> None:
    world = shop()
    world.item("bare", ts=T0 + 1)
    assert "bare" in world.ids(click("tea0"))


@pytest.mark.parametrize(
    "hide",
    [
        lambda world: world.stock("tea1", 0),
        lambda world: world.items.apply("items.catalog", "tea1", None, world.order()),
        lambda world: world.campaign("x", "exclude", "tea1"),
        lambda world: world.campaign("x", "exclude", targets=Targets(categories=("tea",))),
    ],
    ids=["sold out", "removed", "excluded", "category excluded"],
)
def test_what_must_not_be_shown_is_on_no_list_even_if_pinned_and_boosted(hide: Callable[[World], object]) -> None:
    world = shop()
    world.met("tea1", 1000, {"tea0": 5})
    world.met("tea0", 10, {"tea1": 5}, bought=1)
    world.campaign("pin", "pin", "tea1", slots=(1,))
    world.campaign("boost", "boost", "tea1", factor=100.0)
    lists: dict[str, Callable[[], Ranking]] = {
        "rank": lambda: world.rank(click("tea0")),
        "cold": world.rank,
        "trending": lambda: world.ranker.trending(NOW, 9),
        "newest": lambda: world.ranker.newest(NOW, 9),
        "similar": lambda: world.ranker.similar(["tea0"], NOW, 9)[0],
        "together": lambda: world.ranker.together(["tea0"], NOW, 9)[0],
    }
    assert all("tea1" in make().ids(world.items) for make in lists.values())
    hide(world)
    assert [name for name, make in lists.items() if "tea1" in make().ids(world.items)] == []


def test_a_restocked_item_is_back_at_once() -> None:
    world = shop()
    before = world.ids(click("tea0"))
    world.stock("tea1", 0)
    world.stock("tea1", 5)
    assert world.ids(click("tea0")) == before


def test_bought_items_stay_away_for_their_days_and_then_return() -> None:
    world = shop()
    world.campaign("pin", "pin", "tea0", slots=(1,))
    assert "tea0" not in world.ids(bought("tea0"), now_ms=T0 + 30 * DAY - 1)
    assert "tea0" in world.ids(bought("tea0"), now_ms=T0 + 30 * DAY)


def test_what_lies_in_the_cart_is_hidden_until_it_is_taken_out() -> None:
    world = shop()
    into, out = Cart(item_id="tea1", op="add", ts=T0), Cart(item_id="tea1", op="remove", ts=T0 + 1)
    assert "tea1" not in world.ids(into)
    assert "tea1" in world.ids(into, out)


def test_opened_items_are_hidden_only_where_the_shop_wants_it() -> None:
    assert "tea0" in shop().ids(click("tea0"))
    world = shop(RankingSettings(hide_seen=("cart", "detail")))
    for placement, hidden in (("home", False), ("cart", True), ("detail", True)):
        [ranking] = world.ranker.rank([visitor(click("tea0"))], NOW, placement=placement)
        assert ("tea0" in ranking.ids(world.items)) != hidden


def test_an_item_that_was_shown_in_vain_sinks() -> None:
    world = shop()
    shown = [Impressions(item_ids=("tea1",), ts=T0 + 1 + i) for i in range(30)]
    assert world.ids(click("tea0")).index("tea1") < world.ids(click("tea0"), *shown).index("tea1")


def test_a_boost_lifts_a_bury_sinks_and_only_while_the_campaign_runs() -> None:
    world = shop()
    world.campaign("up", "boost", "soap0", factor=50.0, starts_at=NOW, ends_at=NOW + 10)
    world.campaign("down", "bury", "tea0", factor=50.0, starts_at=NOW, ends_at=NOW + 10)
    world.met("soap0", 1)
    before, during, after = (world.ids(click("tea0"), now_ms=now) for now in (NOW - 1, NOW, NOW + 10))
    assert before == after
    assert before[0] == "tea0"
    assert during[0] == "soap0"
    assert during.index("tea0") > 2
    assert world.whys(click("tea0"))["soap0"] == "campaign:up"


def test_a_boosted_item_is_a_candidate_though_nothing_else_makes_it_one() -> None:
    world = shop(RankingSettings(explore_every=0, candidates_per_interest=2, list_size=3))
    world.item("old", (0, 0, 0, 1.0), ts=T0 - 400 * DAY)
    reasons = world.ranker.explain(visitor(click("tea0")), "old", NOW).reasons
    assert reasons[0].startswith("not a candidate")
    world.campaign("up", "boost", "old", factor=1000.0)
    reasons = world.ranker.explain(visitor(click("tea0")), "old", NOW).reasons
    assert reasons[0].startswith("ranked")


def test_pins_take_their_slots_and_yield_where_they_may_not_be_shown() -> None:
    world = shop()
    world.campaign("p", "pin", "soap2", "milk2", "soap1", slots=(2, 4))
    ids = world.ids(click("tea0"))
    assert (ids[1], ids[3]) == ("soap2", "milk2")
    assert world.whys(click("tea0"))["milk2"] == "campaign:p"
    world.stock("soap2", 0)
    ids = world.ids(click("tea0"))
    assert (ids[1], ids[3]) == ("soap1", "milk2")
    assert sorted(ids) == sorted(set(ids))


def test_a_pin_beyond_the_end_of_a_short_list_still_shows() -> None:
    world = shop()
    world.campaign("p", "pin", "soap2", slots=(40,))
    assert world.ids(click("tea0"))[-1] == "soap2"


def test_caps_hold_until_the_list_would_be_short() -> None:
    world = shop(RankingSettings(explore_every=0, max_per_category=2, seen_factor=1.0))
    assert [i for i in world.ids(click("tea0"), k=6) if i.startswith("tea")] == ["tea0", "tea1"]
    assert len(world.ids(click("tea0"), k=9)) == 9


def test_every_tenth_slot_goes_to_the_best_new_item() -> None:
    world = World(RankingSettings(explore_every=3, candidates_per_interest=20, list_size=6))
    for i in range(12):
        world.item(f"old{i}", (1, 0, 0, i / 50), ts=T0 - 300 * DAY)
        world.met(f"old{i}", 10)
    world.item("new-far", SOAP)
    world.item("new-near", (1, 1, 1, 0))
    whys = world.whys(click("old0"))
    assert (list(whys)[2], list(whys)[5]) == ("new-near", "new-far")
    assert whys["new-near"] == "new"


def test_the_latest_query_counts_and_fades_with_what_is_done_after_it() -> None:
    asked: list[str] = []

    def encode(queries: Sequence[str]) -> NDArray[np.float32]:
        asked.extend(queries)
        return np.stack([direction(*SOAP) for _ in queries])

    world = World(PLAIN, encode=encode)
    for name, vector in (("tea", TEA), ("soap", SOAP)):
        world.item(name, vector)
    query = Search(query="something to wash with", ts=T0)
    assert world.ids(query)[0] == "soap"
    assert world.whys(query)["soap"] == "search:something to wash with"
    assert world.ids(query, click("tea", T0 + DAY))[0] == "tea"
    assert asked == ["something to wash with"]


def test_queries_of_another_dimension_are_refused() -> None:
    world = World(PLAIN, encode=lambda queries: np.zeros((len(queries), 3), np.float32))
    world.item("tea", TEA)
    with pytest.raises(ModelError, match="one model"):
        world.ids(Search(query="tea", ts=T0))


def test_the_cart_page_ranks_for_what_is_in_the_cart() -> None:
    world = shop()
    profile = visitor(Cart(item_id="tea0", op="add", ts=T0), *(click(f"soap{i}", T0 + 1 + i) for i in (2, 1, 0)))
    home, cart = (world.ranker.rank([profile], NOW, placement=p)[0].ids(world.items) for p in ("home", "cart"))
    assert home[0].startswith("soap")
    assert cart[:2] == ["tea1", "tea2"]


def test_an_empty_shop_gives_empty_lists() -> None:
    world = World()
    assert world.ids(click("gone")) == []
    assert world.ranker.rank([], NOW) == []
    assert len(world.ranker.trending(NOW, 5)) == len(world.ranker.newest(NOW, 5)) == 0
    assert [len(r) for r in world.ranker.similar(["gone"], NOW, 5) + world.ranker.together(["gone"], NOW, 5)] == [0, 0]


def test_a_minute_in_which_nothing_happens_reorders_nothing() -> None:
    world = shop(RankingSettings())
    world.item("late", TEA, ts=T0 + 1000)
    world.met("milk1", 100)
    for events in ((), (click("tea0"), Search(query="x", ts=T0))):
        first, later = world.rank(*events), world.rank(*events, now_ms=NOW + 60_000)
        assert first.ids(world.items) == later.ids(world.items)
        assert first.scores.tolist() == later.scores.tolist()
