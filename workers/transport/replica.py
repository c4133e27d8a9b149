"""Reads whole topics into every process that wants them, without a group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from workers.transport.admin import partitions_of
from workers.transport.client import LIBRARY_LOG, reader
from workers.transport.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workers.transport.batch import Place, RecordBatch


class ReplicaReader(Reader):
    """Reads all partitions of its topics and stays at their end; commits nothing.

    A partition is read from the offset in ``start`` on, from its beginning where there is none.

    ``ready`` is set once every partition has been read to the end that it had, and all of that has been applied. The end is
    what a fetch says it is: the embedded broker answers the question for the last offset with the start of its last batch.
    """

    def __init__(self, *args: Any, start: Mapping[Place, int] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._start_at = dict(start or {})
        self._unread: set[Place] = set()

    def _open(self) -> Consumer:
        counts = partitions_of(self.kafka, self.topics)
        self._unread = {(topic, number) for topic, count in counts.items() for number in range(count)}
        # What lies before is applied already; with nothing delivered there is no other word of how far this reader is.
        self.backlog.done({place: offset for place, offset in self._start_at.items() if place in self._unread})
        # A group id is asked for by librdkafka and used for nothing: no subscription, no commits.
        settings = reader(self.kafka, self.group) | {"enable.partition.eof": True}
        consumer = Consumer(settings | {"error_cb": self._refusal}, logger=LIBRARY_LOG)
        consumer.assign([TopicPartition(*place, self._start_at.get(place, OFFSET_BEGINNING)) for place in sorted(self._unread)])
        return consumer

    def _acknowledge(self, batch: RecordBatch) -> None:  # noqa: ARG002 - which batch it was does not matter here
        self._settle()

    def _commit(self, consumer: Consumer, *, wait: bool) -> None:
        """Commit nothing: every process reads everything."""

    def _end_reached(self, place: Place) -> None:
        with self._changed:
            self._unread.discard(place)
            self._settle()

    def _settle(self) -> None:
        if not self._unread and not self._in_flight:
            self.ready.set()
