"""Clicks on what was shown move the weights of the parts: a little each, once, and never by more than the bounds say."""

from __future__ import annotations

import math

import pytest

from streamrec.config import ExperimentSettings, Settings
from streamrec.errors import StoreUnavailable
from streamrec.events import Click, Event, Impressions, ItemNeighbours, Neighbour
from streamrec.lists.part_weights import Bounds, Moves, PartWeights, moved
from streamrec.recommender.lessons import Lessons
from tests.unit.recommender.rooms import T0, Room

MINUTE = 60_000
HOUR = 60 * MINUTE


def taught_room(**learning: float) -> Room:
    """A room in which others met i4 after i0, so that a list for who clicked on i0 has parts that differ."""
    room = Room()
    if learning:
        room.settings = room.settings.model_copy(update={"learning": room.settings.learning.model_copy(update=learning)})
        room.start()
        room.items([f"i{number}" for number in range(12)])
    met = (Neighbour(item_id="i4", together=6.0, bought=0.0),)
    room.knowledge.take_neighbours([("i0", ItemNeighbours(as_of=T0, popularity=9.0, neighbours=met, total=6.0, visitors=9.0))])
    return room


def shown(*ids: str, at: int, placement: str = "home") -> Impressions:
    return Impressions(item_ids=ids, ts=T0 + at, placement=placement)


def visit(user_id: str, clicked: str, at: int = 0, own: str = "") -> list[tuple[str, Event]]:
    """A click on i0 and perhaps on something of the own, a list, and a click on it."""
    first = [(user_id, Click(item_id=item_id, ts=T0 + at + n)) for n, item_id in enumerate(filter(None, (own, "i0")))]
    return [*first, (user_id, shown("i3", "i4", "i5", at=at + 10)), (user_id, Click(item_id=clicked, ts=T0 + at + 20))]


def logs(room: Room) -> dict[str, float]:
    room.lessons.tick()
    room.clock.advance(1000)
    return {part: log for weights in room.weights.weights.values() for part, log in weights.logs.items() if abs(log) > 1e-9}


def test_a_click_on_the_second_place_speaks_for_what_had_put_it_there() -> None:
    room = taught_room()
    room.visit(*visit("u", "i4"))
    found = logs(room)
    assert found["together"] > 0 > found["content"]
    assert max(map(abs, found.values())) <= room.settings.learning.step
    assert room.knowledge.ranker.learnt["home"].max() > 1
    assert room.observer.counts["lessons", "home"] == 1


def test_lists_follow_what_was_learnt_and_another_worker_ranks_by_it_too() -> None:
    room = taught_room()
    for n in range(40):
        room.visit(*visit(f"u{n}", "i4", at=n * HOUR, own=f"i{5 + n % 6}"))
        room.lessons.tick()
        room.clock.advance(HOUR)
    learnt = room.knowledge.ranker.learnt["home"]
    assert learnt.max() > 1.1
    weights = room.weights.weights
    room.start()  # a worker that begins anew knows nothing but what stands
    room.lessons.tick()
    assert room.knowledge.ranker.learnt["home"].tolist() == learnt.tolist()
    assert room.weights.weights == weights


def test_repeating_a_batch_teaches_nothing_more() -> None:
    room = taught_room()
    batch = visit("u", "i4")
    room.visit(*batch)
    before = logs(room)
    room.visit(*batch)
    room.outage.written_all_the_same.add("commit")
    room.outage.begin("commit")
    later = visit("u", "i4", at=HOUR)
    with pytest.raises(StoreUnavailable):
        room.visit(*later)
    room.outage.written_all_the_same.clear()
    assert logs(room) == before  # what may not be written yet has taught nothing
    room.visit(*later)
    assert logs(room) == before  # and a lesson may be lost


def test_a_click_on_what_was_not_shown_lately_or_is_shown_elsewhere_teaches_nothing() -> None:
    room = taught_room()
    room.visit(
        ("u", Click(item_id="i0", ts=T0)),
        ("u", shown("i3", "i4", at=1)),
        ("u", shown("i5", "i6", at=2, placement="newsletter")),
        ("u", Click(item_id="i7", ts=T0 + 10)),
        ("u", Click(item_id="i5", ts=T0 + 11)),
        ("u", Click(item_id="i4", ts=T0 + 12, placement="newsletter")),
        ("u", Click(item_id="i3", ts=T0 + 2 * HOUR)),
    )
    assert logs(room) == {}


