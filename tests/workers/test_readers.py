"""Readers on a broker: what is committed and when, who reads what, and how much is on its way at most."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from streamrec.clock import SystemClock
from streamrec.config import KafkaSettings
from streamrec.errors import BrokerUnavailable
from streamrec.events import topics as t
from streamrec.local import LocalStack
from tests.integration.shop import await_until
from workers.transport.admin import end_offsets, ensure_topics, identities, lag, partitions
from workers.transport.batch import RecordBatch
from workers.transport.group import GroupReader
from workers.transport.producer import Producer
from workers.transport.reader import Reader
from workers.transport.replica import ReplicaReader

pytestmark = pytest.mark.integration
#: Each test has a group and a topic of its own; what its messages say does not matter, so they are invalid.
NOTHING = b"?"


@pytest.fixture
def kafka(stack: LocalStack, request: pytest.FixtureRequest) -> KafkaSettings:
    settings = KafkaSettings(
        bootstrap=stack.broker.bootstrap,
        group_prefix=request.node.name,
        commit_interval_ms=10,
        drain_timeout_s=20,
        max_in_flight=100,
    )
    ensure_topics(settings, partitions=4)
    return settings


@pytest.fixture
def undo() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def _publish(kafka: KafkaSettings, topic: str, keys: Sequence[str]) -> None:
    with Producer(kafka) as producer:
        for key in keys:
            producer.send(topic, key, NOTHING)


@dataclass
class Delivered:
    """Takes batches from a reader; calls ``done`` for each at once if ``at_once``."""

    at_once: bool = False
    batches: list[RecordBatch] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    finished: int = 0
    reader: Reader | None = None

    def take(self, batch: RecordBatch) -> None:
        assert batch.start()
        self.batches.append(batch)
        if self.at_once:
            self.finish()

    def finish(self, n: int | None = None) -> None:
        """Have the next ``n`` batches done, all by default."""
        assert self.reader is not None
        for batch in self.batches[self.finished :][:n]:
            self.finished += 1
            self.reader.done(batch)

    def more_than(self, n: int) -> bool:
        return len(self.batches) > n

    @property
    def keys(self) -> list[str]:
        return [(one.key or b"").decode() for batch in self.batches for one in batch.rejected]


def _read(
    undo: ExitStack, kind: type[Reader], kafka: KafkaSettings, topics: Sequence[str], *, at_once: bool = False, **more: Any
) -> tuple[Reader, Delivered]:
    delivered = Delivered(at_once)
    clock, failed = SystemClock(), delivered.failures.append
    reader = kind(kafka, "g", topics, clock=clock, max_future_ms=0, deliver=delivered.take, failed=failed, **more)
    delivered.reader = reader
    reader.start()
    undo.callback(_stop, reader, delivered)
    return reader, delivered


def _stop(reader: Reader, delivered: Delivered | None = None) -> None:
    reader.stop()
    while reader.is_alive():
        if delivered:
            delivered.finish()
        reader.join(0.02)


def _lag(kafka: KafkaSettings, topic: str) -> int:
    return sum(lag(kafka, f"{kafka.group_prefix}.g", [topic]).values())


def _owned(reader: Reader) -> frozenset[tuple[str, int]]:
    assert isinstance(reader, GroupReader)
    return reader.owned


def _numbers(reader: Reader) -> dict[str, set[int]]:
    owned = _owned(reader)
    return {topic: {number for name, number in owned if name == topic} for topic, _ in owned}


def test_only_what_is_done_is_committed_and_the_rest_is_read_again(kafka: KafkaSettings, undo: ExitStack) -> None:
    impatient = kafka.model_copy(update={"drain_timeout_s": 0.1})
    keys = [f"k{n}" for n in range(40)]
    _publish(kafka, t.STOCK, keys)
    reader, first = _read(undo, GroupReader, impatient, [t.STOCK])
    await_until(lambda: sorted(first.keys) == sorted(keys), "all records")
    _publish(kafka, t.STOCK, ["later"])
    await_until(lambda: "later" in first.keys, "the later record")
    first.finish(len(first.batches) - 1)
    reader.stop()
    reader.join()
    assert _lag(kafka, t.STOCK) == 1
    reader, second = _read(undo, GroupReader, kafka, [t.STOCK])
    await_until(lambda: second.keys, "the record that was not done")
    assert second.keys == ["later"]
    _stop(reader, second)
    assert _lag(kafka, t.STOCK) == 0
    assert first.failures == second.failures == []


def test_a_member_that_joins_takes_its_share_and_nothing_is_lost(kafka: KafkaSettings, undo: ExitStack) -> None:
    early, late = [f"e{n}" for n in range(60)], [f"l{n}" for n in range(60)]
    one, ones = _read(undo, GroupReader, kafka, [t.PRICE], at_once=True)
    await_until(lambda: len(_owned(one)) == 4, "all partitions")
    _publish(kafka, t.PRICE, early)
    two, twos = _read(undo, GroupReader, kafka, [t.PRICE], at_once=True)
    await_until(lambda: len(_owned(one)) == len(_owned(two)) == 2, "two partitions each")
    _publish(kafka, t.PRICE, late)
    await_until(lambda: {*ones.keys, *twos.keys} >= {*early, *late}, "every record")
    assert not _owned(one) & _owned(two)
    assert any(key in late for key in twos.keys)
    _stop(two)
    await_until(lambda: len(_owned(one)) == 4, "all partitions again")
    _stop(one)
    assert _lag(kafka, t.PRICE) == 0
    assert ones.failures == twos.failures == []


def test_all_topics_partitions_of_one_number_go_to_one_member(kafka: KafkaSettings, undo: ExitStack) -> None:
    """All events of a visitor reach one worker."""
    readers = [_read(undo, GroupReader, kafka, t.EVENTS)[0] for _ in range(2)]
    await_until(lambda: all(len(_owned(reader)) == 2 * len(t.EVENTS) for reader in readers), "half of all partitions each")
    for reader in readers:
        numbers = _numbers(reader)
        assert set(numbers) == set(t.EVENTS)
        assert len({frozenset(of_topic) for of_topic in numbers.values()}) == 1


def test_a_replica_reads_everything_and_is_ready_when_all_of_it_is_applied(kafka: KafkaSettings, undo: ExitStack) -> None:
    keys = [f"k{n}" for n in range(40)]
    _publish(kafka, t.VECTORS, keys)
    for _ in range(2):  # a second replica starts from the beginning too
        reader, delivered = _read(undo, ReplicaReader, kafka, [t.VECTORS], max_batch=7)
        assert isinstance(reader, ReplicaReader)
        await_until(partial(_at_end, reader), "the end of every partition")
        assert sorted(delivered.keys) == sorted(keys)
        delivered.finish(len(delivered.batches) - 1)
        assert not reader.ready.is_set()
        delivered.finish()
        assert reader.ready.is_set()
        _stop(reader)
        assert delivered.failures == []


def _at_end(reader: ReplicaReader) -> bool:
    """Tell whether the reader has opened and reached the end of every partition."""
    return bool(reader.lag) and not reader._unread


def test_a_replica_reads_on_from_where_it_is_told_and_other_partitions_from_their_beginning(
    kafka: KafkaSettings, undo: ExitStack
) -> None:
    """Also where nothing has come since: it is ready at once, and the embedded broker's last batch is not read again."""
    _publish(kafka, t.PAIRS, [f"old{n}" for n in range(40)])
    ends = end_offsets(kafka, [t.PAIRS])
    known = {place: end for place, end in ends.items() if place[1] != 0}
    reader, delivered = _read(undo, ReplicaReader, kafka, [t.PAIRS], at_once=True, start=known)
    await_until(reader.ready.is_set, "ready")
    assert len(delivered.keys) == ends[t.PAIRS, 0]
    _publish(kafka, t.PAIRS, ["new1", "new2", "new3"])
    await_until(lambda: {"new1", "new2", "new3"} <= set(delivered.keys), "what came since")
    assert len(delivered.keys) == ends[t.PAIRS, 0] + 3


