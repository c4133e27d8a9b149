"""kill -9 of workers in mid-stream: nothing is lost, nothing is doubled, and what was left behind is taken over."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

import pytest

from streamrec.events.topics import CARTS, CATALOG, CLICKS, STOCK
from streamrec.profiles import KINDS
from tests.integration.shop import Shop, await_until, now_ms

pytestmark = pytest.mark.integration

ITEMS, USERS, STEPS = 200, 40, 25


def test_a_killed_recommender_loses_no_event_and_its_lists_are_repaired_by_the_next(tmp_path: Path) -> None:
    rng = Random(5)
    with Shop(tmp_path) as shop:
        shop.worker("availability", "embedder", "aggregator")
        victim = shop.worker("recommender")
        ts = now_ms()
        shop.publish([(CATALOG, f"i{i}", {"title": f"thing {i}", "category": f"c{i % 7}", "ts": ts}) for i in range(ITEMS)])
        shop.await_vectors(ITEMS)
        expected: dict[str, set[tuple[int, str, str]]] = {f"u{u}": set() for u in range(USERS)}
        for step in range(STEPS):
            messages: list[tuple[str, str, dict[str, object] | bytes | None]] = []
            for user, events in expected.items():
                item, kind = f"i{rng.randrange(ITEMS)}", rng.choice(["click", "cart"])
                at = ts + step * 1000
                body = {"item_id": item, "ts": at, "event_id": f"{user}-{step}"}
                messages.append((CLICKS, user, body) if kind == "click" else (CARTS, user, body | {"op": "add"}))
                events.add((at, kind, item))
            shop.publish(messages)
            if step in {6, 13, 20}:  # in mid-stream: the last batches are being worked on
                victim.kill()
                victim = shop.start("recommender")
        victim.wait_ready(60)
        users = list(expected)

        def nothing_lost_and_nothing_doubled() -> bool:
            profiles = shop.visitors.load(users)
            found = [sorted((i.ts, KINDS[i.code], i.item_id) for i in profile.recent) for profile in profiles]
            return found == [sorted(expected[user]) for user in users]

        await_until(nothing_lost_and_nothing_doubled, "every event once in its profile")
        # The visitors are quiet now; the new worker must know their lists all the same.
        target = shop.storefront.top(users[0], 50).items[0].id
        holders = [user for user in users if target.encode() in (shop.redis.get(f"rec:{{{user}}}") or b"")]
        assert holders
        shop.publish([(STOCK, target, {"quantity": 0, "ts": now_ms()})])
        needle = f'"id":"{target}"'.encode()
        await_until(
            lambda: not any(needle in (shop.redis.get(f"rec:{{{user}}}") or b"") for user in users), "out of the lists themselves"
        )


def test_a_killed_availability_worker_loses_no_stock_fact(tmp_path: Path) -> None:
    rng = Random(6)
    with Shop(tmp_path) as shop:
        victim = shop.worker("availability")
        base = now_ms()
        newest: dict[str, tuple[int, int]] = {}
        for step in range(30):
            messages: list[tuple[str, str, dict[str, object] | bytes | None]] = []
            for _ in range(50):
                item, quantity, ts = f"i{rng.randrange(ITEMS)}", rng.choice([0, 0, 3]), base + rng.randrange(60_000) - 60_000
                messages.append((STOCK, item, {"quantity": quantity, "ts": ts}))
                if ts > newest.get(item, (0, 0))[0] or ts == newest[item][0]:
                    newest[item] = (ts, quantity)
            shop.publish(messages)
            if step in {8, 19}:
                victim.kill()
                victim = shop.start("availability")
            time.sleep(0.02)  # a stream, not a burst: kills are to meet batches of every age
        victim.wait_ready(60)
        soldout = {item.encode() for item, (_, quantity) in newest.items() if quantity == 0}

        # The guard may be right before the last facts are read: a newer message of an item may say what it was anyway.
        def every_newest_fact_is_kept() -> bool:
            kept = {item: shop.redis.hmget(f"item:{{{item}}}", "quantity", "stock_ts") for item in newest}
            return kept == {item: [str(quantity).encode(), str(ts).encode()] for item, (ts, quantity) in newest.items()}

        await_until(every_newest_fact_is_kept, "the newest fact of every item")
        await_until(lambda: shop.redis.smembers("soldout") == soldout, "the guard is what the newest facts say")


def test_two_workers_share_the_visitors_and_the_one_left_takes_all(tmp_path: Path) -> None:
    with Shop(tmp_path) as shop:
        shop.worker("availability", "embedder", "aggregator")
        first, second = shop.worker("recommender"), shop.worker("recommender")
        ts = now_ms()
        shop.publish([(CATALOG, f"i{i}", {"title": f"thing {i}", "ts": ts}) for i in range(50)])
        shop.await_vectors(50)
        users = [f"u{u}" for u in range(60)]
        for step in range(10):
            for topic, more in ((CLICKS, {}), (CARTS, {"op": "add"})):
                shop.publish([(topic, user, {"item_id": f"i{step}", "ts": ts + step, **more}) for user in users])
            if step == 5:
                second.kill()
        await_until(lambda: all(len(p.recent) == 20 for p in shop.visitors.load(users)), "all events of all visitors")
        assert first.running
