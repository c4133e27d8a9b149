"""A burst into a worker that is ten times too slow: its memory stays flat, it keeps its partitions, and it catches up in order."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest
from confluent_kafka import Producer

from streamrec.config import KafkaSettings
from streamrec.events.topics import CLICKS
from tests.delivery.echoes import PARTITIONS, Echoes, rss_mb
from tests.integration.shop import await_until, now_ms

pytestmark = [pytest.mark.integration, pytest.mark.kafka]

EVENTS, VISITORS = 1_000_000, 997
#: A handler that takes 45 µs per record bears some 20,000 events/s; alone the transport carries ten times as many.
DELAY_US = 45
#: What the burst may add to a worker that has read nothing: what is fetched ahead and the batches in flight. As a whole it would be
#: more than 500 MB in memory.
MAX_GROWTH_MB = 80.0


def _burst(kafka: KafkaSettings) -> None:
    """Publish as fast as the broker takes it: visitor by visitor in turns, each visitor's clicks numbered."""
    settings = {"compression.type": "lz4", "linger.ms": 50, "batch.size": 1_000_000, "queue.buffering.max.messages": 2_000_000}
    producer, ts = Producer({"bootstrap.servers": kafka.bootstrap, "enable.idempotence": True} | settings), now_ms()
    for n in range(EVENTS):
        producer.produce(CLICKS, b'{"item_id":"i","ts":%d,"event_id":"%d"}' % (ts, n // VISITORS), f"u{n % VISITORS}")
        if n % 10_000 == 0:
            producer.poll(0)
    assert producer.flush(60) == 0


def test_a_burst_into_a_slow_worker_is_caught_up_in_order_within_bounded_memory(echoes: Callable[..., Echoes]) -> None:
    group = echoes(session_timeout_ms=3000, max_batch=1000)
    member = group.join({"ECHO_DELAY_US": str(DELAY_US)})
    assert member.pid is not None
    before_mb = rss_mb(member.pid)
    _burst(group.kafka)
    peak_mb, deadline = before_mb, time.monotonic() + 180
    while group.count_lines() <= EVENTS:  # one line more: its partitions were assigned
        assert time.monotonic() < deadline
        peak_mb = max(peak_mb, rss_mb(member.pid))
        time.sleep(0.1)
    print(f"{before_mb:.0f} MB before, {peak_mb:.0f} MB at most")
    assert peak_mb - before_mb < MAX_GROWTH_MB
    assert group.rebalances() == [(member.pid, "assigned")]
    places: dict[int, list[int]] = {}
    numbers: dict[str, list[int]] = {}
    for one in group.effects():
        places.setdefault(one.partition, []).append(one.offset)
        numbers.setdefault(one.key, []).append(int(one.event_id))
    assert len(places) == PARTITIONS
    assert all(b == a + 1 for offsets in places.values() for a, b in pairwise(offsets))  # each once, none left out
    assert all(ids == list(range(len(ids))) for ids in numbers.values())
    assert Counter({key: len(ids) for key, ids in numbers.items()}).total() == EVENTS
    await_until(lambda: group.lag() == 0, "everything committed")