def test_what_happened_long_ago_and_comes_back_by_a_rebuild_teaches_nothing() -> None:
    room = taught_room()
    room.visits.recall(visit("u", "i4"))
    assert logs(room) == {}


def test_a_click_on_a_pin_says_nothing_of_scores() -> None:
    room = taught_room()
    room.campaign("spring", "pin", "i4", slots=(1,))
    room.visit(*visit("u", "i4"))
    assert logs(room) == {}


def test_a_burst_of_one_visitor_moves_a_weight_by_one_step() -> None:
    room = taught_room()
    step = room.settings.learning.step
    for n in range(40):
        room.visit(*visit("u", "i4", at=n * 5000))
    assert 0 < max(map(abs, logs(room).values())) <= step


def test_of_a_crowd_that_all_does_the_same_three_teach_and_of_any_crowd_an_hour_moves_weights_by_the_drift() -> None:
    room = taught_room(max_batch=1000)
    settings: Settings = room.settings
    for n in range(60):
        room.visit(*visit(f"same{n}", "i4", at=n * 100))
    assert max(map(abs, logs(room).values())) <= settings.abuse.max_alike * settings.learning.step + 1e-9
    # Each of these has a history of its own: nothing tells them from people but that there are so many.
    others = taught_room(max_batch=1000, every_s=0.0)
    for n in range(60):
        own = [(f"u{n}", Click(item_id=f"i{k}", ts=T0 + n * 100 + k)) for k in range(12) if (n >> k % 9) & 1 and k not in {0, 4}]
        others.visit(*own, *visit(f"u{n}", "i4", at=n * 100 + 50))
    found = logs(others)
    assert settings.abuse.max_alike * settings.learning.step < max(map(abs, found.values())) <= settings.learning.drift + 1e-9


def test_weights_stay_within_the_configured_range_and_fade_back_without_clicks() -> None:
    room = taught_room(drift=10.0, step=0.5)
    for n in range(60):
        room.visit(*visit(f"u{n}", "i4", at=n * HOUR, own=f"i{5 + n % 6}"))
        room.lessons.tick()
        room.clock.advance(HOUR)
    found = logs(room)
    assert max(map(abs, found.values())) <= math.log(3.0) + 1e-9
    [weights] = [told for name, told in room.weights.weights.items() if name.startswith("home:")]
    later = moved(weights, Moves(weights.ts + 1000 * 24 * HOUR, {}), Bounds.of(room.settings.learning))
    assert max(map(abs, later.logs.values())) < 0.001


def test_a_store_that_is_away_loses_nothing_of_what_was_learnt() -> None:
    room = taught_room()
    room.visit(*visit("u", "i4"))

    class Away:
        def share(self, *_: object) -> dict[str, PartWeights]:
            raise StoreUnavailable("away")

    store, room.lessons._store = room.lessons._store, Away()
    with pytest.raises(StoreUnavailable):
        room.lessons.tick()
    room.lessons._store = store
    room.clock.advance(1000)
    assert logs(room)["together"] > 0


def test_switched_off_nothing_is_heard_and_variants_learn_for_themselves() -> None:
    room = taught_room()
    off = room.settings.model_copy(update={"ranking": room.settings.ranking.model_copy(update={"learnt": False})})
    room.settings = off
    room.start()
    room.items([f"i{number}" for number in range(12)])
    room.visit(*visit("u", "i4"))
    assert logs(room) == {}
    assert len(room.lessons) == 0
    variants = [{"name": "a"}, {"name": "b", "ranking": {"weight_again": 1.0}}, {"name": "c", "ranking": {"learnt": False}}]
    split = ExperimentSettings.model_validate({"name": "x", "variants": variants})
    room.settings = taught_room().settings.model_copy(update={"experiment": split})
    room.start()
    assert len(room.lessons._pupils) == 2


def test_what_is_remembered_is_bounded() -> None:
    room = taught_room(max_shown=5)
    assert isinstance(room.lessons, Lessons)
    for n in range(20):
        room.visit((f"u{n}", shown("i3", "i4", at=n)))
    assert len(room.lessons) == 5
