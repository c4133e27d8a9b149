"""While an experiment runs each visitor's list is ranked, explained, repaired and named by the visitor's own variant."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from streamrec.config import ExperimentSettings, RankingSettings, Settings, VariantSettings
from streamrec.events import Click, Search
from streamrec.experiments.split import Split
from streamrec.lists.keys import HOME
from streamrec.lists.pins import MemoryPinStore, unpack_pins
from streamrec.ranking import Ranker
from streamrec.recommender.knowledge import config_digest
from streamrec.recommender.pin_board import PinBoard
from tests.unit.ranking.worlds import NOW, World, visitor
from tests.unit.ranking.worlds import T0 as OPENED
from tests.unit.recommender.rooms import T0, Room

USERS = [f"v{number}" for number in range(30)]
OTHER = {"weight_content": 0.0, "weight_new": 5.0}


def _experiment(name: str = "tea", **ranking: Any) -> ExperimentSettings:
    variants = (VariantSettings(name="control"), VariantSettings(name="hot", ranking=ranking or OTHER))
    return ExperimentSettings(name=name, variants=variants)


def _room(experiment: ExperimentSettings | None = None, n: int = 12) -> Room:
    room = Room()
    _restart(room, _experiment() if experiment is None else experiment, n)
    return room


def _restart(room: Room, experiment: ExperimentSettings, n: int = 12, **ranking: Any) -> None:
    """Let a worker of these settings take the room over; what Redis holds stays."""
    changed = room.settings.ranking.model_copy(update=ranking)
    room.settings = room.settings.model_copy(update={"experiment": experiment, "ranking": changed})
    room.start()
    room.items([f"i{number}" for number in range(n)])


def _visit(room: Room) -> None:
    """Let all visitors click on items of their own in one batch."""
    room.visit(*((user_id, Click(item_id=f"i{number % 9}", ts=T0 + 10)) for number, user_id in enumerate(USERS)))


def _expected(room: Room, user_id: str) -> list[str]:
    """Return the list that a recommender of the visitor's settings alone gives him."""
    number = Split.of(room.settings.experiment).variant(user_id)
    alone = room.settings.experiment.variants[number].ranked_by(room.settings.ranking)
    known = room.knowledge
    ranker = Ranker(known.items, known.index, known.neighbours, known.campaigns, alone, profiles=room.settings.profiles)
    [ranking] = ranker.rank(room.store.load([user_id]), room.clock.now_ms(), k=known.ranked_size)
    hidden = known.hidden(room.clock.now_ms())
    return [item for item, away in zip(ranking.ids(known.items), hidden[ranking.rows], strict=True) if not away]


def _all_are_their_own(room: Room) -> None:
    split, labels = Split.of(room.settings.experiment), room.settings.experiment.labels
    for user_id in USERS:
        ranked = room.store.lists(user_id)[HOME]
        assert ranked.ids() == _expected(room, user_id)
        assert ranked.variant == labels[split.variant(user_id)]
        assert (ranked.variant, ranked.digest) == room.knowledge.stamp(user_id)


def test_a_batch_of_visitors_gets_the_lists_and_names_of_their_variants() -> None:
    room = _room()
    _visit(room)
    _all_are_their_own(room)
    by_variant = {
        variant: {tuple(room.home(u)) for u in USERS if room.store.lists(u)[HOME].variant == variant}
        for variant in ("tea:control", "tea:hot")
    }
    assert by_variant["tea:control"].isdisjoint(by_variant["tea:hot"])


def test_a_batch_is_ranked_as_each_visitor_alone() -> None:
    together, alone = _room(), _room()
    _visit(together)
    for number, user_id in enumerate(USERS):
        alone.visit((user_id, Click(item_id=f"i{number % 9}", ts=T0 + 10)))
    assert together.homes() == alone.homes()


