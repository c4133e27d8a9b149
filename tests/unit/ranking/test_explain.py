"""Explanations are true: each is read off the list that it explains."""

from __future__ import annotations

from streamrec.config import RankingSettings
from streamrec.events import Cart, Click, Order, OrderLine
from streamrec.profiles import Profile
from streamrec.ranking import Explanation
from tests.unit.ranking.test_ranker import bought, click, shop
from tests.unit.ranking.worlds import DAY, NOW, T0, World, visitor


def why(world: World, item_id: str, *events: Click | Order | Cart, k: int | None = None) -> Explanation:
    return world.ranker.explain(visitor(*events), item_id, NOW, k=k)


def test_a_shown_item_is_explained_with_its_position_reason_and_score() -> None:
    world = shop()
    ranking = world.rank(click("tea0"))
    for position, item_id in enumerate(ranking.ids(world.items), 1):
        told = why(world, item_id, click("tea0"))
        assert (told.shown, told.position) == (True, position)
        assert told.why == ranking.why(world.items, world.campaigns)[position - 1]
        assert abs(told.score - float(ranking.scores[position - 1])) < 1e-5
    first = why(world, "tea1", click("tea0"))
    assert first.reasons == ["ranked 2nd of 9 candidates by its score", "what speaks for it most: content:tea0"]
    assert first.parts["content"] > first.parts["new"] > first.parts["together"] == 0.0


def test_the_parts_add_up_to_the_score() -> None:
    world = shop()
    world.campaign("up", "boost", "tea1", factor=3.0)
    told = why(world, "tea1", click("tea0"))
    summed = sum(told.parts[name] for name in ("content", "together", "search", "trending", "new", "shown"))
    assert told.parts["clicked_category"] > 1.0
    assert abs(summed * told.parts["clicked_category"] * told.parts["campaigns"] - told.score) < 1e-4


def test_every_rule_that_keeps_an_item_out_is_named() -> None:
    world = shop()
    world.stock("tea1", 0)
    world.campaign("recall", "exclude", "tea1")
    told = why(world, "tea1", bought("tea1"), Cart(item_id="tea1", op="add", ts=T0 + 1))
    assert not told.shown
    assert told.reasons == [
        "sold out",
        "excluded by campaign recall",
        "bought on 2023-11-14, hidden for 30 days",
        "in the cart",
    ]


def test_unknown_and_removed_items_are_not_in_the_catalogue() -> None:
    world = shop()
    world.items.apply("items.catalog", "tea1", None, world.order())
    assert why(world, "never").reasons == ["not in the catalogue"]
    assert why(world, "tea1").reasons == ["not in the catalogue"]


def test_an_opened_item_says_so_where_opened_items_are_hidden() -> None:
    world = shop(RankingSettings(hide_seen=("home",)))
    assert why(world, "tea1", click("tea1")).reasons == ["opened before, and opened items are hidden"]


def test_a_candidate_below_the_list_tells_its_rank_and_the_cut() -> None:
    world = shop()
    told = why(world, "tea2", click("tea0"), k=2)
    assert (told.shown, told.position) == (False, 0)
    assert told.reasons[0].startswith("ranked 3rd, below the list of 2; the last place went to a score of")


def test_an_item_held_back_by_a_cap_names_the_cap() -> None:
    world = shop(RankingSettings(explore_every=0, max_per_category=2, seen_factor=1.0))
    assert why(world, "tea2", click("tea0"), k=4).reasons == [
        "the list already has 2 items of category 'tea', its cap; by its score it is 3rd",
    ]
    told = why(world, "tea2", click("tea0"), k=9)
    assert told.reasons[0] == "the list already has 2 items of category 'tea', its cap, but without it the list would be short"
    branded = World(RankingSettings(explore_every=0, max_per_brand=1, seen_factor=1.0))
    for i, name in enumerate(("a", "b", "c")):
        branded.item(name, (1, 0, 0, i / 5), brand="" if name == "c" else "B")
    assert why(branded, "b", click("a"), k=2).reasons == [
        "the list already has 1 items of brand 'B', its cap; by its score it is 2nd"
    ]


def test_what_is_no_candidate_is_told_so_with_the_score_that_it_would_have() -> None:
    world = World(RankingSettings(explore_every=0, candidates_per_interest=2, list_size=2))
    for i in range(8):
        world.item(f"i{i}", (1, 0, 0, i), ts=T0 + i)
    told = why(world, "i5", click("i0"))
    assert told.reasons[0].startswith("not a candidate")
    assert f"{told.score:.4f}" in told.reasons[0]
    assert told.score > 0


def test_a_missing_vector_is_mentioned() -> None:
    world = shop()
    world.item("bare", ts=T0 - 500 * DAY)
    assert why(world, "bare", click("tea0"), k=3).reasons[-1].startswith("no vector yet")


def test_pins_and_new_items_tell_the_rule_that_placed_them() -> None:
    world = shop(RankingSettings(explore_every=2))
    world.campaign("p", "pin", "soap2", slots=(1,))
    assert why(world, "soap2", click("tea0")).reasons == ["pinned to slot 1 by campaign p"]
    second = world.ids(click("tea0"))[1]
    assert why(world, second, click("tea0")).reasons[0].startswith("slot 2 is kept for new items")


def test_explaining_changes_nothing_for_the_visitor() -> None:
    world = shop()
    profile = visitor(click("tea0"), Order(lines=(OrderLine(item_id="tea1"),), ts=T0))
    packed = profile.pack()
    world.ranker.explain(profile, "tea2", NOW)
    assert Profile.unpack(packed) == profile