def test_a_topic_keeps_its_id_and_no_other_has_it(kafka: KafkaSettings) -> None:
    cluster, ids = identities(kafka, [t.STOCK, t.PRICE])
    assert cluster
    assert ids[t.STOCK] != ids[t.PRICE]
    assert identities(kafka, [t.STOCK]) == (cluster, {t.STOCK: ids[t.STOCK]})
    with pytest.raises(BrokerUnavailable, match=r"no\.such; run `streamrec topics create`"):
        identities(kafka, ["no.such"])


def test_a_replica_of_empty_topics_is_ready_at_once_and_stays_at_their_end(kafka: KafkaSettings, undo: ExitStack) -> None:
    reader, delivered = _read(undo, ReplicaReader, kafka, [t.CAMPAIGNS], at_once=True)
    await_until(reader.ready.is_set, "ready")
    _publish(kafka, t.CAMPAIGNS, ["k"])
    await_until(lambda: delivered.keys == ["k"], "the later record")


def test_a_replica_of_a_topic_that_does_not_exist_says_how_to_create_it(kafka: KafkaSettings, undo: ExitStack) -> None:
    reader, delivered = _read(undo, ReplicaReader, kafka, [t.VECTORS, "no.such"])
    reader.join()
    [failure] = delivered.failures
    assert isinstance(failure, BrokerUnavailable)
    assert "no.such; run `streamrec topics create`" in str(failure)


