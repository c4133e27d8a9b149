"""Reads as a member of a consumer group and commits after the effect."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from workers.transport.client import LIBRARY_LOG, reader
from workers.transport.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from workers.transport.batch import Place, RecordBatch

log = structlog.get_logger(__name__)

#: A commit that meets a rebalance is not lost work: the records are read again, and every effect is idempotent.
RETRIABLE_COMMITS = {
    KafkaError._NO_OFFSET,  # noqa: SLF001 - librdkafka's own name
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
}


#: librdkafka mends itself within seconds, but for some states after a broker that hung: so long nothing happens until we mend it.
STUCK_S = 30.0
#: How long Kafka may take to say what is committed; in a rebalance the whole group waits for it.
COMMITTED_S = 5.0


def starts(offsets: Mapping[Place, int | None]) -> list[TopicPartition]:
    """Return partitions with the offsets to read from; None stands for the beginning."""
    return [TopicPartition(*place, OFFSET_BEGINNING if offset is None else offset) for place, offset in offsets.items()]


class GroupReader(Reader):
    """Reads the partitions that the group assigns to it.

    The assignor is ``range``: topics with equally many partitions then give the same partition number to the same member, so that
    one worker owns all events of a visitor. Cooperative-sticky balances topics independently and would split visitors.

    When partitions are revoked, batches that were not started are given up, started ones are finished, and what is done is
    committed, all before the partition goes to its next owner.
    """

    _done: dict[Place, int]
    _owned: set[Place]

    def _open(self) -> Consumer:
        self._done, self._owned, self._commit_at = {}, set(), 0.0
        self._committed: dict[Place, int] = {}
        self._lost_its_place = self._spare = False
        self._out_since = self._fed_at = time.monotonic()
        settings = reader(self.kafka, self.group) | {"partition.assignment.strategy": "range"}
        consumer = Consumer(settings | {"on_commit": self._answered, "error_cb": self._refusal}, logger=LIBRARY_LOG)
        consumer.subscribe(self.topics, on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)
        return consumer

    @property
    def owned(self) -> frozenset[Place]:
        """The topics and partitions that are this member's now."""
        return frozenset(getattr(self, "_owned", ()))

    def _acknowledge(self, batch: RecordBatch) -> None:
        self._fed_at = time.monotonic()
        self._done.update({place: offset for place, offset in batch.next_offsets.items() if place in self._owned})

    def _commit(self, consumer: Consumer, *, wait: bool) -> None:
        now = time.monotonic()
        if not wait and now < self._commit_at:
            return
        self._commit_at = now + self.kafka.commit_interval_ms / 1000
        with self._changed:
            due = {place: offset for place, offset in self._done.items() if self._committed.get(place) != offset}
        due = self._committable(due)
        if not due:
            return
        offsets = [TopicPartition(topic, partition, offset) for (topic, partition), offset in due.items()]
        try:
            if wait:
                consumer.commit(offsets=offsets, asynchronous=False)
                self._answered(None, offsets)
            else:
                consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            self._answered(error.args[0], offsets)
            if error.args[0].code() not in RETRIABLE_COMMITS:
                raise
            return
        self._committed.update(due)

    def _answered(self, error: KafkaError | None, offsets: Sequence[TopicPartition]) -> None:
        """Hear how a commit went; one that was refused is sent again with the next."""
        if error is None:
            self._observer.count("commits", "ok")
            return
        for p in offsets:
            self._committed.pop((p.topic, p.partition), None)
        again = error.code() in RETRIABLE_COMMITS
        self._observer.count("commits", "again" if again else "failed")
        places = [f"{p.topic}[{p.partition}]@{p.offset}" for p in offsets]
        say = log.info if again else log.warning
        say("commit refused", group=self.group, error=error.str(), offsets=places, retriable=again)

    def _committable(self, due: dict[Place, int]) -> dict[Place, int]:
        """Return what of ``due`` may be committed now: all of it."""
        return due

    def _starting(self, consumer: Consumer, assigned: Sequence[TopicPartition]) -> list[TopicPartition]:
        """Return the partitions with the offsets to start from: where the group was. Raises KafkaException."""
        committed = self._where_the_group_was(consumer, [(p.topic, p.partition) for p in assigned])
        return starts(committed)

    def _where_the_group_was(self, consumer: Consumer, places: Collection[Place]) -> dict[Place, int | None]:
        """Return the offsets in Kafka, None for a partition that has none; raises KafkaException."""
        committed: dict[Place, int | None] = {}
        for found in consumer.committed([TopicPartition(*place) for place in places], timeout=COMMITTED_S):
            if found.error is not None:
                raise KafkaException(found.error)
            committed[found.topic, found.partition] = found.offset if found.offset >= 0 else None
        return committed

    @property
    def _wants_another(self) -> bool:
        """Whether the consumer does nothing and will not by itself: outside its group, or inside and given nothing, for long."""
        if self._lost_its_place:
            return True
        now = time.monotonic()
        if self._in_flight or self._paused or now - self._fed_at < STUCK_S:
            return False
        if not (self._owned or self._spare):
            return now - self._out_since > STUCK_S
        return max(self.backlog.ages_s(now).values(), default=0.0) > STUCK_S

    def _end_reached(self, place: Place) -> None:
        """Nothing to do: a group reads on."""

    def _assigned(self, consumer: Consumer, assigned: Sequence[TopicPartition]) -> None:
        with self._changed:
            self._owned |= {(p.topic, p.partition) for p in assigned}
        #: In the group, with nothing to do: there are more members than partitions.
        self._spare = not self._owned
        self.ready.set()
        try:
            consumer.assign(self._starting(consumer, assigned))
        except KafkaException as error:
            # Left to librdkafka, a question for offsets that fails once may never be asked again, and the partition never be read.
            log.warning("offsets not read, joining again", group=self.group, error=str(error))
            consumer.assign([])
            self._lost_its_place = True
            return
        # librdkafka keeps a partition paused that was paused when it was lost: without this it would never be read again.
        consumer.resume(list(assigned))
        self._paused = False
        self._changed_hands("assigned", assigned)

    def _revoked(self, consumer: Consumer, revoked: Sequence[TopicPartition]) -> None:
        places = {(p.topic, p.partition) for p in revoked}
        self._give_up(places)
        self._commit(consumer, wait=True)
        self._forget(places)
        self._changed_hands("revoked", revoked)

    def _lost(self, _consumer: Consumer, lost: Sequence[TopicPartition]) -> None:
        # Somebody else reads them already: what is in flight may finish (effects are idempotent), but must not be committed.
        places = {(p.topic, p.partition) for p in lost}
        with self._changed:
            for batch in self._in_flight:
                batch.revoke(places)
        self._forget(places)
        self._changed_hands("lost", lost)

    def _changed_hands(self, what: str, places: Sequence[TopicPartition]) -> None:
        self._assignments += 1
        self._observer.count("rebalances", what)
        say = log.warning if what == "lost" else log.info
        say(f"partitions {what}", group=self.group, partitions=sorted(f"{p.topic}[{p.partition}]" for p in places))

    def _give_up(self, places: set[Place]) -> None:
        with self._changed:
            busy = [batch for batch in self._in_flight if batch.revoke(places)]
            self._changed.wait_for(lambda: not any(batch in self._in_flight for batch in busy), self.kafka.drain_timeout_s)

    def _forget(self, places: set[Place]) -> None:
        self._spare, self._out_since = False, time.monotonic()
        with self._changed:
            self._owned -= places
            self.backlog.keep(self._owned)
            for place in places:
                self._done.pop(place, None)
                self._committed.pop(place, None)
