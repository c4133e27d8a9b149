"""Reading what another reader owns: from where it was, as far as its work is done, and no more than is owned."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from confluent_kafka import Consumer, TopicPartition

from streamrec.clock import SystemClock
from streamrec.config import KafkaSettings
from streamrec.events import topics as t
from streamrec.local import LocalStack
from tests.brokers import KIND
from tests.integration.shop import await_until
from workers.transport.admin import ensure_topics
from workers.transport.batch import Place, RecordBatch
from workers.transport.client import reader
from workers.transport.following import FollowingReader
from workers.transport.producer import Producer

pytestmark = pytest.mark.integration
N = 20
BOTH = frozenset({(t.CATALOG, 0), (t.CATALOG, 1)})


@pytest.fixture(scope="module")
def kafka() -> Iterator[KafkaSettings]:
    """A broker of this module's own that holds 20 messages of the catalogue in two partitions."""
    with LocalStack(kind=KIND) as stack:
        settings = KafkaSettings(bootstrap=stack.broker.bootstrap, drain_timeout_s=0.1)
        ensure_topics(settings, partitions=2)
        with Producer(settings) as producer:
            for number in range(N):
                producer.send(t.CATALOG, str(number), b"?")  # what it says does not matter, so it is invalid
        yield settings


@dataclass
class Worker:
    """A reader that owns what a test says; ``floors`` is what its batches left undone."""

    kafka: KafkaSettings
    name: str
    owned: frozenset[Place] = BOTH
    at_once: bool = True
    floors: dict[Place, int] = field(default_factory=dict)
    read: list[tuple[str, int, int]] = field(default_factory=list)
    dropped: list[Place] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reader = FollowingReader(
            self.kafka,
            self.name,
            [t.CATALOG],
            clock=SystemClock(),
            max_future_ms=0,
            deliver=self._take,
            failed=self.failures.append,
            max_batch=3,
            owned=lambda: self.owned,
            floor=self.floors.get,
            dropped=self._drop,
        )

    def _drop(self, places: Collection[Place]) -> None:
        self.dropped += places

    def _take(self, batch: RecordBatch) -> None:
        batch.start()
        self.read += [(one.topic, one.partition, one.offset) for one in batch.rejected]
        if self.at_once:
            self.reader.done(batch)

    @contextmanager
    def working(self, until: Callable[[], bool]) -> Iterator[None]:
        self.reader.start()
        try:
            await_until(until, "what is to be read", 15)
            yield
        finally:
            self.reader.stop()
            self.reader.join()
            assert self.failures == []

    def read_through(self) -> list[tuple[str, int, int]]:
        with self.working(lambda: len(self.read) == N):
            pass
        return sorted(self.read)


def committed(kafka: KafkaSettings, name: str) -> dict[int, int]:
    consumer = Consumer(reader(kafka, f"{kafka.group_prefix}.{name}"))
    try:
        found = consumer.committed([TopicPartition(t.CATALOG, number) for number in (0, 1)], timeout=5)
    finally:
        consumer.close()
    return {one.partition: one.offset for one in found if one.offset >= 0}


def test_everything_owned_is_read_once_and_not_again_after_a_restart(kafka: KafkaSettings) -> None:
    read = Worker(kafka, "once").read_through()
    assert len(set(read)) == N
    held = committed(kafka, "once")
    assert held == {number: 1 + max(offset for _, n, offset in read if n == number) for number in (0, 1)}
    again = Worker(kafka, "once")
    again.reader.start()
    await_until(lambda: again.reader._reading == BOTH, "the partitions")
    again.reader.stop()
    again.reader.join()
    assert again.read == []


def test_nothing_that_is_undone_is_committed_and_it_is_read_again(kafka: KafkaSettings) -> None:
    first = Worker(kafka, "undone", floors={(t.CATALOG, 0): 2})
    read = first.read_through()
    assert committed(kafka, "undone")[0] == 2
    second = Worker(kafka, "undone")
    with second.working(lambda: len(second.read) == len([1 for _, number, offset in read if number == 0 and offset >= 2])):
        pass
    assert {number for _, number, _ in second.read} == {0}
    assert min(offset for _, _, offset in second.read) == 2
    assert committed(kafka, "undone")[0] > 2


def test_what_is_not_owned_is_not_read_and_what_was_taken_goes_on_elsewhere(kafka: KafkaSettings) -> None:
    zero = frozenset({(t.CATALOG, 0)})
    one = Worker(kafka, "shared", owned=zero)
    with one.working(lambda: len(one.read) > 0 and one.reader._done != {}):
        await_until(lambda: 0 in committed(kafka, "shared"), "the first offset")
        one.owned = frozenset()
        await_until(lambda: one.dropped == [(t.CATALOG, 0)], "that it is given up")
    assert {number for _, number, _ in one.read} == {0}
    two = Worker(kafka, "shared")
    with two.working(lambda: len(one.read) + len(two.read) == N):
        pass
    assert sorted(one.read + two.read) == Worker(kafka, "all").read_through()


def test_a_batch_that_is_not_done_is_read_again(kafka: KafkaSettings) -> None:
    dead = Worker(kafka, "dead", at_once=False)
    with dead.working(lambda: len(dead.read) > 0):
        pass
    assert committed(kafka, "dead") == {}
    assert len(set(Worker(kafka, "dead").read_through())) == N
