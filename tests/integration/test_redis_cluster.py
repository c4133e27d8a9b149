"""Everything that streamrec keeps in Redis works on a Redis Cluster of two servers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest
import redis
from pydantic import SecretStr

from streamrec.catalogue.redis_store import RedisFactStore
from streamrec.catalogue.store import Applied, Fact
from streamrec.client import Storefront
from streamrec.config import RedisSettings
from streamrec.errors import StoreUnavailable
from streamrec.events import Stock
from streamrec.events.topics import STOCK
from streamrec.lists import keys
from streamrec.lists.connection import connect
from streamrec.lists.functions import ensure_functions
from streamrec.lists.item_lists import RedisListStore
from streamrec.lists.packing import ListItem, RankedList
from streamrec.lists.redis_visitors import RedisVisitorStore
from streamrec.lists.visitors import VisitorUpdate
from streamrec.local import LocalRedis
from streamrec.local.ports import HOST, free_port
from streamrec.profiles import Profile

pytestmark = [pytest.mark.integration, pytest.mark.embedded_only]

NOW = 1_767_225_600_000
_FORMING_S = 30.0


def _ask(server: LocalRedis, *words: str | int) -> str:
    with redis.Redis.from_url(server.url) as client:
        return str(client.execute_command(*words))


def _is_formed(server: LocalRedis) -> bool:
    with redis.Redis.from_url(server.url) as client:
        info = client.execute_command("CLUSTER INFO")
    return bool(info["cluster_state"] == "ok" and info["cluster_known_nodes"] == "2")


@pytest.fixture(scope="module")
def settings() -> Iterator[RedisSettings]:
    # By default the servers would talk to each other on their ports plus 10,000, which somebody else may hold.
    buses = [free_port(), free_port()]
    servers = [LocalRedis(arguments=["--cluster-enabled", "yes", "--cluster-port", str(bus)]) for bus in buses]
    with servers[0] as first, servers[1] as second:
        _ask(first, "CLUSTER", "ADDSLOTSRANGE", 0, 8191)
        _ask(second, "CLUSTER", "ADDSLOTSRANGE", 8192, 16383)
        _ask(first, "CLUSTER", "MEET", HOST, second.port, buses[1])
        deadline = time.monotonic() + _FORMING_S
        while not (_is_formed(first) and _is_formed(second)):
            assert time.monotonic() < deadline, "the two servers formed no cluster"
            time.sleep(0.05)
        yield RedisSettings(url=SecretStr(first.url), cluster=True)


@pytest.fixture
def client(settings: RedisSettings) -> Iterator[redis.Redis]:
    with connect(settings) as cluster:
        cluster.flushall()
        yield cluster


def _list(*ids: str) -> RankedList:
    return RankedList(NOW, tuple(ListItem(item_id, 0.5, "new") for item_id in ids), "", "")


def test_the_library_is_loaded_into_every_server(client: redis.Redis) -> None:
    client.function_flush()
    assert ensure_functions(client)
    assert not ensure_functions(client)


def test_visitors_of_every_slot_are_written_found_read_and_forgotten(client: redis.Redis) -> None:
    store, names = RedisVisitorStore(client), [f"u{n}" for n in range(40)]
    assert (
        store.commit([VisitorUpdate(name, Profile(), {keys.HOME: _list(name), "cart": _list("c")}) for name in names])
        == [True] * 40
    )
    assert {p.revision > 0 for p in store.load(names)} == {True}
    assert dict(chain.from_iterable(store.adopt(lambda _: True))) == {name: _list(name).made_at for name in names}
    proof = store.forget("u7")
    assert (len(proof.deleted), proof.remaining) == (3, ())
    assert len(dict(chain.from_iterable(store.adopt(lambda _: True)))) == 39


def test_a_storefront_reads_guarded_lists_across_slots(settings: RedisSettings, client: redis.Redis) -> None:
    RedisListStore(client).put({keys.trending(): _list("t", "x"), keys.similar("a"): _list("x", "b")}, 100)
    RedisVisitorStore(client).commit([VisitorUpdate("u", Profile(), {keys.HOME: _list("a", "x")})])
    facts = RedisFactStore(client, cluster=True)
    with Storefront.from_settings(settings) as shop:
        assert shop.top("u").ids() == ["a", "x", "t"]
        assert facts.apply([Fact(STOCK, "x", Stock(quantity=0, ts=NOW), 0)]) == [Applied(applied=True, became_soldout=True)]
        assert (shop.top("u").ids(), shop.top("nobody").ids(), shop.similar("a").ids()) == (["a", "t"], ["t"], ["b"])
        assert facts.apply([Fact(STOCK, "x", Stock(quantity=1, ts=NOW + 1), 1)]) == [Applied(applied=True, became_available=True)]
        assert shop.similar("a").ids() == ["x", "b"]
    assert facts.read(["x"])[0]["quantity"] == "1"


def test_a_cluster_that_does_not_answer_is_told_in_our_words() -> None:
    with pytest.raises(StoreUnavailable, match="joining the cluster"):
        connect(RedisSettings(url=SecretStr("redis://127.0.0.1:1/0"), cluster=True))


def test_closing_a_cluster_client_closes_its_connections(settings: RedisSettings) -> None:
    client = connect(settings)
    client.set("a", 1)
    client.set("b", 2)
    nodes: Any = client
    pools = [node.redis_connection.connection_pool for node in nodes.get_primaries()]
    sockets = [connection for pool in pools for connection in pool._available_connections]
    assert any(connection._sock is not None for connection in sockets)
    client.close()
    assert all(connection._sock is None for connection in sockets)
