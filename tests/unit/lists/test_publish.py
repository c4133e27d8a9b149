"""What is published is what was ranked, minus what is unavailable."""

from __future__ import annotations

import numpy as np
import pytest

from streamrec.campaigns import CampaignBook
from streamrec.catalogue.table import ItemTable
from streamrec.events import CatalogItem, Stock
from streamrec.events.topics import CATALOG, STOCK
from streamrec.lists.packing import ListItem, pack
from streamrec.lists.publish import published
from streamrec.ranking import Ranking, Reason

NOW = 1_767_225_600_000


@pytest.fixture
def items() -> ItemTable:
    table = ItemTable()
    for order, item_id in enumerate("abcd"):
        table.apply(CATALOG, item_id, CatalogItem(title=item_id, ts=NOW), order)
    return table


_REASONS = [Reason.CONTENT, Reason.TRENDING, Reason.SEARCH, Reason.NEW]
RANKING = Ranking(
    np.array([2, 0, 3, 1], np.int32),
    np.array([0.9, 0.8, 0.7, 0.6], np.float32),
    np.array(_REASONS, np.uint8),
    np.array([1, -1, -1, -1], np.int32),
    "boots",
)


def _stock(items: ItemTable, item_id: str, quantity: int, at: int) -> None:
    items.apply(STOCK, item_id, Stock(quantity=quantity, ts=NOW + at), at)


def test_items_keep_their_order_scores_and_reasons(items: ItemTable) -> None:
    ranked = published(RANKING, items, CampaignBook(), ~items.available, size=3, made_at=NOW, variant="b", digest="d")
    assert ranked.items == (ListItem("c", 0.9, "content:b"), ListItem("a", 0.8, "trending"), ListItem("d", 0.7, "search:boots"))
    assert (ranked.made_at, ranked.variant, ranked.digest, ranked.v) == (NOW, "b", "d", 1)


def test_a_sold_out_item_makes_room_and_a_restocked_one_takes_its_place_again(items: ItemTable) -> None:
    """Sold-out and restock are both to publish again."""
    before = published(RANKING, items, CampaignBook(), ~items.available, size=3, made_at=NOW)
    _stock(items, "a", 0, 1)
    assert published(RANKING, items, CampaignBook(), ~items.available, size=3, made_at=NOW).ids() == ["c", "d", "b"]
    _stock(items, "a", 5, 2)
    assert published(RANKING, items, CampaignBook(), ~items.available, size=3, made_at=NOW) == before


def test_a_list_of_nothing_is_a_list(items: ItemTable) -> None:
    for item_id in "abcd":
        _stock(items, item_id, 0, 1)
    assert b'"items":[]' in pack(published(RANKING, items, CampaignBook(), ~items.available, size=3, made_at=NOW))