def test_a_variants_digest_is_that_of_its_settings_and_an_equal_variant_has_the_shops_own() -> None:
    room = _room()
    hot = room.settings.ranking.model_copy(update=OTHER)
    expected = config_digest(room.settings.model_copy(update={"ranking": hot}), room.knowledge.index.model or "")
    split = Split.of(room.settings.experiment)
    found = {split.variant(user_id): room.knowledge.stamp(user_id)[1] for user_id in USERS}
    assert found == {0: room.knowledge.digest, 1: expected}
    assert found[0] != found[1]
    assert config_digest(Settings(experiment=_experiment()), "m") == config_digest(Settings(), "m")


def test_lists_of_no_visitor_are_ranked_and_named_as_without_an_experiment() -> None:
    plain, split = Room(), _room()
    for room in (plain, split):
        room.tick()
    assert {key: ranked.items for key, ranked in plain.lists.puts[0].items()} == {
        key: ranked.items for key, ranked in split.lists.puts[0].items()
    }
    assert {ranked.variant for put in split.lists.puts for ranked in put.values()} == {"default"}


def test_why_speaks_of_the_list_that_the_visitor_has() -> None:
    room = _room()
    _visit(room)
    for user_id in USERS[:8]:
        [profile] = room.store.load([user_id])
        shown = room.home(user_id)[: room.knowledge.list_size]
        told = [room.knowledge.explain(user_id, profile, item_id, room.clock.now_ms()) for item_id in shown]
        assert [one.position for one in told] == list(range(1, len(shown) + 1))
        assert [one.why for one in told] == [item.why for item in room.store.lists(user_id)[HOME].items][: len(shown)]
        assert {one.variant for one in told} == {room.store.lists(user_id)[HOME].variant}


def test_a_list_that_is_ranked_again_or_repaired_stays_in_its_variant() -> None:
    room = _room()
    _visit(room)
    room.stock("i3", 0)
    room.tick()
    assert not any("i3" in room.home(user_id) for user_id in USERS)
    room.stock("i3", 5)
    room.upkeep.refresh(USERS)
    room.tick()
    _all_are_their_own(room)


def test_history_that_is_read_again_gives_the_list_of_the_variant() -> None:
    room = _room()
    _visit(room)
    before = room.homes()
    room.store._lists.clear()
    room.visits.recall([(user_id, Click(item_id=f"i{number % 9}", ts=T0 + 10)) for number, user_id in enumerate(USERS)])
    assert room.homes() == before
    _all_are_their_own(room)


def _taken_over(room: Room) -> int:
    """Return how many lists are ranked again when a worker takes all of them over."""
    pushed = room.pushed("refresh")
    room.clock.advance(1000)
    room.upkeep.adopt()
    room.tick()
    return room.pushed("refresh") - pushed


def test_a_worker_of_the_same_settings_ranks_no_list_again() -> None:
    room = _room()
    _visit(room)
    _restart(room, _experiment())
    assert _taken_over(room) == 0


@pytest.mark.parametrize(
    "begin",
    [ExperimentSettings(), _experiment("coffee"), _experiment(weight_content=0.0, weight_new=4.0)],
    ids=["none", "name", "settings"],
)
def test_lists_of_other_settings_are_made_anew_when_a_worker_takes_them_over(begin: ExperimentSettings) -> None:
    room = _room(begin)
    _visit(room)
    _restart(room, _experiment())
    named = [user_id for user_id in USERS if room.knowledge.stamp(user_id) != _stamp(room, user_id)]
    assert len(named) >= 10
    assert _taken_over(room) == len(named)
    _all_are_their_own(room)


def _stamp(room: Room, user_id: str) -> tuple[str, str]:
    ranked = room.store.lists(user_id)[HOME]
    return ranked.variant, ranked.digest


def test_whose_weight_grew_gets_its_new_visitors_lists_made_and_the_others_stay() -> None:
    room = _room()
    _visit(room)
    before = Split.of(room.settings.experiment)
    control, hot = room.settings.experiment.variants
    grown = room.settings.experiment.model_copy(update={"variants": (control, hot.model_copy(update={"weight": 3.0}))})
    _restart(room, grown)
    moved = [user_id for user_id in USERS if before.variant(user_id) != Split.of(grown).variant(user_id)]
    assert 0 < len(moved) < len(USERS)
    assert _taken_over(room) == len(moved)
    _all_are_their_own(room)


