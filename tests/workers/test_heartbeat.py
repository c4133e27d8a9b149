"""The heartbeat: what it says, when it says it again, and that it ends with its worker."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import orjson
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from streamrec.clock import ManualClock
from streamrec.config import WebSettings
from streamrec.lists import keys
from tests.workers.roles import FakePipeline, FakeReader, behind, role
from workers.health import Health
from workers.heartbeat import Heartbeat
from workers.parts import Parts


@dataclass
class FakeParts:
    """What a heartbeat needs of the shelf."""

    redis: redis.Redis
    clock: ManualClock


async def _until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


def _heartbeat(client: redis.Redis, *pipelines: FakePipeline, clock: ManualClock | None = None) -> Heartbeat:
    parts = FakeParts(client, clock or ManualClock())
    recommender = role("recommender", *pipelines, items=12)
    recommender.words = lambda: {"model": "m1"}
    roles = [recommender, role("embedder")]
    return Heartbeat(cast("Parts", parts), roles, "http://here:1", Health(roles, [], WebSettings()))


def _said(client: redis.Redis, heart: Heartbeat) -> dict[str, Any] | None:
    value = cast("bytes | None", client.get(keys.worker(heart.worker_id)))
    return None if value is None else cast("dict[str, Any]", orjson.loads(value))


async def test_it_says_who_lives_what_it_does_where_it_answers_and_whether_it_is_ready(redis_client: redis.Redis) -> None:
    pipeline = FakePipeline(FakeReader(backlog=behind({("t", 0): 3, ("t", 1): 4})))
    heart = _heartbeat(redis_client, pipeline)
    async with heart:
        await _until(lambda: _said(redis_client, heart))
        assert _said(redis_client, heart) == {
            "id": heart.worker_id,
            "pid": os.getpid(),
            "roles": ["recommender", "embedder"],
            "url": "http://here:1",
            "ready": False,
            "lag": 7,
            "items": 12,
            "model": "m1",
            "at": ManualClock().now_ms(),
        }
        assert 0 < redis_client.ttl(keys.worker(heart.worker_id)) <= keys.HEARTBEAT_TTL_S
        pipeline.reader.ready.set()
        await _until(lambda: (_said(redis_client, heart) or {})["ready"])


async def test_a_worker_that_stops_takes_its_heartbeat_away(redis_client: redis.Redis) -> None:
    heart = _heartbeat(redis_client)
    async with heart:
        await _until(lambda: _said(redis_client, heart))
    assert _said(redis_client, heart) is None


def test_nothing_is_said_after_the_end(redis_client: redis.Redis) -> None:
    """A beat that was under way while the worker stopped would let a dead worker seem alive."""
    heart = _heartbeat(redis_client)
    heart._unsay()
    heart._say()
    assert _said(redis_client, heart) is None


def test_an_unchanged_state_is_repeated_at_a_third_of_its_time_to_live(redis_client: redis.Redis) -> None:
    clock = ManualClock()
    heart = _heartbeat(redis_client, clock=clock)
    heart._say()
    first = _said(redis_client, heart)
    clock.advance(keys.HEARTBEAT_TTL_S * 1000 // 3 - 1)
    heart._say()
    assert _said(redis_client, heart) == first
    clock.advance(1)
    heart._say()
    assert _said(redis_client, heart) != first


async def test_a_redis_that_is_away_ends_no_worker() -> None:
    with redis.Redis(port=1, retry=Retry(NoBackoff(), 0)) as nowhere:
        heart = _heartbeat(nowhere)
        async with heart:
            await asyncio.to_thread(lambda: None)
        assert heart.crashed is False
