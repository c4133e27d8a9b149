"""Campaigns from Kafka to the storefront: one message hides a brand or a seller, and time alone ends it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streamrec.events.topics import CAMPAIGNS, CATALOG, CLICKS, STOCK
from streamrec.lists import keys
from tests.integration.shop import Shop, await_until, now_ms

pytestmark = [pytest.mark.integration, pytest.mark.embedded_only]

ITEMS = 12
#: How long the campaigns of these tests run; their effects are looked at well before that.
LASTS_MS = 12_000


def _item(n: int, **fields: Any) -> tuple[str, str, dict[str, Any]]:
    told = {"title": f"thing {n}", "category": "c", "brand": ("acme", "other")[n % 2], "attributes": {"seller": f"s{n % 3}"}}
    return CATALOG, f"i{n}", {**told, "ts": now_ms(), **fields}


def _campaign(name: str, action: str, targets: dict[str, list[str]], **fields: Any) -> tuple[str, str, dict[str, Any]]:
    ts = now_ms()
    return CAMPAIGNS, name, {"action": action, "targets": targets, "starts_at": ts, "ends_at": ts + 10**9, "ts": ts, **fields}


def _reads(shop: Shop) -> dict[str, set[str]]:
    """Return what is shown on every path."""
    front = shop.storefront
    paths: dict[str, Callable[[], Any]] = {
        "a visitor's list": lambda: front.top("u", 50),
        "nobody's list": lambda: front.top("nobody", 50),
        "trending": lambda: front.trending(n=50),
        "new": lambda: front.new(n=50),
        "similar": lambda: front.similar("i1", 50),
    }
    return {name: set(read().ids()) for name, read in paths.items()}


def _all(shop: Shop) -> set[str]:
    return set().union(*_reads(shop).values())


def test_one_message_hides_a_brand_or_seller_everywhere_and_its_end_needs_no_event(tmp_path: Path) -> None:
    with Shop(tmp_path) as shop:
        shop.worker()
        shop.publish([_item(n) for n in range(ITEMS)])
        shop.await_vectors(ITEMS)
        shop.publish([(CLICKS, "u", {"item_id": "i1", "ts": now_ms()})])
        acme = {f"i{n}" for n in range(0, ITEMS, 2)}
        await_until(lambda: acme <= _reads(shop)["a visitor's list"] and acme <= _reads(shop)["similar"], "everything is shown")

        ends_at = now_ms() + LASTS_MS
        shop.publish([_campaign("b", "exclude", {"brands": ["acme"]}, ends_at=ends_at)])
        await_until(lambda: not acme & _all(shop), "the brand is hidden on every path")
        # What comes in meanwhile is hidden too, and no stock event lets it go.
        shop.publish([_item(ITEMS, brand="acme"), (STOCK, "i0", {"quantity": 9, "ts": now_ms()})])
        await_until(lambda: shop.redis.sismember(keys.SOLDOUT, f"i{ITEMS}"), "the brand's new item is hidden")
        assert not acme & _all(shop)
        # An exclusion that overlaps goes on when this one ends; a pin does not win against it.
        shop.publish([_campaign("s", "exclude", {"sellers": ["s0"]}), _campaign("p", "pin", {"items": ["i0", "i2"]}, slots=[1])])
        seller = {f"i{n}" for n in range(0, ITEMS + 1, 3)}
        await_until(lambda: not (acme | seller) & _all(shop), "both are hidden")
        assert now_ms() < ends_at, "this machine is too slow for this test: LASTS_MS is over before all was looked at"
        time.sleep(max(0, ends_at - now_ms()) / 1000)
        await_until(lambda: acme - seller <= _reads(shop)["a visitor's list"], "the brand is back, by time alone")
        assert not seller & _all(shop)
        await_until(lambda: shop.storefront.top("u").ids()[:1] == ["i2"], "the pin's second item has its slot")
        assert shop.storefront.top("u").items[0].why == "campaign:p"
        shop.publish([(CAMPAIGNS, "s", None), (CAMPAIGNS, "p", None)])
        await_until(lambda: shop.redis.scard(keys.SOLDOUT) == 0, "nobody stays hidden after a cancelled campaign")
        await_until(lambda: not shop.redis.exists(keys.PINS), "nor pinned")


def test_a_pin_that_was_announced_starts_and_ends_while_no_worker_runs(tmp_path: Path) -> None:
    with Shop(tmp_path) as shop:
        worker = shop.worker()
        shop.publish([_item(n) for n in range(ITEMS)])
        shop.await_vectors(ITEMS)
        shop.publish([(CLICKS, "u", {"item_id": "i1", "ts": now_ms()})])
        await_until(lambda: shop.storefront.top("u").source == "list", "a list")
        last = shop.storefront.top("u", ITEMS).ids()[-1]
        starts_at = now_ms() + 3000
        shop.publish([_campaign("p", "pin", {"items": [last]}, slots=[1], starts_at=starts_at, ends_at=starts_at + 1500)])
        await_until(lambda: shop.redis.exists(keys.PINS), "the pin is told ahead")
        worker.kill()
        before = shop.storefront.top("u", ITEMS).ids()
        assert before[0] != last
        await_until(lambda: shop.storefront.top("u", ITEMS).ids()[0] == last, "the pin starts", 10)
        assert now_ms() >= starts_at
        await_until(lambda: shop.storefront.top("u", ITEMS).ids() == before, "the pin ends", 10)
