"""Rules of behaviour: what a click does to its category, what counts on the cart page, how long new items are explored."""

from __future__ import annotations

import numpy as np
import pytest

from streamrec.config import ProfileSettings, RankingSettings
from streamrec.events import Cart, Event, Search
from streamrec.profiles import weights
from tests.unit.ranking.test_ranker import MILK, SOAP, TEA, bought, click, shop
from tests.unit.ranking.worlds import DAY, NOW, T0, World, direction, visitor

MINUTE = 60_000
RULE = RankingSettings(explore_every=0, seen_factor=1.0, threshold_drop=0.15)


def eased(world: World, *events: Event) -> dict[str, float]:
    """Return the factor of each item, as `streamrec why` tells it."""
    ids = world.items.ids(world.items.find_all(["tea1", "milk1", "soap1"]))
    told = [world.ranker.explain(visitor(*events), item_id, NOW) for item_id in ids]
    return {one.item_id[:-1]: one.parts["clicked_category"] for one in told if one.parts["clicked_category"] != 1.0}


def test_a_click_lowers_the_threshold_of_its_category_by_fifteen_percent_and_of_no_other() -> None:
    world = shop(RULE)
    assert eased(world, click("tea0")) == {"tea": pytest.approx(1 / 0.85, abs=1e-6)}
    assert eased(world, click("tea0"), click("tea2", T0 + 1), click("soap0", T0 + 2)).keys() == {"tea", "soap"}
    assert eased(world) == {}


def test_the_share_is_a_setting_and_0_switches_the_rule_off() -> None:
    assert eased(shop(RULE.model_copy(update={"threshold_drop": 0.5})), click("tea0")) == {"tea": 2.0}
    off, on = shop(RULE.model_copy(update={"threshold_drop": 0.0})), shop(RULE)
    assert eased(off, click("tea0")) == {}
    plain, raised = (dict(zip(w.ids(click("tea0")), w.rank(click("tea0")).scores.tolist(), strict=True)) for w in (off, on))
    for item_id, score in plain.items():
        assert raised[item_id] == pytest.approx(score / 0.85 if item_id.startswith("tea") else score, rel=1e-5)


def test_an_item_at_the_threshold_is_over_it_after_a_click_in_its_category() -> None:
    """Two items that are equally popular, and score the same until the visitor clicks beside one of them."""
    world = World(RULE.model_copy(update={"weight_content": 0.0, "weight_new": 0.0}))
    for name in ("tea0", "tea1", "soap1"):
        world.item(name, category=name[:-1])
    world.met("tea1", 9.0)
    world.met("soap1", 10.0)
    assert world.ids()[:2] == ["soap1", "tea1"]
    assert world.ids(click("tea0"))[:2] == ["tea1", "soap1"]


def test_the_rule_ends_with_the_session_and_only_clicks_begin_it() -> None:
    world = shop(RULE)
    long_ago, hour = click("tea0"), 60 * MINUTE
    assert eased(world, long_ago, click("soap0", T0 + hour)).keys() == {"tea", "soap"}
    assert eased(world, long_ago, click("soap0", T0 + hour + 1)).keys() == {"soap"}
    assert eased(world, long_ago, Search(query="milk", ts=T0 + hour + 1)) == {}
    # A session goes on as long as no silence is longer, whatever is done in it.
    steps = [Cart(item_id="milk0", op="add", ts=T0 + n * hour) for n in range(1, 5)]
    assert eased(world, long_ago, *steps).keys() == {"tea"}
    assert eased(world, bought("tea0")) == {}


def test_items_of_no_category_and_unknown_ones_say_nothing() -> None:
    world = World(RULE)
    for name in ("tea1", "milk1", "soap1"):
        world.item(name, TEA)
    assert eased(world, click("tea1"), click("nowhere", T0 + 1)) == {}


