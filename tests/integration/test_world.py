"""The world with a known answer, through Kafka and Redis."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamrec.events.topics import CATALOG, CLICKS, STOCK
from tests.integration.shop import Shop, await_until, now_ms

pytestmark = [pytest.mark.integration, pytest.mark.embedded_only]

SIZE = 16
SETTINGS = {"STREAMREC_RANKING__HIDE_SEEN": '["home"]', "STREAMREC_RANKING__EXPLORE_EVERY": "0"}


def test_each_visitor_is_shown_first_the_item_that_was_held_out(tmp_path: Path) -> None:
    """Visitors and items have two colours; who clicked all items of a colour but one is led to that one, and sold out it goes."""
    with Shop(tmp_path, SETTINGS) as shop:
        shop.worker()
        ts = now_ms()
        colours = ("red", "blue")
        shop.publish(
            [(CATALOG, f"item{i}", {"title": f"{colours[i % 2]} {i}", "category": colours[i % 2], "ts": ts}) for i in range(SIZE)]
        )
        shop.await_vectors(SIZE)
        shop.publish(
            [
                (CLICKS, f"user{user}", {"item_id": f"item{(user + 2 * step) % SIZE}", "ts": ts + step})
                for step in range(1, SIZE // 2)
                for user in range(SIZE)
            ]
        )
        users = [f"user{user}" for user in range(SIZE)]
        await_until(
            lambda: all(len(profile.recent) == SIZE // 2 - 1 for profile in shop.visitors.load(users)), "all clicks in profiles"
        )

        # One more click each: lists made before the others' clicks had met in the aggregator are made again.
        def right() -> bool:
            ts = now_ms()
            shop.publish([(CLICKS, f"user{u}", {"item_id": f"item{(u + 2) % SIZE}", "ts": ts}) for u in range(SIZE)])
            firsts = [answer.items[0].id for answer in map(shop.storefront.top, users) if answer.items]
            return firsts == [f"item{user}" for user in range(SIZE)]

        await_until(right, "everybody's held-out item comes first")
        shop.publish([(STOCK, "item3", {"quantity": 0, "ts": now_ms()})])
        await_until(lambda: "item3" not in [item.id for item in shop.storefront.top("user3", 50).items], "gone for readers")
        await_until(lambda: b'"item3"' not in (shop.redis.get("rec:{user3}") or b""), "item3 is out of the list itself")
        shop.publish([(STOCK, "item3", {"quantity": 7, "ts": now_ms()})])
        await_until(lambda: shop.storefront.top("user3").items[0].id == "item3", "item3 is back in its place")
