"""A group's member without a broker: what a lost partition and a refused commit do."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import OFFSET_BEGINNING, OFFSET_INVALID, Consumer, KafkaError, KafkaException, Message, TopicPartition
from pydantic import SecretStr

from streamrec.clock import ManualClock
from streamrec.config import KafkaSettings
from streamrec.events.topics import STOCK
from tests.workers.messages import message
from workers.transport.batch import RecordBatch, build_batch
from workers.transport.client import common, is_fatal
from workers.transport.group import STUCK_S, GroupReader

KAFKA = KafkaSettings(bootstrap="nowhere:1", drain_timeout_s=0.01)


@dataclass
class FakeConsumer:
    """Notes what is committed; refuses with ``error`` if there is one."""

    commits: list[tuple[str, int, int]] = field(default_factory=list)
    error: int | None = None
    #: What the group's coordinator says of offsets, or how it refuses.
    stands: dict[int, int] = field(default_factory=dict)
    unanswered: int | None = None
    assigned: list[tuple[str, int, int]] | None = None

    def commit(self, *, offsets: Sequence[TopicPartition], asynchronous: bool) -> None:
        if self.error is not None:
            raise KafkaException(KafkaError(self.error))
        self.commits += [(place.topic, place.partition, place.offset) for place in offsets]

    def committed(self, places: Sequence[TopicPartition], timeout: float) -> list[TopicPartition]:
        if self.unanswered is not None:
            raise KafkaException(KafkaError(self.unanswered))
        return [TopicPartition(p.topic, p.partition, self.stands.get(p.partition, OFFSET_INVALID)) for p in places]

    def assign(self, places: Sequence[TopicPartition]) -> None:
        self.assigned = [(p.topic, p.partition, p.offset) for p in places]

    def resume(self, places: Sequence[TopicPartition]) -> None:
        pass


def _member() -> tuple[GroupReader, Any]:
    """Return a member that owns two partitions."""
    reader = GroupReader(KAFKA, "g", [STOCK], clock=ManualClock(), max_future_ms=0, deliver=lambda _: None, failed=lambda _: None)
    reader._open().close()
    consumer = cast("Consumer", FakeConsumer())
    reader._assigned(consumer, [TopicPartition(STOCK, 0), TopicPartition(STOCK, 1)])
    return reader, consumer


def _delivered(reader: GroupReader) -> RecordBatch:
    batch = build_batch([message(STOCK, 4, b"a", b"?"), message(STOCK, 8, b"b", b"?", partition=1)], 0, 0)
    reader._in_flight.append(batch)
    return batch


def test_what_is_done_is_committed_once() -> None:
    reader, consumer = _member()
    reader.done(_delivered(reader))
    for _ in range(2):
        reader._commit(consumer, wait=True)
    assert consumer.commits == [(STOCK, 0, 5), (STOCK, 1, 9)]


def test_of_a_lost_partition_nothing_is_committed_and_what_had_not_begun_is_given_up() -> None:
    """Somebody else reads it already, perhaps further back."""
    reader, consumer = _member()
    batch = _delivered(reader)
    reader._lost(consumer, [TopicPartition(STOCK, 0)])
    assert reader.owned == {(STOCK, 1)}
    assert batch.start()
    assert [one.key for one in batch.rejected] == [b"b"]
    reader.done(batch)
    reader._commit(consumer, wait=True)
    assert consumer.commits == [(STOCK, 1, 9)]


def test_what_had_begun_when_its_partition_was_lost_is_not_committed_either() -> None:
    reader, consumer = _member()
    batch = _delivered(reader)
    batch.start()
    reader._lost(consumer, [TopicPartition(STOCK, 0)])
    reader.done(batch)
    reader._commit(consumer, wait=True)
    assert consumer.commits == [(STOCK, 1, 9)]


def test_a_member_starts_where_the_group_was_and_at_the_beginning_where_it_never_was() -> None:
    reader, _ = _member()
    consumer = FakeConsumer(stands={1: 7})
    reader._assigned(cast("Consumer", consumer), [TopicPartition(STOCK, 0), TopicPartition(STOCK, 1)])
    assert consumer.assigned == [(STOCK, 0, OFFSET_BEGINNING), (STOCK, 1, 7)]
    assert not reader._wants_another


def test_a_member_that_is_not_told_where_the_group_was_joins_again() -> None:
    """Left alone, librdkafka may never ask again, and the partition is never read."""
    reader, _ = _member()
    consumer = FakeConsumer(unanswered=KafkaError.COORDINATOR_NOT_AVAILABLE)
    reader._assigned(cast("Consumer", consumer), [TopicPartition(STOCK, 0)])
    assert consumer.assigned == []
    assert reader._wants_another
    reader._open().close()
    assert not reader._wants_another


def _later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    now = time.monotonic()
    monkeypatch.setattr("workers.transport.group.time", SimpleNamespace(monotonic=lambda: now + seconds))


def test_a_member_that_stays_out_of_its_group_joins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, consumer = _member()
    reader._lost(consumer, [TopicPartition(STOCK, 0), TopicPartition(STOCK, 1)])
    assert not reader._wants_another
    _later(monkeypatch, STUCK_S + 1)
    assert reader._wants_another


def test_a_member_for_whom_there_is_no_partition_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, consumer = _member()
    reader._revoked(consumer, [TopicPartition(STOCK, 0), TopicPartition(STOCK, 1)])
    reader._assigned(consumer, [])
    _later(monkeypatch, STUCK_S + 1)
    assert not reader._wants_another


def test_a_member_that_is_given_nothing_while_records_wait_joins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, _ = _member()
    assert not reader._wants_another
    monkeypatch.setattr(reader.backlog, "ages_s", lambda _now: {(STOCK, 0): STUCK_S + 1})
    assert not reader._wants_another
    _later(monkeypatch, STUCK_S + 1)
    assert reader._wants_another
    _delivered(reader)
    assert not reader._wants_another  # it works, or waits for Redis


@dataclass
class ChangingHands(FakeConsumer):
    """Gives a record far ahead of what is done; then, while more is asked for, the partition goes and comes back."""

    reader: GroupReader | None = None

    def poll(self, timeout: float) -> Message:
        return message(STOCK, 40, b"far ahead", b"?")

    def consume(self, num_messages: int, timeout: float) -> list[Message]:
        assert self.reader is not None
        mine, consumer = [TopicPartition(STOCK, 0)], cast("Consumer", self)
        self.reader._lost(consumer, mine)
        self.reader._assigned(consumer, mine)
        return [message(STOCK, 4, b"again", b"?")]

    def assignment(self) -> list[TopicPartition]:
        return []

    def position(self, places: Sequence[TopicPartition]) -> list[TopicPartition]:
        return []


def test_a_record_taken_before_its_partition_changed_hands_is_not_done_under_the_new_assignment() -> None:
    """Its commit would cover the records that were given up before it."""
    reader, _ = _member()
    delivered: list[RecordBatch] = []
    reader._deliver = delivered.append
    reader._step(cast("Consumer", ChangingHands(reader=reader)))
    [batch] = delivered
    assert [one.offset for one in batch.rejected] == [4]
    assert batch.next_offsets == {(STOCK, 0): 5}


def test_a_revoked_partition_is_committed_as_far_as_it_is_done_and_then_forgotten() -> None:
    reader, consumer = _member()
    reader.done(_delivered(reader))
    reader._revoked(consumer, [TopicPartition(STOCK, 0)])
    assert (STOCK, 0, 5) in consumer.commits
    assert reader.owned == {(STOCK, 1)}


def test_a_commit_that_meets_a_rebalance_is_tried_again_and_any_other_refusal_is_told() -> None:
    reader, consumer = _member()
    reader.done(_delivered(reader))
    consumer.error = KafkaError.REBALANCE_IN_PROGRESS
    reader._commit(consumer, wait=True)
    consumer.error = KafkaError.GROUP_AUTHORIZATION_FAILED
    with pytest.raises(KafkaException):
        reader._commit(consumer, wait=True)
    consumer.error = None
    reader._commit(consumer, wait=True)
    assert consumer.commits == [(STOCK, 0, 5), (STOCK, 1, 9)]


def test_credentials_reach_librdkafka_and_own_settings_win() -> None:
    kafka = KafkaSettings(
        bootstrap="b:1",
        security_protocol="SASL_SSL",
        sasl_mechanism="PLAIN",
        sasl_username="me",
        sasl_password=SecretStr("word"),
        ssl_ca_location=__file__,
        extra={"security.protocol": SecretStr("SSL")},
    )
    assert (
        common(kafka).items()
        >= {
            "bootstrap.servers": "b:1",
            "sasl.mechanism": "PLAIN",
            "sasl.username": "me",
            "sasl.password": "word",
            "ssl.ca.location": __file__,
            "security.protocol": "SSL",
        }.items()
    )
    assert "sasl.username" not in common(KafkaSettings())


def test_refused_credentials_are_fatal_and_a_broker_that_is_away_is_not() -> None:
    assert is_fatal(KafkaError(KafkaError._AUTHENTICATION))
    assert is_fatal(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
    assert not is_fatal(KafkaError(KafkaError._TRANSPORT))
    assert not is_fatal(None)
