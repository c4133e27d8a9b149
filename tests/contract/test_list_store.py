"""The laws of ListStore, on every implementation."""

from __future__ import annotations

import pytest
import redis

from streamrec.lists.item_lists import ListStore, MemoryListStore, RedisListStore
from streamrec.lists.packing import ListItem, RankedList


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest) -> ListStore:
    return MemoryListStore(100) if request.param == "memory" else RedisListStore(request.getfixturevalue("redis_client"))


def _list(item_id: str) -> RankedList:
    return RankedList(1, (ListItem(item_id, 0.5, "new"),))


def test_lists_are_given_back_in_the_order_asked_for(store: ListStore) -> None:
    store.put({"new:all": _list("a"), "similar:{x}": _list("b")}, 60)
    assert store.get(["similar:{x}", "nothing", "new:all"]) == [_list("b"), None, _list("a")]
    store.put({}, 60)
    assert store.get([]) == []


def test_the_last_put_wins_and_a_deleted_list_is_gone(store: ListStore) -> None:
    store.put({"new:all": _list("a")}, 60)
    store.put({"new:all": _list("b")}, 60)
    assert store.get(["new:all"]) == [_list("b")]
    assert store.delete(["new:all", "new:all", "nothing"]) == 1
    assert store.get(["new:all"]) == [None]


def test_lists_expire(redis_client: redis.Redis) -> None:
    RedisListStore(redis_client).put({"new:all": _list("a")}, 60)
    assert 50 < redis_client.ttl("new:all") <= 60


def test_the_memory_store_keeps_the_lists_written_last_up_to_its_bound() -> None:
    store = MemoryListStore(2)
    for name in ("a", "b", "c"):
        store.put({name: _list(name)}, 60)
    assert store.get(["a", "b", "c"]) == [None, _list("b"), _list("c")]
