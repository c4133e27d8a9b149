"""The truth is what the newest facts say, in whatever order and however often they come."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streamrec.chaos.truth import CAMPAIGNS, CARTS, CATALOG, CLICKS, ORDERS, SEARCHES, STOCK, Interaction, Message, Truth
from streamrec.chaos.world import World, plain
from tests.unit.chaos.played import NOW, placed, shuffled

TARGETS = {"items": ["a"]}


def take(truth: Truth, topic: str, key: str, body: dict[str, Any] | None, offset: int, sent_ms: int = NOW) -> None:
    truth.take(Message(0, topic, key.encode(), None if body is None else json.dumps(body).encode()), 0, offset, sent_ms)


def test_a_late_fact_changes_nothing_and_a_dedicated_one_wins_a_tie() -> None:
    truth = Truth()
    take(truth, STOCK, "a", {"quantity": 0, "ts": 20}, 0)
    take(truth, STOCK, "a", {"quantity": 5, "ts": 10}, 1)
    take(truth, CATALOG, "a", {"title": "t", "quantity": 9, "ts": 20}, 99)
    assert truth.items["a"].is_soldout
    take(truth, STOCK, "a", {"quantity": 1, "ts": 20}, 2)
    assert not truth.items["a"].is_soldout
    assert truth.items["a"].facts["stock"].rank == (20, True, 2)


def test_a_removal_holds_until_the_item_is_listed_after_it() -> None:
    truth = Truth()
    take(truth, CATALOG, "a", {"title": "t", "ts": 50}, 1)
    take(truth, CATALOG, "a", None, 2)
    assert truth.items["a"].is_removed
    take(truth, CATALOG, "a", {"title": "older than what was removed", "ts": 40}, 3)
    assert truth.items["a"].is_removed
    take(truth, CATALOG, "a", {"title": "new", "ts": 60}, 4)
    assert truth.items["a"].may_be_listed


def test_a_cancelled_campaign_returns_with_a_newer_ts_only() -> None:
    truth = Truth()
    body = {"action": "exclude", "targets": TARGETS, "starts_at": 100, "ends_at": 200, "ts": 10}
    take(truth, CATALOG, "a", {"title": "t", "ts": 1}, 0)
    take(truth, CAMPAIGNS, "c", body, 0)
    assert truth.excluded(100) == {"a"}
    assert truth.excluded(99) == truth.excluded(200) == set()
    take(truth, CAMPAIGNS, "c", None, 1)
    take(truth, CAMPAIGNS, "c", body | {"ts": 9}, 2)
    assert not truth.campaigns(150)
    take(truth, CAMPAIGNS, "c", body | {"ts": 11}, 3)
    assert truth.excluded(150) == {"a"}


def test_an_event_counts_once_and_a_purchase_empties_the_cart() -> None:
    truth = Truth()
    for offset in range(3):
        take(truth, CLICKS, "u", {"item_id": "a", "ts": 5, "event_id": "e1"}, offset, NOW + offset)
    take(truth, CARTS, "u", {"item_id": "b", "op": "add", "quantity": 2, "ts": 6, "event_id": "e2"}, 0)
    visitor = truth.visitors["u"]
    assert visitor.interactions == {Interaction(5, "click", "a"): 1, Interaction(6, "cart", "b"): 1}
    assert visitor.must_not_see("b")
    take(truth, CARTS, "u", {"item_id": "b", "op": "remove", "ts": 7, "event_id": "e3"}, 1)
    assert not visitor.must_not_see("b")
    lines = [{"item_id": "b"}, {"item_id": "b", "quantity": 3}]
    take(truth, ORDERS, "u", {"lines": lines, "ts": 6, "event_id": "e4"}, 0)
    assert visitor.interactions[Interaction(6, "order", "b")] == 1
    assert visitor.must_not_see("b")
    take(truth, SEARCHES, "u", {"query": " red   wine ", "ts": 6, "event_id": "e5"}, 0)
    assert visitor.searches == {"red wine": 6}
    assert truth.met == {"a": {"u": 5}, "b": {"u": 6}}


@pytest.mark.parametrize("seed", range(3))
def test_neither_order_nor_repeats_change_the_truth(seed: int) -> None:
    one, other = World(seed, plain(50)), World(seed, plain(50))
    messages = placed(one, 2000)
    for message, partition, offset in messages:
        one.truth.take(message, partition, offset, NOW)
    for message, partition, offset in shuffled(messages, seed):
        other.truth.take(message, partition, offset, NOW)
    assert one.truth.items == other.truth.items
    assert one.truth.visitors == other.truth.visitors
    assert one.truth.campaigns(NOW) == other.truth.campaigns(NOW)
    assert one.truth.letters == other.truth.letters
    assert one.truth.met == other.truth.met
