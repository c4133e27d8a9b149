"""A world whose answer is known: visitors and items in two colours, and each visitor has met every item of the own colour but one.

The item held out must come first, from co-visitation alone, from content alone and from both. (After implicit's checker-board.)
"""

from __future__ import annotations

import numpy as np
import pytest

from streamrec.campaigns import CampaignBook
from streamrec.candidates import CovisitationAggregator, NeighbourTable, activities
from streamrec.catalogue import ItemTable
from streamrec.config import ProfileSettings, RankingSettings
from streamrec.events import CatalogItem, Click, ItemNeighbours
from streamrec.events.topics import CATALOG
from streamrec.index import ExactIndex
from streamrec.profiles import Profile, apply
from streamrec.ranking import Ranker

T0 = 1_700_000_000_000
SIZE = 16
COLOURS = ("red", "blue")


def colour_of(number: int) -> str:
    return COLOURS[number % 2]


def catalogue() -> tuple[ItemTable, ExactIndex]:
    items, index = ItemTable(), ExactIndex(2 + SIZE)
    for i in range(SIZE):
        items.apply(CATALOG, f"item{i}", CatalogItem(title=f"{colour_of(i)} {i}", category=colour_of(i), ts=T0), i)
        vector = np.zeros(2 + SIZE, np.float32)
        vector[i % 2], vector[2 + i] = 0.9, np.sqrt(1 - 0.81)
        index.upsert([i], vector[None])
    return items, index


def visits(items: ItemTable) -> tuple[list[Profile], NeighbourTable]:
    """Everybody clicks each item of the own colour but the one with the own number; all of it passes the aggregator."""
    aggregator, neighbours = CovisitationAggregator(), NeighbourTable(items)
    profiles = []
    for user in range(SIZE):
        profile = Profile()
        for step in range(1, SIZE // 2):
            event = Click(item_id=f"item{(user + 2 * step) % SIZE}", ts=T0 + 1000 * step)
            assert apply(profile, event, ProfileSettings())
            aggregator.update(activities(f"user{user}", profile, event))
        profiles.append(profile)
    for i in range(SIZE):
        record = aggregator.record(f"item{i}")
        assert isinstance(record, ItemNeighbours)
        neighbours.update(f"item{i}", record)
    return profiles, neighbours


@pytest.mark.parametrize("parts", [{"weight_content": 0.0}, {"weight_together": 0.0}, {}], ids=["together", "content", "both"])
def test_the_held_out_item_of_the_own_colour_comes_first(parts: dict[str, float]) -> None:
    items, index = catalogue()
    profiles, neighbours = visits(items)
    settings = RankingSettings(hide_seen=("home",), explore_every=0, list_size=5, **parts)
    ranker = Ranker(items, index, neighbours, CampaignBook(), settings)
    lists = [ranking.ids(items) for ranking in ranker.rank(profiles, T0 + 60_000)]
    assert [ids[0] for ids in lists] == [f"item{user}" for user in range(SIZE)]


def test_alternatives_and_companions_have_the_same_colour() -> None:
    items, index = catalogue()
    _, neighbours = visits(items)
    ranker = Ranker(items, index, neighbours, CampaignBook(), RankingSettings())
    ids = [f"item{i}" for i in range(SIZE)]
    for make in (ranker.similar, ranker.together):
        for i, ranking in enumerate(make(ids, T0 + 60_000, 5)):
            assert {colour_of(row) for row in ranking.rows.tolist()} == {colour_of(i)}
            assert len(ranking) == 5
