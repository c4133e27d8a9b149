"""Lists of items and of the whole shop."""

from __future__ import annotations

from streamrec.events import ItemNeighbours
from tests.unit.ranking.test_ranker import shop
from tests.unit.ranking.worlds import NOW, T0, World


def test_trending_is_by_popularity_and_filled_up_with_the_newest() -> None:
    world = shop()
    world.met("milk1", 5)
    world.met("tea2", 50)
    world.item("late", ts=T0 + 1)
    ranking = world.ranker.trending(NOW, 3)
    assert ranking.ids(world.items) == ["tea2", "milk1", "late"]
    assert ranking.why(world.items, world.campaigns) == ["trending", "trending", "new"]
    assert len(world.ranker.trending(NOW, 100)) == 10


def test_popularity_of_records_made_at_different_times_compares() -> None:
    world = shop()
    half_life_ms = 6 * 3600 * 1000
    world.met("tea0", 30)
    world.neighbours.update("tea1", ItemNeighbours(as_of=T0 + half_life_ms, popularity=16.0, neighbours=()))
    assert world.ranker.trending(NOW, 2).ids(world.items) == ["tea1", "tea0"]


def test_a_category_has_its_own_trends_and_news_and_an_unknown_one_has_none() -> None:
    world = shop()
    world.met("milk1", 5)
    world.met("tea2", 50)
    world.item("milk-late", category="milk", ts=T0 + 1)
    assert world.ranker.trending(NOW, 1, "milk").ids(world.items) == ["milk1"]
    assert world.ranker.newest(NOW, 1, "milk").ids(world.items) == ["milk-late"]
    assert len(world.ranker.newest(NOW, 5, "unknown")) == 0


def test_alternatives_are_near_in_content_and_never_the_item_itself() -> None:
    world = shop()
    first, second, unknown = world.ranker.similar(["tea0", "soap2", "gone"], NOW, 2)
    assert first.ids(world.items) == ["tea1", "tea2"]
    assert second.ids(world.items)[0] == "soap1"
    assert first.why(world.items, world.campaigns) == ["content:tea0", "content:tea0"]
    assert len(unknown) == 0


def test_an_item_without_a_vector_has_alternatives_from_what_was_met_with_it() -> None:
    world = shop()
    world.item("bare")
    world.met("bare", 5, {"milk1": 3})
    assert world.ranker.similar(["bare"], NOW, 3)[0].ids(world.items) == ["milk1"]


def test_bought_together_wins_over_met_together_and_falls_back_to_it() -> None:
    world = shop()
    world.met("tea0", 9, {"milk0": 2}, bought=1)
    world.met("milk0", 2, {"tea0": 2})
    world.met("tea1", 9, {"soap1": 4})
    bought, met = world.ranker.together(["tea0", "tea1"], NOW, 5)
    assert bought.ids(world.items) == ["milk0"]
    assert bought.why(world.items, world.campaigns) == ["together:tea0"]
    assert met.ids(world.items) == ["soap1"]


def test_neighbours_named_before_the_catalogue_knows_them_count_once_it_does() -> None:
    world = World()
    world.item("a", (1, 0, 0, 0))
    world.met("b", 7)
    world.met("a", 3, {"b": 2})
    assert len(world.ranker.together(["a"], NOW, 5)[0]) == 0
    world.item("b")
    assert world.ranker.together(["a"], NOW, 5)[0].ids(world.items) == ["b"]
    assert world.ranker.trending(NOW, 1).ids(world.items) == ["b"]


def test_a_forgotten_record_leaves_no_trace() -> None:
    world = shop()
    world.met("tea0", 9, {"milk0": 2})
    world.neighbours.update("tea0", None)
    world.neighbours.update("never", None)
    assert len(world.neighbours) == 0
    assert len(world.ranker.together(["tea0"], NOW, 5)[0]) == 0
    assert world.ranker.trending(NOW, 1).scores.tolist() == [0.0]
