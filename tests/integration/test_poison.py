"""Malformed, oversized and future-dated messages on every topic: the stream goes on, each is listed, and comes in once mended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from streamrec.events import TOPICS, ItemVector, encode
from streamrec.events.topics import CATALOG, CLICKS, DEAD_LETTERS, STOCK, VECTORS
from tests.integration.shop import Shop, await_until, now_ms

pytestmark = pytest.mark.integration

DAY_MS = 86_400_000
#: A valid value of each topic that people publish to.
VALUES: dict[str, dict[str, Any]] = {
    "items.catalog": {"title": "a thing"},
    "items.price": {"price": 1.5},
    "items.stock": {"quantity": 0},
    "promo.campaigns": {
        "action": "boost",
        "targets": {"brands": ["b"]},
        "starts_at": 1_700_000_000_000,
        "ends_at": 1_800_000_000_000,
    },
    "events.clicks": {"item_id": "good"},
    "events.carts": {"item_id": "good", "op": "add"},
    "events.orders": {"lines": [{"item_id": "good"}]},
    "events.searches": {"query": "thing"},
    "events.impressions": {"item_ids": ["good"]},
}
INTERNAL = {name for name, topic in TOPICS.items() if topic.internal and topic.payload is not None}


def _letters(shop: Shop) -> list[dict[str, Any]]:
    listed = shop.cli("dlq", "list", "--json", "--limit", "1000")
    assert listed.returncode == 0, listed.stderr
    letters: list[dict[str, Any]] = json.loads(listed.stdout)
    return letters


def test_bad_messages_are_listed_with_their_reasons_and_come_in_once_mended(tmp_path: Path) -> None:
    assert VALUES.keys() | INTERNAL | {DEAD_LETTERS} == TOPICS.keys()
    with Shop(tmp_path) as shop:
        shop.worker()
        ts = now_ms()
        shop.publish([(CATALOG, "good", {"title": "a good thing", "ts": ts})])
        shop.await_vectors(1)
        for topic, value in VALUES.items():
            oversized = b'{"ts":%d,"x":"%s"}' % (ts, b"x" * (TOPICS[topic].max_value_bytes + 1))
            shop.publish([(topic, "k", b'{"broken'), (topic, "k", oversized), (topic, "late", value | {"ts": ts + DAY_MS})])
        shop.publish([(topic, "k", b"\xc1 neither msgpack nor JSON") for topic in INTERNAL])
        # The stream goes on: good messages behind the bad ones have their effect.
        shop.publish([(STOCK, "other", {"quantity": 0, "ts": ts}), (CLICKS, "visitor", {"item_id": "good", "ts": ts})])
        await_until(lambda: shop.redis.sismember("soldout", "other"), "the stock fact behind the bad ones")
        await_until(lambda: shop.redis.exists("rec:{visitor}"), "the click behind the bad ones")
        expected = 3 * len(VALUES) + len(INTERNAL)
        await_until(lambda: len(_letters(shop)) >= expected, f"{expected} dead letters")
        letters = _letters(shop)
        assert len(letters) == expected
        for topic in VALUES:
            reasons = sorted(letter["reason"] for letter in letters if letter["source"]["topic"] == topic)
            assert any("in the future" in reason for reason in reasons)
            assert any(f"at most {TOPICS[topic].max_value_bytes}" in reason for reason in reasons)
            assert any("truncated" in reason for reason in reasons)
        assert {letter["source"]["topic"] for letter in letters} >= INTERNAL

        # The future-dated ones are mended by a new time stamp; a malformed one by new bytes; the others are refused again.
        assert shop.cli("dlq", "redrive", "--reason", "in the future", "--restamp").returncode == 0
        await_until(lambda: shop.redis.sismember("soldout", "late"), "the re-driven stock fact")
        await_until(lambda: shop.redis.hget("item:{late}", "price") == b"1.5", "the re-driven price")
        await_until(lambda: shop.redis.exists("rec:{late}"), "the re-driven events' list")
        broken = next(letter["id"] for letter in letters if letter["source"]["topic"] == STOCK and "truncated" in letter["reason"])
        mended = tmp_path / "mended.json"
        mended.write_text(json.dumps({"quantity": 0, "ts": now_ms()}))
        assert shop.cli("dlq", "redrive", "--id", broken, "--value", str(mended)).returncode == 0
        await_until(lambda: shop.redis.sismember("soldout", "k"), "the mended stock fact")
        refused = shop.cli("dlq", "redrive", "--all")
        assert refused.returncode == 1
        assert b"refused" in refused.stdout
        assert len(_letters(shop)) == expected - len(VALUES) - 1


def test_a_vector_of_another_model_gives_way_to_ours_and_the_stream_goes_on(tmp_path: Path) -> None:
    with Shop(tmp_path) as shop:
        shop.worker()
        foreign = ItemVector(content_digest="c", model_digest="other", dim=64, vector=b"\x00\x3c" * 64, ts=now_ms())
        shop.publish([(VECTORS, "foreign", encode(foreign, VECTORS)), (CATALOG, "mine", {"title": "mine", "ts": now_ms()})])

        def served() -> list[tuple[int, int]]:
            """Of the worker, how many vectors it serves and whether they are of its encoder."""
            return [(beat["vectors"], beat["understands_text"]) for beat in shop.heartbeats()]

        await_until(lambda: served() == [(1, 1)], "the vector of our own model, and it alone")
