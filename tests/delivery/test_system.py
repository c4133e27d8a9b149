"""All roles on Apache Kafka through one fault at a time; the auditor compares Redis with what was published.

The world that publishes repeats itself, comes late and out of order, sends from wrong clocks, and sends what nobody can read.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import pytest
from pydantic import SecretStr

from streamrec.chaos.auditor import audit
from streamrec.chaos.fleet import AUDITABLE
from streamrec.chaos.outbox import Outbox
from streamrec.chaos.world import World, plain
from streamrec.clock import SystemClock
from streamrec.config import RedisSettings
from streamrec.lists.connection import connect
from streamrec.local.kafka import LocalKafka
from tests.integration.shop import Shop

pytestmark = [pytest.mark.integration, pytest.mark.kafka]

CLOCK = SystemClock()
RATE = 200  # messages per second


class Life:
    """A shop whose world never rests while its stream is open."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.world = World(7, plain())
        with Outbox(self.world, shop.kafka, CLOCK) as outbox:
            outbox.send(self.world.opening(CLOCK.now_ms()))
            outbox.flush()

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Publish meanwhile; at the end everything is acknowledged."""
        enough = threading.Event()
        with Outbox(self.world, self.shop.kafka, CLOCK) as outbox:

            def publish() -> None:
                while not enough.wait(0.1):
                    outbox.send(self.world.stream(RATE // 10, CLOCK.now_ms()))

            thread = threading.Thread(target=publish, daemon=True)
            thread.start()
            try:
                yield
            finally:
                enough.set()
                thread.join()
            outbox.send(self.world.rest())
            outbox.flush()

    def audit(self) -> None:
        """Hold that nothing is lost, doubled or stale."""
        settings = RedisSettings(url=SecretStr(self.shop.stack.redis.url))
        with connect(settings) as client:
            verdict = audit(self.world, client, self.shop.kafka, clock=CLOCK)
        assert verdict.ok, verdict.as_dict()
        assert verdict.checked["messages"] > RATE


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    environment = {"STREAMREC_KAFKA__SESSION_TIMEOUT_MS": "3000", **AUDITABLE}
    with Shop(tmp_path_factory.mktemp("life"), environment, kind="apache", durable_redis=True) as shop:
        first, second = shop.start(), shop.start()
        first.wait_ready()
        second.wait_ready()
        yield Life(shop)


def _broker(life: Life) -> LocalKafka:
    assert isinstance(life.shop.stack.broker, LocalKafka)
    return life.shop.stack.broker


def test_half_a_minute_without_redis_costs_nothing_but_half_a_minute(life: Life) -> None:
    with life.stream():
        time.sleep(1)
        life.shop.stack.redis.kill()
        time.sleep(30)  # the fault is its duration
        life.shop.stack.redis.start()
        time.sleep(1)
    assert all(worker.running for worker in life.shop.stack.workers)
    life.audit()


def test_a_broker_that_is_away_beyond_the_session_timeout_costs_nothing(life: Life) -> None:
    with life.stream():
        time.sleep(1)
        _broker(life).kill()
        time.sleep(6)  # the fault is its duration: twice the session timeout
        _broker(life).start()
        time.sleep(1)
    assert all(worker.running for worker in life.shop.stack.workers)
    life.audit()


def test_workers_killed_at_random_moments_lose_double_and_resurrect_nothing(life: Life) -> None:
    rng = Random(3)
    with life.stream():
        for turn in range(4):
            time.sleep(rng.uniform(0.3, 2.5))
            worker = life.shop.stack.workers[turn % 2]
            worker.kill()
            worker.start()
        for worker in life.shop.stack.workers:
            worker.wait_ready()
    life.audit()
