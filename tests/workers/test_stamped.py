"""A group whose effects live in Redis, on a broker: where it reads again when Redis lost data, and what is committed meanwhile."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from streamrec.clock import SystemClock
from streamrec.config import KafkaSettings
from streamrec.errors import StoreUnavailable
from streamrec.events import topics as t
from streamrec.lists.progress import MemoryProgress, Place, Standing
from streamrec.local import LocalStack
from tests.brokers import KIND
from tests.integration.shop import await_until
from workers.transport.admin import ensure_topics, lag
from workers.transport.batch import RecordBatch
from workers.transport.producer import Producer
from workers.transport.stamped import StampedGroupReader
from workers.transport.stamps import Stamps, Unstamped

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def kafka() -> Iterator[KafkaSettings]:
    """A broker of this module's own, one partition per topic; each test has a topic of its own."""
    with LocalStack(kind=KIND) as stack:
        settings = KafkaSettings(bootstrap=stack.broker.bootstrap, commit_interval_ms=10, drain_timeout_s=0.1, max_in_flight=100)
        ensure_topics(settings, partitions=1)
        yield settings


class Redis(MemoryProgress):
    """Stamps in a Redis that may be away."""

    away = False

    def load(self, places: Collection[Place]) -> Standing:
        self._must_be_there()
        return super().load(places)

    def save(self, known: Standing, offsets: Mapping[Place, int]) -> bool:
        self._must_be_there()
        return super().save(known, offsets)

    def _must_be_there(self) -> None:
        if self.away:
            raise StoreUnavailable("away")


@dataclass
class Member:
    """A member of the group of a topic, what it was given, and which of that is done."""

    kafka: KafkaSettings
    topic: str
    redis: Redis
    unstamped: Unstamped = "beginning"
    at_once: bool = True
    batches: list[RecordBatch] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reader = StampedGroupReader(
            self.kafka,
            f"{self.topic}.{self.unstamped}",
            [self.topic],
            clock=SystemClock(),
            max_future_ms=0,
            deliver=self._take,
            failed=self.failures.append,
            stamps=Stamps(self.redis, self.unstamped),
        )

    def _take(self, batch: RecordBatch) -> None:
        batch.start()
        self.batches.append(batch)
        if self.at_once:
            self.reader.done(batch)

    @property
    def offsets(self) -> list[int]:
        """What it was given, in this order."""
        return [one.offset for batch in self.batches for one in batch.rejected]

    @property
    def stamp(self) -> int | None:
        return self.redis.offsets.get((self.topic, 0))

    @property
    def uncommitted(self) -> int:
        return sum(lag(self.kafka, self.reader.group, [self.topic]).values())


@contextmanager
def _reading(member: Member) -> Iterator[Member]:
    member.reader.start()
    yield member
    member.reader.stop()
    member.reader.join()
    assert member.failures == []


def _publish(kafka: KafkaSettings, topic: str, n: int) -> None:
    with Producer(kafka) as producer:
        for number in range(n):
            producer.send(topic, str(number), b"?")  # what it says does not matter, so it is invalid


def test_stamp_and_commit_follow_the_effect(kafka: KafkaSettings) -> None:
    _publish(kafka, t.STOCK, 7)
    with _reading(Member(kafka, t.STOCK, Redis())) as member:
        await_until(lambda: member.stamp == 7, "the stamp")
        await_until(lambda: member.uncommitted == 0, "the commit")
    assert member.offsets == list(range(7))


def test_what_redis_lost_is_read_again_and_what_was_on_its_way_acknowledges_nothing(kafka: KafkaSettings) -> None:
    _publish(kafka, t.PRICE, 7)
    redis = Redis()
    with _reading(Member(kafka, t.PRICE, redis)) as member:
        await_until(lambda: member.stamp == 7, "the stamp")
        member.at_once = False
        _publish(kafka, t.PRICE, 2)
        await_until(lambda: member.offsets[-1] == 8, "what is on its way")
        known, before = len(member.batches), list(member.batches)
        redis.lose()
        await_until(lambda: member.offsets[9:] == list(range(9)), "everything from the beginning")
        for batch in before:
            member.reader.done(batch)
        assert member.stamp == 0
        for batch in member.batches[known:]:
            member.reader.done(batch)
        await_until(lambda: member.stamp == 9, "the stamp")
        await_until(lambda: member.uncommitted == 0, "the commit")


def test_an_older_snapshot_is_read_again_from_its_stamp(kafka: KafkaSettings) -> None:
    _publish(kafka, t.CATALOG, 7)
    redis = Redis()
    with _reading(Member(kafka, t.CATALOG, redis, "committed")) as member:
        await_until(lambda: member.stamp == 7, "the stamp")
        await_until(lambda: member.uncommitted == 0, "the commit")
        redis.lose({(t.CATALOG, 0): 4})
        await_until(lambda: member.stamp == 7 and len(member.offsets) > 7, "the stamp again")
        assert member.offsets == [*range(7), 4, 5, 6]


def test_events_that_redis_lost_without_a_trace_are_not_read_again(kafka: KafkaSettings) -> None:
    """They come back by `streamrec rebuild`, which knows how far back to go."""
    _publish(kafka, t.CLICKS, 7)
    redis = Redis()
    with _reading(Member(kafka, t.CLICKS, redis, "committed")) as member:
        await_until(lambda: member.stamp == 7, "the stamp")
        await_until(lambda: member.uncommitted == 0, "the commit")
        redis.lose()
        await_until(lambda: member.stamp == 7, "the stamp again")
        _publish(kafka, t.CLICKS, 1)
        await_until(lambda: member.stamp == 8, "the next event")
    assert member.offsets == list(range(8))


def test_what_redis_lost_while_nobody_read_is_read_again_by_the_next(kafka: KafkaSettings) -> None:
    _publish(kafka, t.VECTORS, 5)
    redis = Redis()
    with _reading(Member(kafka, t.VECTORS, redis)) as first:
        await_until(lambda: first.uncommitted == 0, "the commit")
    redis.lose()
    with _reading(Member(kafka, t.VECTORS, redis)) as second:
        await_until(lambda: second.stamp == 5, "the stamp")
    assert second.offsets == list(range(5))


def test_while_redis_is_away_nothing_is_committed_and_then_it_goes_on(kafka: KafkaSettings) -> None:
    redis = Redis()
    with _reading(Member(kafka, t.SEARCHES, redis, "committed")) as member:
        await_until(lambda: member.stamp == 0, "the assignment")
        redis.away = True
        _publish(kafka, t.SEARCHES, 3)
        await_until(lambda: member.offsets == [0, 1, 2], "the records")
        assert member.uncommitted == 3
        redis.away = False
        await_until(lambda: member.stamp == 3, "the stamp")
        await_until(lambda: member.uncommitted == 0, "the commit")
    assert member.offsets == [0, 1, 2]


def test_a_member_that_joins_while_redis_is_away_commits_nothing_before_it_saw_the_stamps(kafka: KafkaSettings) -> None:
    _publish(kafka, t.CARTS, 3)
    redis = Redis()
    redis.away = True
    with _reading(Member(kafka, t.CARTS, redis)) as member:
        await_until(lambda: member.offsets == [0, 1, 2], "the records")
        assert member.uncommitted == 3
        redis.away = False
        await_until(lambda: member.stamp == 3, "the stamp, after they were read again")
        await_until(lambda: member.uncommitted == 0, "the commit")
    assert member.offsets == [0, 1, 2, 0, 1, 2]
