"""Reads as a member of a group whose effects live in Redis, and reads again what Redis lost."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import structlog
from confluent_kafka import KafkaException

from streamrec.errors import StoreUnavailable
from workers.transport.group import GroupReader, starts

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from confluent_kafka import Consumer, TopicPartition

    from workers.transport.batch import Place
    from workers.transport.stamps import Stamps

log = structlog.get_logger(__name__)

#: How often the stamps are looked at; so long it may take until it is noticed that Redis lost data.
LOOK_S = 1.0


class StampedGroupReader(GroupReader):
    """Stamps in Redis how far the effects in it reach, and only then commits to Kafka: effect, stamp, offset.

    A partition starts from the earlier of its stamp and its offset in Kafka. When Redis lost data, it goes back there while the
    worker runs; batches that were on their way are finished or given up, and no longer acknowledge anything. While Redis is away
    nothing is stamped, so nothing is committed.
    """

    def __init__(self, *args: Any, stamps: Stamps, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stamps = stamps
        self._next_look = 0.0

    def _starting(self, consumer: Consumer, assigned: Sequence[TopicPartition]) -> list[TopicPartition]:
        places = [(p.topic, p.partition) for p in assigned]
        self._stamps.forget(places)
        self._disown(places)
        committed = self._where_the_group_was(consumer, places)
        try:
            return starts(self._stamps.place(committed) if committed else {})
        except StoreUnavailable as error:
            # Read from where the group was. Nothing of it is committed before the stamps were seen, and then the reader goes back.
            log.warning("stamps not read", group=self.group, error=str(error))
            return starts(committed)

    def _commit(self, consumer: Consumer, *, wait: bool) -> None:
        if not wait and time.monotonic() >= self._next_look:  # a reader that is leaving goes nowhere
            self._look(consumer)
            self._next_look = time.monotonic() + LOOK_S
        super()._commit(consumer, wait=wait)

    def _look(self, consumer: Consumer) -> None:
        """Check the stamps and take the partitions back where they do not stand."""
        try:
            self._stamps.check()
            lost = sorted(place for place in self._owned if not self._stamps.is_placed(place))
            if lost:
                self._take_back(consumer, lost)
        except (StoreUnavailable, KafkaException) as error:
            log.warning("stamps not read", group=self.group, error=str(error))

    def _take_back(self, consumer: Consumer, places: Collection[Place]) -> None:
        committed = self._where_the_group_was(consumer, places)
        placed = starts(self._stamps.place(committed))
        try:
            for start in placed:
                consumer.seek(start)
        except KafkaException:
            self._stamps.forget(places)  # a partition that has just been assigned cannot seek yet: the next look tries again
            raise
        self._disown(places)
        self._observer.count("rewound", self.group, len(placed))
        log.warning("read again", group=self.group, partitions=[f"{p.topic}[{p.partition}]@{max(p.offset, 0)}" for p in placed])

    def _disown(self, places: Collection[Place]) -> None:
        """Let what was read of the partitions so far acknowledge nothing any more."""
        with self._changed:
            for batch in self._in_flight:
                batch.disown(places)
            for place in places:
                self._done.pop(place, None)
                self._committed.pop(place, None)

    def _committable(self, due: dict[Place, int]) -> dict[Place, int]:
        placed = {place: offset for place, offset in due.items() if self._stamps.is_placed(place)}
        try:
            return placed if self._stamps.save(placed) else {}
        except StoreUnavailable as error:
            log.warning("not stamped, so not committed", group=self.group, error=str(error))
            self._commit_at = time.monotonic() + LOOK_S
            return {}

    def _forget(self, places: set[Place]) -> None:
        super()._forget(places)
        self._stamps.forget(places)
