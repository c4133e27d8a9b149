"""How much at once, and how far ahead of those who index it."""

from __future__ import annotations

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from streamrec.lists import keys
from workers.pace import AHEAD, AHEAD_S, LARGEST, SMALLEST, IndexedSoFar, Pressure, Slices

NOW_MS = 1_767_225_600_000


def test_a_slice_grows_while_it_is_quick_and_full_and_shrinks_when_it_is_slow() -> None:
    slices = Slices(32)
    slices.took(32, 0.001)
    assert slices.size == 64
    slices.took(10, 0.001)  # there was no more to do: it says nothing of a full one
    assert slices.size == 64
    slices.took(64, 0.05)
    assert slices.size == 64
    for _ in range(10):
        slices.took(64, 1.0)
    assert slices.size == SMALLEST
    for _ in range(20):
        slices.took(LARGEST, 0.0)
    assert slices.size == LARGEST


class Topic:
    """How much was made, and what time it is."""

    def __init__(self) -> None:
        self.made = 0
        self.now_ms = NOW_MS


def _pressure(client: redis.Redis, topic: Topic) -> Pressure:
    return Pressure(client, lambda: topic.made, lambda: topic.now_ms)


def test_nobody_is_held_back_where_nobody_indexes(redis_client: redis.Redis) -> None:
    assert _pressure(redis_client, Topic()).room() == LARGEST


def test_the_slowest_recommender_decides_and_one_that_is_silent_does_not(redis_client: redis.Redis) -> None:
    topic = Topic()
    pressure = _pressure(redis_client, topic)
    IndexedSoFar(redis_client, "quick").tell(1000, NOW_MS)
    IndexedSoFar(redis_client, "slow").tell(900, NOW_MS)
    topic.made = 1000
    assert pressure.room() == AHEAD - 100
    topic.made = 900 + AHEAD
    assert pressure.room() == 0
    assert pressure.wait(lambda: True) == SMALLEST
    topic.now_ms += 6_000
    assert pressure.room() == LARGEST
    IndexedSoFar(redis_client, "quick").tell(900 + AHEAD, topic.now_ms)
    assert pressure.room() == AHEAD


def test_more_may_lie_before_one_that_is_quick_at_its_work_however_little_it_is_given(redis_client: redis.Redis) -> None:
    quick = IndexedSoFar(redis_client, "quick")
    for _ in range(100):
        quick.worked(128, 0.0128)
    quick.worked(1, 1.0)  # one vector that waited says little
    quick.worked(0, 1.0)
    quick.tell(0, NOW_MS)
    assert _pressure(redis_client, Topic()).room() == pytest.approx(AHEAD_S * 10_000, rel=0.01)


def test_what_is_indexed_is_told_at_most_so_often_and_again_while_nothing_comes(redis_client: redis.Redis) -> None:
    quick, slow = IndexedSoFar(redis_client, "w", every_s=0.0), IndexedSoFar(redis_client, "v", every_s=3600.0)
    for position in (5, 6):
        quick.tell(position, NOW_MS)
        slow.tell(position, NOW_MS)
    assert redis_client.hgetall(keys.INDEXED) == {b"w": f"6 {NOW_MS} 0".encode(), b"v": f"5 {NOW_MS} 0".encode()}
    assert 0 < redis_client.ttl(keys.INDEXED) <= keys.INDEXED_TTL_S


def test_without_redis_nobody_is_held_back_and_nothing_breaks() -> None:
    with redis.Redis(host="127.0.0.1", port=1, retry=Retry(NoBackoff(), 0)) as away:
        IndexedSoFar(away, "w").tell(1, NOW_MS)
        pressure = _pressure(away, Topic())
        assert pressure.room() == LARGEST
        away.close()
        assert pressure.room() == LARGEST
