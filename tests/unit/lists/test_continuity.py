"""What is noticed of a Redis that lost data."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from streamrec.errors import StoreUnavailable
from streamrec.lists.continuity import Continuity
from streamrec.local import LocalRedis


@pytest.fixture(scope="module")
def server() -> Iterator[LocalRedis]:
    with LocalRedis() as running:
        yield running


@pytest.fixture
def client(server: LocalRedis) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url) as connected:
        connected.flushall()
        yield connected


def test_a_redis_that_goes_on_is_the_same_for_all(client: redis.Redis) -> None:
    watches = [Continuity(client) for _ in range(2)]
    assert [watch.look() for watch in watches * 2] == ["same"] * 4


def test_a_restart_with_the_data_and_one_without_are_told_apart(server: LocalRedis, client: redis.Redis) -> None:
    watch = Continuity(client)
    watch.look()
    server.restart(keep_data=True)
    assert [watch.look(), watch.look()] == ["restarted", "same"]
    server.restart(keep_data=False)
    assert [watch.look(), watch.look()] == ["emptied", "same"]


def test_emptying_without_a_restart_is_noticed_by_all_whoever_looks_first(client: redis.Redis) -> None:
    watches = [Continuity(client) for _ in range(2)]
    for watch in watches:
        watch.look()
    client.flushall()
    client.function_flush()
    assert [watch.look() for watch in watches] == ["emptied", "emptied"]
    assert [watch.look() for watch in watches] == ["same", "same"]


def test_an_outage_is_no_loss(server: LocalRedis, client: redis.Redis) -> None:
    watch = Continuity(client)
    watch.look()
    with redis.Redis(port=1, host="127.0.0.1") as nowhere:
        lost = Continuity(nowhere)
        with pytest.raises(StoreUnavailable):
            lost.look()
    assert watch.look() == "same"
