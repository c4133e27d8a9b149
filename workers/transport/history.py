"""Reads again what a plan names, beside the group and without one: no subscription, no commits; only stamps in Redis."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition

from streamrec.errors import BrokerUnavailable, StoreUnavailable
from workers.transport.admin import TIMEOUT_S, end_offsets
from workers.transport.client import LIBRARY_LOG, common, reader
from workers.transport.reader import Reader
from workers.transport.stamps import Stamps

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from streamrec.config import KafkaSettings
    from streamrec.lists.progress import Progress
    from streamrec.lists.rebuilding import Plan
    from workers.transport.batch import Place, RecordBatch

log = structlog.get_logger(__name__)

#: How often it is looked what is asked for, and how far we are.
LOOK_S = 0.5


class Plans(Protocol):
    """Where a plan comes from. Every method raises StoreUnavailable."""

    def current(self) -> Plan | None:
        """Return what is to be read again, None if nothing is."""
        ...

    def progress(self, plan: Plan) -> Progress:
        """Return the stamps of those who work on the plan."""
        ...


class _HistoryStamps(Stamps):
    """Starts at the stamp, whatever the plan's start: what was read is read."""

    def _start(self, stamp: int | None, committed: int | None) -> int | None:
        return committed if stamp is None else stamp


class HistoryReader(Reader):
    """Reads the parts of a plan whose partitions are ``owned`` here; a part that goes to another worker goes on there.

    Order: effect, stamp. A worker that is killed leaves its stamps to the next owner, and what Redis loses is read again.
    """

    def __init__(self, *args: Any, plans: Plans, owned: Callable[[], frozenset[Place]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._plans = plans
        self._is_owned = owned
        self._plan: Plan | None = None
        self._stamps: Stamps | None = None
        self._done: dict[Place, int] = {}
        #: Parts that are being read, and those known to be done.
        self._reading: set[Place] = set()
        self._finished: set[Place] = set()
        #: Partitions read to their end, which may come before a part's when the last offsets hold no record.
        self._ended: set[Place] = set()
        self._next_look = 0.0

    def _open(self) -> Consumer:
        self.ready.set()
        return Consumer(reader(self.kafka, self.group) | {"enable.partition.eof": True}, logger=LIBRARY_LOG)

    def _acknowledge(self, batch: RecordBatch) -> None:
        self._done.update({place: offset for place, offset in batch.next_offsets.items() if place in self._reading})
        self.backlog.keep(())  # history is not late

    def _end_reached(self, place: Place) -> None:
        self._ended.add(place)

    def _look_ahead(self, consumer: Consumer) -> None:
        """Count no backlog."""

    def _commit(self, consumer: Consumer, *, wait: bool) -> None:
        if not wait and time.monotonic() < self._next_look:
            return
        try:
            self._stamp()
            if not wait:
                self._follow(consumer)
        except (StoreUnavailable, KafkaException) as error:
            log.warning("rebuild waits", error=str(error))
        self._next_look = time.monotonic() + LOOK_S

    def _stamp(self) -> None:
        """Stamp what is done, up to each part's end and not beyond."""
        if self._stamps is None or self._plan is None or not self._reading:
            return
        self._stamps.check()
        with self._changed:
            flying = {place for batch in self._in_flight for place in batch.next_offsets}
            done = dict(self._done)
        parts = self._plan.by_place
        for place in (self._ended & self._reading) - flying:
            done[place] = parts[place].end
        due = {place: min(offset, parts[place].end) for place, offset in done.items() if self._stamps.is_placed(place)}
        if self._stamps.save(due):
            self._finished.update(place for place, offset in due.items() if offset >= parts[place].end)

    def _follow(self, consumer: Consumer) -> None:
        """Read what is asked of us now, and no more."""
        plan = self._plans.current()
        if plan is None or self._plan is None or plan.id != self._plan.id:
            self._drop(consumer, self._reading)
            self._plan, self._stamps = plan, _HistoryStamps(self._plans.progress(plan), "committed") if plan else None
            self._finished.clear()
        if self._plan is None or self._stamps is None:
            return
        wanted = (self._plan.by_place.keys() & self._is_owned()) - self._finished
        self._drop(consumer, {place for place in self._reading if place not in wanted or not self._stamps.is_placed(place)})
        self._take(consumer, wanted - self._reading, self._plan, self._stamps)

    def _take(self, consumer: Consumer, places: Collection[Place], plan: Plan, stamps: Stamps) -> None:
        if not places:
            return
        starts = {place: start or 0 for place, start in stamps.place({p: plan.by_place[p].start for p in places}).items()}
        self._finished.update(place for place, start in starts.items() if start >= plan.by_place[place].end)
        new = {place: start for place, start in starts.items() if place not in self._finished}
        if new:
            consumer.incremental_assign([TopicPartition(*place, start) for place, start in sorted(new.items())])
            consumer.resume([TopicPartition(*place) for place in new])  # it may have been given up while it was paused
            with self._changed:
                self._reading |= new.keys()
            self._paused = False
            log.info("rebuild reads", parts=[f"{topic}[{partition}]@{start}" for (topic, partition), start in sorted(new.items())])

    def _drop(self, consumer: Consumer, places: Iterable[Place]) -> None:
        places = set(places)
        if not places:
            return
        consumer.incremental_unassign([TopicPartition(*place) for place in sorted(places)])
        with self._changed:
            for batch in self._in_flight:
                batch.disown(places)
            self._reading -= places
            for place in places:
                self._done.pop(place, None)
        self._ended -= places
        if self._stamps is not None:
            self._stamps.forget(places)


def history(kafka: KafkaSettings, topics: Collection[str], since_ms: int) -> dict[tuple[str, int], tuple[int, int]]:
    """Return, per topic and partition, the offsets from the first record at ``since_ms`` or later up to the end.

    The time of a record is when it was sent, in ms since the epoch. Raises BrokerUnavailable.
    """
    ends = end_offsets(kafka, topics)
    consumer = Consumer(common(kafka) | {"group.id": f"{kafka.group_prefix}.look", "log_level": 0})
    try:
        found = consumer.offsets_for_times([TopicPartition(*place, since_ms) for place in ends], timeout=TIMEOUT_S)
    except KafkaException as error:
        msg = f"Kafka at {kafka.bootstrap}: {error.args[0].str()}; check the address and that the broker runs"
        raise BrokerUnavailable(msg) from error
    finally:
        consumer.close()
    starts = {(p.topic, p.partition): p.offset for p in found}
    # A negative offset: nothing was sent since then.
    return {place: (start if 0 <= (start := starts[place]) <= end else end, end) for place, end in ends.items()}
