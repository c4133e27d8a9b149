"""A new item has neighbours and a place at once, for as long as its budget lasts; all by the code that workers run."""

from __future__ import annotations

from streamrec.candidates import CovisitationAggregator
from streamrec.config import Settings
from streamrec.evaluate.methods.shop import Shop
from streamrec.events import CatalogItem, Click, Impressions
from streamrec.events.topics import CATALOG
from streamrec.lists import keys
from tests.unit.evaluate.toys import DAY_MS, click, item, steps_of, stream, texts
from tests.unit.recommender.rooms import T0, Room


def exchange(room: Room) -> CovisitationAggregator:
    """Let the aggregator hear what it was told, and the room what it says."""
    aggregator = CovisitationAggregator.from_settings(room.settings.ranking, room.settings.abuse)
    room.knowledge.take_neighbours([(item_id, aggregator.record(item_id)) for item_id in aggregator.update(room.outbox.sent)])
    return aggregator


def explored(room: Room, budget: int) -> None:
    ranking = room.settings.ranking.model_copy(update={"explore_every": 2, "explore_impressions": budget, "list_size": 4})
    room.settings = room.settings.model_copy(update={"ranking": ranking})
    room.start()


def test_a_new_items_lists_are_pushed_with_its_vector_and_it_is_in_the_shops_new_ones() -> None:
    room = Room()
    room.tick()
    room.clock.advance(3000)
    room.items(["i30"], ts=T0 + 3000)
    room.tick()
    [similar] = room.lists.get([keys.similar("i30")])
    assert similar is not None
    assert similar.ids()
    assert {int(item_id[1:]) % 3 for item_id in similar.ids()} == {0}
    for key in (keys.new(), keys.new("red")):
        [newest] = room.lists.get([key])
        assert newest is not None
        assert newest.ids()[0] == "i30"


def test_the_first_click_on_a_new_item_gives_it_neighbours_and_a_trend() -> None:
    room = Room()
    room.click("u", "i1", "i2")
    room.items(["i30"])
    room.visit(("u", Click(item_id="i30", ts=T0 + 500)))
    exchange(room)
    room.fallbacks.items_changed(room.knowledge.items.find_all(["i30", "i2"]))
    room.tick()
    [together] = room.lists.get([keys.together("i30")])
    [other] = room.lists.get([keys.together("i2")])
    assert together is not None
    assert other is not None
    assert set(together.ids()) == {"i1", "i2"}
    assert "i30" in other.ids()
    assert room.knowledge.neighbours.log_popularity()[room.knowledge.items.find("i30")] > float("-inf")


def test_a_new_item_is_shown_to_others_until_its_budget_is_spent() -> None:
    room = Room(0)
    explored(room, budget=20)
    room.items([f"i{n}" for n in range(0, 30, 3)], ts=T0 - 300 * DAY_MS)
    room.items(["i1"], ts=T0)
    room.click("u", "i3")
    assert room.home("u")[1] == "i1"
    for n in range(19):
        room.visit((f"v{n}", Impressions(item_ids=("i1", "i3"), ts=T0 + n)))
    exchange(room)
    assert {item_id for item_id, told in room.outbox.sent if told.shown} == {"i1"}
    room.click("w", "i3")
    assert room.home("w")[1] == "i1"
    room.visit(*((f"x{n}", Impressions(item_ids=("i1",), ts=T0 + n)) for n in range(5)))
    exchange(room)
    room.click("y", "i3")
    assert "i1" not in room.home("y")
    sent = len(room.outbox.sent)
    room.visit(("z", Impressions(item_ids=("i1", "i3"), ts=T0)))
    assert len(room.outbox.sent) == sent  # what is known well enough is not counted any more


def test_in_a_stream_a_visitor_has_a_list_of_the_own_after_one_click_and_a_new_item_stands_near_what_it_is_like() -> None:
    """The shop of the evaluation: profiles, aggregator, index and ranker are those of workers."""
    titles = {f"mug-{n}": f"blue mug {n}" for n in range(6)} | {f"sofa-{n}": f"leather sofa {n}" for n in range(6)}
    toy = stream([item(name, title) for name, title in titles.items()], has_text=True)
    shop = Shop(Settings.model_validate({"index": {"kind": "exact"}, "ranking": {"explore_every": 0}}), texts(toy))
    for step in toy.steps:
        shop.learn(step)
    ranker = shop.ranker(shop.settings.ranking)
    for step in steps_of("me", ["sofa-1"], toy.steps[-1].at_ms + 1):  # type: ignore[arg-type]
        shop.learn(step)
    shop.settle()
    [mine] = ranker.rank([shop.profile("me")], toy.steps[-1].at_ms + 2, k=5)
    assert all(item_id.startswith("sofa") for item_id in mine.ids(ranker.items))
    late = stream([item("sofa-9", "leather sofa 9", toy.steps[-1].at_ms + 3), click("you", "sofa-9", toy.steps[-1].at_ms + 4)])
    for step in late.steps:
        shop.learn(step)
    shop.settle()
    [mine] = ranker.rank([shop.profile("me")], toy.steps[-1].at_ms + 5, k=7)
    assert "sofa-9" in mine.ids(ranker.items)
    [near] = ranker.similar(["sofa-9"], toy.steps[-1].at_ms + 5, 3)
    assert all(item_id.startswith("sofa") for item_id in near.ids(ranker.items))
    assert (late.steps[0].record.topic, type(late.steps[0].record.value)) == (CATALOG, CatalogItem)