def test_at_most_so_many_batches_are_on_their_way(kafka: KafkaSettings, undo: ExitStack) -> None:
    """Past the bound the partitions are paused, and nothing is lost by it."""
    strict = kafka.model_copy(update={"max_in_flight": 2})
    keys = [f"k{n}" for n in range(6)]
    _publish(kafka, t.NEIGHBOURS, keys)
    reader, delivered = _read(undo, GroupReader, strict, [t.NEIGHBOURS], max_batch=1)
    await_until(lambda: reader._paused, "a pause")
    assert len(delivered.batches) == 2
    while len(delivered.batches) < len(keys):
        known = len(delivered.batches)
        delivered.finish(1)
        await_until(partial(delivered.more_than, known), "the next batch")
        assert len(delivered.batches) - delivered.finished <= 2
    delivered.finish()
    assert sorted(delivered.keys) == keys
    _stop(reader)
    assert _lag(kafka, t.NEIGHBOURS) == 0


def test_stopping_finishes_what_is_on_its_way_commits_it_and_reads_no_more(kafka: KafkaSettings, undo: ExitStack) -> None:
    _publish(kafka, t.PAIRS, ["k"])
    reader, delivered = _read(undo, GroupReader, kafka, [t.PAIRS])
    await_until(lambda: "k" in delivered.keys, "its batch")  # what other tests left on the topic comes too
    assert reader.busy
    reader.stop()
    waits = await_until(lambda: reader.is_alive() and reader._stop_reading.is_set(), "the stop")
    assert waits
    delivered.finish()
    reader.join()
    assert not reader.busy
    assert _lag(kafka, t.PAIRS) == 0
    _publish(kafka, t.PAIRS, ["later"])
    assert [key for key in delivered.keys if key in {"k", "later"}] == ["k"]


def test_a_reader_opens_nothing_before_what_it_waits_for(kafka: KafkaSettings, undo: ExitStack) -> None:
    before = threading.Event()
    waiting, _ = _read(undo, GroupReader, kafka, [t.CATALOG], after=[before])
    _stop(waiting)
    assert not waiting.ready.is_set()
    free, _ = _read(undo, GroupReader, kafka, [t.CATALOG], after=[before])
    before.set()
    await_until(free.ready.is_set, "the group")
    assert partitions(kafka)[t.CATALOG] == 4


def test_a_reader_that_cannot_go_on_says_so_whatever_the_reason(kafka: KafkaSettings, undo: ExitStack) -> None:
    """Silent death would leave a worker that is alive and reads nothing; dead letters, for one, have no decoder."""
    _publish(kafka, t.DEAD_LETTERS, ["k"])
    reader, delivered = _read(undo, GroupReader, kafka, [t.DEAD_LETTERS])
    reader.join()
    assert len(delivered.failures) == 1


def test_each_partition_keeps_its_order(kafka: KafkaSettings, undo: ExitStack) -> None:
    _publish(kafka, t.CLICKS, [str(n) for n in range(300)])
    _, delivered = _read(undo, GroupReader, kafka, [t.CLICKS], at_once=True, max_batch=16)
    await_until(lambda: len(delivered.keys) == 300, "all records")
    seen: dict[int, list[int]] = {}
    for batch in delivered.batches:
        for one in batch.rejected:
            seen.setdefault(one.partition, []).append(one.offset)
    assert all(offsets == sorted(set(offsets)) for offsets in seen.values())
