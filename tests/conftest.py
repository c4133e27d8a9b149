"""Fixtures that more than one room's tests use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from streamrec.local import LocalRedis, LocalStack


@pytest.fixture(scope="session")
def redis_server() -> Iterator[LocalRedis]:
    """Run one Redis for the session; tests that stop or restart it make their own."""
    with LocalRedis() as server:
        yield server


@pytest.fixture
def redis_client(redis_server: LocalRedis) -> Iterator[redis.Redis]:
    """Give a client of the session's Redis, emptied; values are bytes."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
        yield client


@pytest.fixture(scope="session")
def stack() -> Iterator[LocalStack]:
    """Run one broker and Redis for the session; tests use topics and keys of their own."""
    with LocalStack() as running:
        yield running
