"""What a recommender knows of the shop."""

from __future__ import annotations

import numpy as np
import pytest

from streamrec.catalogue.store import Fact
from streamrec.config import ProfileSettings, RankingSettings, Settings
from streamrec.embedding.vectors import pack_vectors
from streamrec.events import CatalogItem, ItemVector, Search, Stock
from streamrec.events.topics import CATALOG, STOCK
from streamrec.lists.keys import HOME
from streamrec.recommender.knowledge import config_digest
from tests.unit.recommender.rooms import ENCODER, T0, Room


def _facts(room: Room, *facts: Fact) -> tuple[list[str], list[str]]:
    changes = room.knowledge.take_facts(facts)
    return room.knowledge.items.ids(changes.gone), room.knowledge.items.ids(changes.back)


def _stock(item_id: str, quantity: int, at: int) -> Fact:
    return Fact(STOCK, item_id, Stock(quantity=quantity, ts=T0 + at), at)


def _found(room: Room) -> set[int]:
    labels, _ = room.knowledge.index.search(ENCODER.encode(["red shoe"]), 20)
    return {label for label in labels.ravel().tolist() if label >= 0}


def test_only_transitions_are_changes() -> None:
    room = Room(3)
    assert _facts(room, _stock("i1", 5, 1)) == ([], [])
    assert _facts(room, _stock("i1", 0, 2)) == (["i1"], [])
    assert _facts(room, _stock("i1", 0, 3)) == ([], [])
    assert _facts(room, _stock("i1", 4, 1)) == ([], [])  # older than what stands
    assert _facts(room, _stock("i1", 4, 4)) == ([], ["i1"])


def test_of_several_facts_in_a_batch_the_outcome_counts() -> None:
    room = Room(3)
    assert _facts(room, _stock("i0", 0, 1), _stock("i0", 2, 2), _stock("i1", 2, 1), _stock("i1", 0, 2)) == (["i1"], ["i0"])
    assert _found(room) == {0, 2}


def test_a_removed_item_is_gone_and_a_new_one_is_there() -> None:
    room = Room(3)
    assert _facts(room, Fact(CATALOG, "i1", None, 100)) == (["i1"], [])
    assert _facts(room, Fact(CATALOG, "new", CatalogItem(title="t", ts=T0), 101)) == ([], ["new"])


def test_what_may_not_be_shown_is_found_by_no_search_even_if_its_vector_comes_later() -> None:
    room = Room(3)
    _facts(room, _stock("i1", 0, 1))
    assert _found(room) == {0, 2}
    room.vectors(["i1"])
    assert _found(room) == {0, 2}
    _facts(room, _stock("i1", 1, 2))
    assert _found(room) == {0, 1, 2}


def test_a_vector_of_an_item_that_the_catalogue_does_not_know_yet_waits() -> None:
    room = Room(3)
    room.vectors(["i7"])
    assert _found(room) == {0, 1, 2}
    room.items(["i7"])
    assert _found(room) == {0, 1, 2, 3}


def test_the_same_campaign_twice_is_no_change() -> None:
    room = Room(3)
    room.campaign("c", "exclude", "i1")
    [campaign] = room.knowledge.campaigns.active(T0).values()
    assert not room.knowledge.take_campaigns([("c", campaign, 1)])
    assert room.knowledge.take_campaigns([("c", campaign, 1), ("d", campaign, 2)])
    assert np.flatnonzero(room.knowledge.hidden(T0)).tolist() == [1]


def _of_model(item_ids: list[str], model: str, dim: int) -> list[tuple[str, ItemVector | None]]:
    packed = pack_vectors(np.eye(len(item_ids), dim, dtype=np.float32))
    made = [ItemVector(content_digest="c", model_digest=model, dim=dim, vector=vector, ts=T0) for vector in packed]
    return list(zip(item_ids, made, strict=True))


def test_another_model_takes_over_at_once_with_the_digest_of_lists_and_text_is_understood_only_by_its_own() -> None:
    room = Room(3)
    knowledge, ids = room.knowledge, ["i0", "i1", "i2"]
    room.visit(("ann", Search(query="red shoe", ts=T0)))
    assert room.store.lists("ann")[HOME].items[0].why == "search:red shoe"
    ours = knowledge.digest
    assert knowledge.digest == config_digest(room.settings, ENCODER.digest)
    _facts(room, _stock("i1", 0, 1))
    # What the embedder of tomorrow makes is of no use to us as long as ours has all items.
    assert len(knowledge.take_vectors(_of_model(ids, "tomorrow", 8))) == 0
    assert knowledge.digest == ours
    changed = knowledge.take_vectors(_of_model(["i3"], "tomorrow", 8))
    assert (changed.tolist(), knowledge.index.dim, knowledge.understands_text) == ([0, 1, 2, 3], 8, False)
    assert knowledge.digest == config_digest(room.settings, "tomorrow")
    assert set(knowledge.index.search(np.ones((1, 8), np.float32), 5)[0].ravel().tolist()) == {0, 2, -1}
    room.visit(("ann", Search(query="blue shoe", ts=T0 + 1)))
    assert not any(item.why.startswith("search:") for item in room.store.lists("ann")[HOME].items)
    room.vectors([*ids, "i3"])
    assert (knowledge.digest, knowledge.index.dim, knowledge.understands_text) == (ours, 16, True)
    assert _found(room) == {0, 2}


@pytest.mark.parametrize(
    "other",
    [Settings(ranking=RankingSettings(weight_new=0.16)), Settings(profiles=ProfileSettings(half_life_s=1.0))],
    ids=["ranking", "profiles"],
)
def test_whatever_decides_a_list_is_in_the_digest(other: Settings) -> None:
    assert config_digest(other, "m") != config_digest(Settings(), "m")
    assert config_digest(Settings(), "m") != config_digest(Settings(), "n")
    assert config_digest(Settings(log_level="ERROR"), "m") == config_digest(Settings(), "m")