def test_a_boost_moves_lists_at_once_by_each_variants_own_places_for_new_items() -> None:
    room = _room(_experiment(explore_every=2))
    _visit(room)
    room.tick()
    room.campaign("c", "boost", "i3", "i7", factor=50.0, starts=5000, ends=9000)
    room.tick()
    room.clock.advance(5000)
    room.upkeep.tick(0.0)
    assert room.pushed("overlay") > 0
    assert all(room.upkeep._explore_every(user_id) == 2 * room.knowledge.variants.of(user_id) for user_id in USERS)
    room.tick()
    _all_are_their_own(room)


def test_where_one_variant_hides_what_was_seen_pins_are_left_to_ranking_for_all() -> None:
    for experiment, pins in ((_experiment(), 1), (_experiment(hide_seen=("home",)), 0)):
        room, store = _room(experiment), MemoryPinStore()
        room.campaign("c", "pin", "i5", slots=(1,))
        PinBoard(room.knowledge, store, room.share, room.clock).tick()
        assert len(unpack_pins(store.get())) == pins


def test_prices_are_followed_where_any_variant_weighs_them() -> None:
    room = Room()
    _restart(room, _experiment(weight_discount=0.5), weight_discount=0.0)
    assert len(room.price("i3", 5.0, 10.0).repriced) == 1
    _restart(room, _experiment(weight_new=1.0), weight_discount=0.0)
    assert len(room.price("i3", 2.0, 10.0).repriced) == 0


def test_nobody_is_ranked_without_a_name_while_visitors_are_split() -> None:
    room = _room()
    _visit(room)
    with pytest.raises(ValueError, match="say who is ranked"):
        room.knowledge.rank(room.store.load(USERS), T0)
    with pytest.raises(ValueError, match="say who is ranked"):
        room.knowledge.stamp("")
    plain = Room()
    assert len(plain.knowledge.rank(plain.store.load(USERS), T0)) == len(USERS)


@pytest.mark.parametrize(
    "changes",
    [
        {"weight_content": 0.0},
        {"weight_together": 0.0},
        {"weight_trending": 3.0},
        {"weight_search": 0.0},
        {"new_half_life_s": 60.0, "weight_new": 1.0},
        {"max_interests": 1},
        {"candidates_per_interest": 2},
        {"seeds": 1, "seed_decay": 1.0},
        {"smoothing": 0.01},
        {"hide_seen": ("home",)},
        {"max_per_category": 2},
        {"explore_every": 3},
    ],
    ids="-".join,
)
def test_a_ranker_of_other_settings_ranks_as_one_that_was_built_with_them(changes: dict[str, Any]) -> None:
    world = World(encode=lambda texts: np.array([[1.0, 0.2, 0, 0]] * len(texts), np.float32))
    for number in range(30):
        world.item(f"i{number}", [number % 3, number % 5, 1, number], ts=OPENED - 1000 * number, category=f"c{number % 4}")
        world.met(f"i{number}", 30 - number, {f"i{(number + step) % 30}": 3.0 - step for step in (1, 2)}, visitors=20.0)
    first, second, third = (Click(item_id=item_id, ts=OPENED) for item_id in ("i1", "i8", "i2"))
    profiles = [visitor(first, second), visitor(Search(query="tea", ts=NOW), third), visitor()]
    world.ranker.rank(profiles, NOW)  # caches of the first are full
    settings = RankingSettings(**changes)
    other = world.ranker.with_settings(settings)
    fresh = Ranker(world.items, world.index, world.neighbours, world.campaigns, settings, world.encode)
    before = [ranking.ids(world.items) for ranking in world.ranker.rank(profiles, NOW)]
    for mine, expected in zip(other.rank(profiles, NOW), fresh.rank(profiles, NOW), strict=True):
        assert mine.ids(world.items) == expected.ids(world.items)
        np.testing.assert_array_equal(mine.scores, expected.scores)
    assert [ranking.ids(world.items) for ranking in world.ranker.rank(profiles, NOW)] == before
