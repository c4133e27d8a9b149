"""Reading again what a plan names: from where to where, by whom, and after a crash of the reader or of Redis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from streamrec.clock import SystemClock
from streamrec.config import KafkaSettings
from streamrec.events import topics as t
from streamrec.lists.progress import MemoryProgress, Place, Progress
from streamrec.lists.rebuilding import Part, Plan
from streamrec.local import LocalStack
from tests.brokers import KIND
from tests.integration.shop import await_until
from workers.transport.admin import ensure_topics
from workers.transport.batch import RecordBatch
from workers.transport.history import HistoryReader, history
from workers.transport.producer import Producer

pytestmark = pytest.mark.integration
ALL = frozenset({(t.CLICKS, 0), (t.CLICKS, 1), (t.CARTS, 0)})


@pytest.fixture(scope="module")
def kafka() -> Iterator[KafkaSettings]:
    """A broker of this module's own that holds 20 clicks in two partitions, and nothing else."""
    with LocalStack(kind=KIND) as stack:
        settings = KafkaSettings(bootstrap=stack.broker.bootstrap, drain_timeout_s=0.1)
        ensure_topics(settings, partitions=2)
        with Producer(settings) as producer:
            for number in range(20):
                producer.send(t.CLICKS, str(number), b"?")  # what it says does not matter, so it is invalid
        yield settings


@dataclass
class Desk:
    """Hands out one plan, and keeps its stamps."""

    plan: Plan | None = None
    stamps: MemoryProgress = field(default_factory=MemoryProgress)

    def current(self) -> Plan | None:
        return self.plan

    def progress(self, plan: Plan) -> Progress:
        return self.stamps

    @property
    def done(self) -> bool:
        assert self.plan is not None
        return all(self.stamps.offsets.get(part.place, part.start) >= part.end for part in self.plan.parts)


@dataclass
class Worker:
    """A reader that owns some partitions; what it reads is done at once unless told otherwise."""

    kafka: KafkaSettings
    desk: Desk
    owned: frozenset[Place] = ALL
    at_once: bool = True
    batches: list[RecordBatch] = field(default_factory=list)
    read: list[tuple[str, int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reader = HistoryReader(
            self.kafka,
            "history",
            t.EVENTS,
            clock=SystemClock(),
            max_future_ms=0,
            deliver=self._take,
            failed=lambda error: self.read.append((str(error), 0, 0)),
            max_batch=3,
            plans=self.desk,
            owned=lambda: self.owned,
        )

    def _take(self, batch: RecordBatch) -> None:
        batch.start()
        self.batches.append(batch)
        self.read += [(one.topic, one.partition, one.offset) for one in batch.rejected]
        if self.at_once:
            self.reader.done(batch)


@contextmanager
def _working(*workers: Worker) -> Iterator[None]:
    for worker in workers:
        worker.reader.start()
    try:
        yield
    finally:
        for worker in workers:
            worker.reader.stop()
            worker.reader.join()


def _plan(kafka: KafkaSettings, name: str = "p", skip: int = 0) -> Plan:
    held = history(kafka, [t.CLICKS, t.CARTS], 0)
    return Plan(name, tuple(Part(*place, min(start + skip, end), end) for place, (start, end) in sorted(held.items())))


def _everything(plan: Plan) -> list[tuple[str, int, int]]:
    return [(*part.place, offset) for part in plan.parts for offset in range(part.start, part.end)]


def test_what_the_plan_names_is_read_once_and_then_nothing(kafka: KafkaSettings) -> None:
    desk = Desk(_plan(kafka, skip=2))
    with _working(worker := Worker(kafka, desk)):
        await_until(lambda: desk.done, "the plan", 15)
        first = sorted(worker.read)
        desk.plan = _plan(kafka, "next", skip=5)
        desk.stamps.lose()
        await_until(lambda: desk.done, "the next plan")
    assert first == _everything(_plan(kafka, skip=2))
    assert sorted(worker.read) == sorted(first + _everything(_plan(kafka, skip=5)))


def test_two_workers_share_the_plan_as_they_share_the_partitions(kafka: KafkaSettings) -> None:
    desk = Desk(_plan(kafka))
    one, two = Worker(kafka, desk, frozenset({(t.CLICKS, 0)})), Worker(kafka, desk, frozenset({(t.CLICKS, 1)}))
    with _working(one, two):
        await_until(lambda: desk.done, "the plan", 15)
    assert {place[1] for place in one.read} == {0}
    assert {place[1] for place in two.read} == {1}
    assert sorted(one.read + two.read) == _everything(_plan(kafka))


def test_what_a_killed_worker_did_not_finish_goes_on_with_the_next_owner(kafka: KafkaSettings) -> None:
    desk = Desk(_plan(kafka))
    with _working(dead := Worker(kafka, desk, at_once=False)):
        await_until(lambda: dead.read, "something that is never done")
        dead.owned = frozenset()
        with _working(heir := Worker(kafka, desk)):
            await_until(lambda: desk.done, "the plan", 15)
    assert sorted(heir.read) == _everything(_plan(kafka))


def test_what_redis_lost_of_the_plans_effects_is_read_again(kafka: KafkaSettings) -> None:
    desk = Desk(_plan(kafka))
    with _working(worker := Worker(kafka, desk, at_once=False)):
        await_until(lambda: worker.reader.paused, "as much in flight as may be")
        worker.at_once = True
        desk.stamps.lose()
        for batch in worker.batches:
            worker.reader.done(batch)
        await_until(lambda: desk.done, "the plan", 15)
    assert sorted(worker.read[-20:]) == _everything(_plan(kafka))


def test_without_a_plan_nothing_is_read(kafka: KafkaSettings) -> None:
    desk = Desk()
    with _working(worker := Worker(kafka, desk)):
        await_until(worker.reader.ready.is_set, "ready")
        desk.plan = _plan(kafka, skip=100)  # all of it done from the start
        await_until(lambda: worker.reader._finished, "a look at the plan")
    assert worker.read == []