def test_kinds_of_events_weigh_what_the_settings_say() -> None:
    settings = ProfileSettings(weight_click=1.0, weight_cart=3.0, weight_order=7.0)
    profile = visitor(click("a"), Cart(item_id="b", op="add", ts=T0), bought("c"))
    by_item = dict(zip((i.item_id for i in profile.recent), weights(profile, settings).tolist(), strict=True))
    assert by_item == {"a": 1.0, "b": 3.0, "c": 7.0}


# -- the cart page -----------------------------------------------------------------------------------------------------------


def test_on_the_cart_page_what_was_bought_with_it_comes_before_what_is_like_it() -> None:
    world = shop(RULE)
    world.met("tea0", 10, {"milk2": 4.0, "soap2": 8.0})
    profile = visitor(Cart(item_id="tea0", op="add", ts=T0))
    first = {p: world.ranker.rank([profile], NOW, placement=p)[0].ids(world.items)[0] for p in ("home", "cart")}
    assert first == {"home": "soap2", "cart": "soap2"}
    world.neighbours.update("tea0", None)
    world.met("tea0", 10, {"milk2": 4.0}, bought=1.0)
    [ranking] = world.ranker.rank([profile], NOW, placement="cart")
    assert ranking.ids(world.items)[0] == "milk2"
    assert ranking.why(world.items, world.campaigns)[0] == "together:tea0"
    assert "tea0" not in ranking.ids(world.items)


def test_on_the_cart_page_content_counts_a_fifth() -> None:
    world = shop(RULE)
    profile = visitor(Cart(item_id="tea0", op="add", ts=T0))
    home, cart = (world.ranker.explain(profile, "tea1", NOW, placement=p).parts["content"] for p in ("home", "cart"))
    estimate = home / (1 - home) * 0.1
    assert cart == pytest.approx(estimate / 5 / (estimate / 5 + 0.1), abs=1e-5)


# -- new items ---------------------------------------------------------------------------------------------------------------


def explored(budget: int, shown: float) -> World:
    """Return a shop of old items and a new one, which was shown so often."""
    world = World(RankingSettings(explore_every=3, explore_impressions=budget, list_size=6))
    for i in range(12):
        world.item(f"old{i}", (1, 0, 0, i / 50), ts=T0 - 300 * DAY)
        world.met(f"old{i}", 10)
    world.item("new", SOAP)
    world.met("new", 0.0, shown=shown)
    return world


def test_a_new_item_is_explored_and_boosted_until_it_was_shown_as_often_as_its_budget_says() -> None:
    for shown, place in ((0.0, 3), (99.0, 3), (100.0, 0)):
        world = explored(100, shown)
        whys = world.whys(click("old0"))
        assert (list(whys).index("new") + 1 if "new" in whys else 0) == place
        told = world.ranker.explain(visitor(click("old0")), "new", NOW)
        assert (told.parts["new"] > 0) == (place > 0)
    assert "new" in explored(0, 1e6).ids(click("old0"))


def test_the_boost_of_a_new_item_halves_within_a_day_of_others_coming_in() -> None:
    world = World(RankingSettings(explore_every=0, weight_new=0.8))
    world.item("then", MILK, ts=T0 - DAY)
    world.item("now", MILK, ts=T0)
    parts = [world.ranker.explain(visitor(), item_id, NOW).parts["new"] for item_id in ("now", "then")]
    assert parts == [pytest.approx(0.8), pytest.approx(0.4)]


def test_a_visitor_has_a_personal_list_after_one_click_and_after_one_search() -> None:
    world = World(RankingSettings(explore_every=0), encode=lambda queries: np.stack([direction(*SOAP) for _ in queries]))
    for name, vector in (("tea", TEA), ("milk", MILK), ("soap", SOAP)):
        for i in range(3):
            world.item(f"{name}{i}", (*vector[:3], 0.3 * i))
    for name in ("milk0", "milk1", "milk2"):
        world.met(name, 50)
    assert world.ids()[0].startswith("milk")
    for event, name in ((click("tea0"), "tea"), (Search(query="something to wash with", ts=T0), "soap")):
        assert sum(item_id.startswith(name) for item_id in world.ids(event)[:3]) >= 2
