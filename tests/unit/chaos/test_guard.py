"""The reader holds against the system what it is shown although it was guarded, and nothing else."""

from __future__ import annotations

import json

import pytest
import redis

from streamrec.catalogue.redis_store import RedisFactStore
from streamrec.catalogue.store import Fact
from streamrec.chaos.guard import GuardedReads
from streamrec.chaos.truth import STOCK, Message
from streamrec.client import Storefront
from streamrec.events import Stock
from streamrec.lists import keys
from streamrec.lists.item_lists import RedisListStore
from streamrec.lists.packing import ListItem, RankedList
from streamrec.local import LocalRedis

TS = 1_760_000_000_000


class Shop:
    """One item, on the fallback list, and a reader that is moved step by step."""

    def __init__(self, client: redis.Redis, url: str) -> None:
        self.client, self.store = client, RedisFactStore(client)
        self.guard = GuardedReads(url, 1)
        RedisListStore(client).put({keys.trending(): RankedList(TS, (ListItem("a", 1.0), ListItem("b", 1.0)))}, 60)
        self._offset = 0

    def say(self, quantity: int, ts: int) -> Fact:
        """Tell the reader that a fact is about to be sent."""
        self.guard.before(Message(0, STOCK, b"a", json.dumps({"quantity": quantity, "ts": ts}).encode()))
        self._offset += 1
        return Fact(STOCK, "a", Stock(quantity=quantity, ts=ts), self._offset)

    def step(self) -> None:
        """Let the reader look and read once."""
        self.guard._look(self.client)
        self.guard._read(Storefront(self.client))


@pytest.fixture
def shop(redis_client: redis.Redis, redis_server: LocalRedis) -> Shop:
    return Shop(redis_client, redis_server.url)


def test_a_late_fact_that_brings_a_sold_out_item_back_is_found(shop: Shop) -> None:
    shop.store.apply([shop.say(0, TS)])
    shop.step()
    shop.say(5, TS - 1)  # older than what stands: it must change nothing
    shop.step()
    assert shop.guard.findings == []
    shop.client.srem(keys.SOLDOUT, "a")
    shop.step()
    assert [(finding.kind, finding.found) for finding in shop.guard.findings] == [("stale", "a")]


def test_a_restock_that_is_on_its_way_may_come_at_any_moment(shop: Shop) -> None:
    shop.store.apply([shop.say(0, TS)])
    shop.step()
    restock = shop.say(5, TS + 1)
    shop.step()
    shop.store.apply([restock])
    shop.step()
    assert shop.guard.findings == []


def test_a_sold_out_fact_that_is_overtaken_guards_nothing(shop: Shop) -> None:
    restock = shop.say(5, TS + 1)
    shop.store.apply([shop.say(0, TS)])
    shop.step()
    shop.store.apply([restock])
    shop.step()
    assert shop.guard.findings == []


def test_a_redis_that_lost_everything_is_asked_for_nothing_until_the_guard_is_seen_again(shop: Shop) -> None:
    sold_out = shop.say(0, TS)
    shop.store.apply([sold_out])
    shop.step()
    shop.guard.forget()
    shop.client.delete(keys.SOLDOUT, keys.item("a"))
    shop.step()
    assert shop.guard.findings == []
    shop.store.apply([sold_out])
    shop.step()
    shop.client.srem(keys.SOLDOUT, "a")
    shop.step()
    assert len(shop.guard.findings) == 1


def test_the_thread_reads_until_it_is_stopped_and_survives_a_redis_that_is_away(redis_server: LocalRedis) -> None:
    with LocalRedis() as own:
        guard = GuardedReads(own.url, 1, pause_s=0.001)
        guard.start()
        while not guard.reads:
            guard.join(0.005)
        own.kill()
        while not guard.unanswered:
            guard.join(0.005)
        own.start()
        before = guard.reads
        while guard.reads == before:
            guard.join(0.005)
        guard.stop()
    assert guard.findings == []
