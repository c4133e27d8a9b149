"""Readers beside the embedder's group: one that is always at the end of the catalogue, and one that begins at its beginning."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import structlog
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaException, TopicPartition

from workers.transport.client import LIBRARY_LOG, reader
from workers.transport.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from workers.transport.batch import Place, RecordBatch

log = structlog.get_logger(__name__)

#: How often it is looked which partitions are ours.
LOOK_S: Final = 0.2
#: A reader of the end that is so many records behind in a partition goes to its end: what it leaves out the group reads.
SKIP: Final = 200_000


class _Lane(Reader):
    """Reads partitions that are ``owned`` here, without a group: no subscription, no commits, and no lag of its own."""

    def __init__(self, *args: Any, owned: Callable[[], frozenset[Place]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_owned = owned
        self._reading: set[Place] = set()
        self._next_look = 0.0

    def _open(self) -> Consumer:
        self._reading = set()
        self.ready.set()
        return Consumer(reader(self.kafka, self.group) | {"enable.partition.eof": True}, logger=LIBRARY_LOG)

    def _acknowledge(self, batch: RecordBatch) -> None:  # noqa: ARG002 - which batch it was does not matter here
        self.backlog.keep(())

    def _look_ahead(self, consumer: Consumer) -> None:
        """Count no backlog: what is read here is in the group's."""

    def _end_reached(self, place: Place) -> None:
        """Nothing to do: the lane reads on."""

    def _commit(self, consumer: Consumer, *, wait: bool) -> None:
        """Commit nothing, and look now and then what is ours."""
        if wait or time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK_S
        try:
            self._follow(consumer)
        except KafkaException as error:
            log.warning("lane waits", reader=self.name, error=str(error))

    def _follow(self, consumer: Consumer) -> None:
        """Take and drop partitions as they come and go."""

    def _take(self, consumer: Consumer, places: Collection[Place], offset: int) -> None:
        if places:
            consumer.incremental_assign([TopicPartition(*place, offset) for place in sorted(places)])
            consumer.resume([TopicPartition(*place) for place in places])  # it may have been given up while it was paused
            self._reading |= set(places)

    def _drop(self, consumer: Consumer, places: Iterable[Place]) -> None:
        places = set(places)
        if places:
            consumer.incremental_unassign([TopicPartition(*place) for place in sorted(places)])
            self._give_up(places)
            self._reading -= places

    def _give_up(self, places: set[Place]) -> None:
        with self._changed:
            for batch in self._in_flight:
                batch.disown(places)


class EndReader(_Lane):
    """Reads what comes from now on, however much the group has before it."""

    def _follow(self, consumer: Consumer) -> None:
        owned = self._is_owned()
        self._drop(consumer, self._reading - owned)
        self._take(consumer, owned - self._reading, OFFSET_END)
        for p in consumer.position(consumer.assignment()):
            high = consumer.get_watermark_offsets(p, cached=True)[1]
            if 0 <= p.offset < high - SKIP:
                log.warning("the end runs away, goes there", topic=p.topic, partition=p.partition, skipped=high - p.offset)
                consumer.seek(TopicPartition(p.topic, p.partition, high))


class PassReader(_Lane):
    """Reads its partitions from the beginning to the end that they have then, once for each number that ``due`` returns; 0: never.

    A partition that comes to us is read whole, whoever began it: what is embedded already is passed over quickly.
    """

    def __init__(self, *args: Any, due: Callable[[], int], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._due = due
        self._number = 0
        self._finished: set[Place] = set()
        self._ended: set[Place] = set()
        #: How many records are left of the partitions that are read, as far as is known.
        self.left = 0

    @property
    def active(self) -> bool:
        """Whether a pass is under way here, or about to begin."""
        number = self._due()
        return bool(number) and (number != self._number or bool(self._is_owned() - self._finished))

    def _open(self) -> Consumer:
        self._ended = set()
        return super()._open()

    def _end_reached(self, place: Place) -> None:
        self._ended.add(place)

    def _follow(self, consumer: Consumer) -> None:
        number = self._due()
        if number != self._number:
            self._drop(consumer, self._reading)
            self._number = number
            self._finished.clear()
            self._ended.clear()
        with self._changed:
            flying = {place for batch in self._in_flight for place in batch.next_offsets}
        over = (self._ended & self._reading) - flying
        self._finished |= over
        self._drop(consumer, over)
        owned = self._is_owned() if number else frozenset()
        # What is lost to another is read again if it comes back: the other may not have come to its end.
        self._finished &= owned
        self._drop(consumer, self._reading - owned)
        self._take(consumer, owned - self._reading - self._finished, OFFSET_BEGINNING)
        self.left = sum(
            max(consumer.get_watermark_offsets(p, cached=True)[1] - max(p.offset, 0), 0)
            for p in consumer.position(consumer.assignment())
        )

    def _drop(self, consumer: Consumer, places: Iterable[Place]) -> None:
        places = set(places)
        super()._drop(consumer, places)
        self._ended -= places
