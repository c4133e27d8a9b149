"""Impressions and clicks through Kafka move the weights that stand in Redis, and a worker that starts anew goes on from there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from streamrec.config import LearningSettings
from streamrec.events.topics import CATALOG, CLICKS, IMPRESSIONS
from streamrec.lists import keys
from streamrec.lists.part_weights import PartWeights
from tests.integration.shop import Shop, await_until, now_ms

pytestmark = [pytest.mark.integration, pytest.mark.embedded_only]

ITEMS = 12
COLOURS = ("red", "blue", "green")


def _weights(shop: Shop) -> dict[str, float]:
    """Return what was learnt for home, by part."""
    found = [shop.redis.get(name) for name in shop.redis.scan_iter(match=keys.weights("home:*"))]
    [logs] = [msgspec.json.decode(value, type=PartWeights).logs for value in found if value] or [{}]
    return {part: log for part, log in logs.items() if log}


def _click(shop: Shop, user: str, item_id: str) -> None:
    shop.publish([(CLICKS, user, {"item_id": item_id, "ts": now_ms()})])


def _teach(shop: Shop, user: str, first: str) -> None:
    """Let a visitor open an item, see a list, and open what stands third in it."""
    _click(shop, user, first)
    listed = await_until(lambda: shop.storefront.top(user, 5).ids() if shop.redis.exists(keys.rec(user)) else [], "a list")
    shop.publish([(IMPRESSIONS, user, {"item_ids": listed, "placement": "home", "ts": now_ms()})])
    await_until(lambda: shop.visitors.load([user])[0].impressions, "the impression is known")
    _click(shop, user, listed[2])


def test_a_click_on_a_list_moves_the_weights_a_little_and_they_outlive_the_worker(tmp_path: Path) -> None:
    with Shop(tmp_path) as shop:
        worker = shop.worker()
        items: list[tuple[str, str, dict[str, Any]]] = [
            (CATALOG, f"i{n}", {"title": f"{COLOURS[n % 3]} thing {n}", "category": "c", "ts": now_ms()}) for n in range(ITEMS)
        ]
        shop.publish(items)
        shop.await_vectors(ITEMS)
        _teach(shop, "u", "i1")
        first = await_until(lambda: _weights(shop), "something was learnt")
        assert max(map(abs, first.values())) <= LearningSettings().step
        worker.kill()
        shop.worker()
        assert _weights(shop) == first
        _teach(shop, "v", "i2")
        await_until(lambda: _weights(shop) != first, "another visitor moved them on")
        assert max(abs(log - first.get(part, 0.0)) for part, log in _weights(shop).items()) <= LearningSettings().step * 1.001
