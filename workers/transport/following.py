"""Reads the partitions that another reader of this worker owns, at its own pace and with offsets of its own.

For work on a topic that must be done where another group's work on it is done, and may take longer. A group of its own would share
the partitions out otherwise; this one is told which to read, and is a group only by where its offsets are kept.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from workers.transport.client import LIBRARY_LOG, reader
from workers.transport.group import COMMITTED_S, RETRIABLE_COMMITS
from workers.transport.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from workers.transport.batch import Place, RecordBatch

log = structlog.get_logger(__name__)

#: How often it is looked what is owned, and committed what is done.
LOOK_S: Final = 0.5


class FollowingReader(Reader):
    """Reads what ``owned`` tells, from where it was, or from the beginning.

    A batch that is done may leave work behind: ``floor`` tells the lowest offset of a partition that is not to be committed yet,
    None where there is none. ``dropped`` hears of partitions that are ours no more.
    """

    def __init__(
        self,
        *args: Any,
        owned: Callable[[], frozenset[Place]],
        floor: Callable[[Place], int | None],
        dropped: Callable[[Collection[Place]], None],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._is_owned = owned
        self._floor = floor
        self._dropped = dropped
        self._reading: set[Place] = set()
        self._done: dict[Place, int] = {}
        self._committed: dict[Place, int] = {}
        self._next_look = 0.0

    def _open(self) -> Consumer:
        self.ready.set()
        return Consumer(reader(self.kafka, self.group) | {"error_cb": self._refusal}, logger=LIBRARY_LOG)

    def _acknowledge(self, batch: RecordBatch) -> None:
        self._done.update({place: offset for place, offset in batch.next_offsets.items() if place in self._reading})
        self.backlog.keep(())  # its records are not late: what is urgent of them the owner does

    def _end_reached(self, place: Place) -> None:
        """Nothing to do: it reads on."""

    def _look_ahead(self, consumer: Consumer) -> None:
        """Count no backlog, as above."""

    def _commit(self, consumer: Consumer, *, wait: bool) -> None:
        if not wait and time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK_S
        try:
            self._save(consumer, self._reading, wait=wait)
            if not wait:
                self._follow(consumer)
        except KafkaException as error:
            # Nothing is lost by it: what is not committed is read again.
            again = error.args[0].code() in RETRIABLE_COMMITS
            log.warning("following waits", group=self.group, error=str(error), retriable=again)

    def _save(self, consumer: Consumer, places: Collection[Place], *, wait: bool) -> None:
        with self._changed:
            done = {place: self._done[place] for place in places if place in self._done}
        floors = {place: self._floor(place) for place in done}
        due = {place: min(offset, offset if (low := floors[place]) is None else low) for place, offset in done.items()}
        due = {place: offset for place, offset in due.items() if self._committed.get(place) != offset}
        if due:
            offsets = [TopicPartition(*place, offset) for place, offset in due.items()]
            if wait:
                consumer.commit(offsets=offsets, asynchronous=False)
            else:
                consumer.commit(offsets=offsets, asynchronous=True)
            self._committed.update(due)

    def _follow(self, consumer: Consumer) -> None:
        """Read what is owned now, and no more."""
        owned = {place for place in self._is_owned() if place[0] in self.topics}
        self._drop(consumer, self._reading - owned)
        self._take(consumer, owned - self._reading)

    def _take(self, consumer: Consumer, places: Collection[Place]) -> None:
        if not places:
            return
        starts = []
        for found in consumer.committed([TopicPartition(*place) for place in sorted(places)], timeout=COMMITTED_S):
            if found.error is not None:
                raise KafkaException(found.error)
            starts.append(TopicPartition(found.topic, found.partition, found.offset if found.offset >= 0 else OFFSET_BEGINNING))
        consumer.incremental_assign(starts)
        consumer.resume(starts)  # it may have been given up while it was paused
        with self._changed:
            self._reading |= set(places)
        self._paused = False
        log.info("follows", group=self.group, partitions=[f"{p.topic}[{p.partition}]@{max(p.offset, 0)}" for p in starts])

    def _drop(self, consumer: Consumer, places: set[Place]) -> None:
        if not places:
            return
        self._save(consumer, places, wait=True)
        consumer.incremental_unassign([TopicPartition(*place) for place in sorted(places)])
        with self._changed:
            for batch in self._in_flight:
                batch.disown(places)
            self._reading -= places
            for place in places:
                self._done.pop(place, None)
                self._committed.pop(place, None)
        self._dropped(places)
