"""Fixtures that more than one room's tests use."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import redis
from hypothesis import settings

from streamrec.local import LocalRedis, LocalStack
from streamrec.local.kafka_jars import missing_programs
from tests.brokers import KIND

# A law is not a timing assertion: on a busy machine a single example may take long.
settings.register_profile("laws", settings.get_profile(settings.get_current_profile_name()), deadline=None)
settings.load_profile("laws")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a real Kafka where it cannot run, or fail it where everything must run."""
    if item.get_closest_marker("kafka") and (missing := missing_programs()):
        reason = f"Apache Kafka needs {' and '.join(missing)} (Debian: apt install default-jre-headless maven)"
        if os.environ.get("STREAMREC_REQUIRE_ALL"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


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
    with LocalStack(kind=KIND) as running:
        yield running
