"""Threads that read Kafka in batches and hand them to the event loop, with a bound on what is in flight.

Stock Faust takes about 200 µs per event on its way through the loop; a batch pays that once. The thread alone talks to the
consumer, because librdkafka calls back (rebalances) from within its poll.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING

import structlog
from confluent_kafka import KafkaError

from streamrec.observe import Silence
from workers.transport.backlog import Backlog
from workers.transport.batch import Place, RecordBatch, build_batch
from workers.transport.client import is_fatal
from workers.transport.refusal import Refusal, unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from confluent_kafka import Consumer, Message

    from streamrec.clock import Clock
    from streamrec.config import KafkaSettings
    from streamrec.observe import Observer

log = structlog.get_logger(__name__)

#: How long one poll waits for a first record; only bounds how fast a stop and a commit are noticed.
POLL_S = 0.05
#: Back-pressure for so long is waited out; beyond it the partitions are paused, so that polling can go on.
PAUSE_AFTER_S = 1.0


class Reader(threading.Thread, ABC):
    """Reads batches until stopped; at most ``max_in_flight`` of them are delivered and not yet done.

    It starts to read when every event of ``after`` is set. ``deliver`` and ``failed`` are called from this thread and must hand
    over to wherever the work is done.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        name: str,
        topics: Collection[str],
        *,
        clock: Clock,
        max_future_ms: int,
        deliver: Callable[[RecordBatch], None],
        failed: Callable[[Exception], None],
        after: Sequence[threading.Event] = (),
        max_batch: int | None = None,
        observer: Observer | None = None,
    ) -> None:
        super().__init__(name=f"reader-{name}", daemon=True)
        self._observer = observer or Silence()
        self.kafka = kafka
        self.topics = sorted(topics)
        self.group = f"{kafka.group_prefix}.{name}"
        self._clock = clock
        self._max_future_ms = max_future_ms
        self._deliver = deliver
        self._failed = failed
        self._after = after
        self._max_batch = max_batch or kafka.max_batch
        self._in_flight: list[RecordBatch] = []
        self._changed = threading.Condition()
        #: Why a broker would not have us, if so.
        self._refusal = Refusal(kafka)
        #: Set once the reader is where it should be: a replica has caught up, a group has been joined.
        self.ready = threading.Event()
        self._stop_reading = threading.Event()
        self._paused = False
        #: How often partitions were given or taken.
        self._assignments = 0
        #: When the consumer was polled last, for liveness (monotonic seconds).
        self.polled_at = time.monotonic()
        #: What waits in the partitions, looked at once a second.
        self.backlog = Backlog()
        self._look_at = 0.0

    # -- called from the event loop -------------------------------------------------------------------------------------

    def done(self, batch: RecordBatch) -> None:
        """Hear that the effects of ``batch`` are in Redis or Kafka: its offsets may be committed."""
        with self._changed:
            if batch in self._in_flight:
                self._in_flight.remove(batch)
                self.backlog.done(batch.next_offsets)
                self._acknowledge(batch)
            self._changed.notify_all()

    def stop(self) -> None:
        """Ask the thread to read no more, let what is in flight finish within the bound, commit and leave."""
        self._stop_reading.set()

    @property
    def lag(self) -> dict[Place, int]:
        """Per partition, how many records are not handled, as far as is known."""
        return self.backlog.records

    @property
    def in_flight(self) -> int:
        """How many batches were delivered and are not done."""
        return len(self._in_flight)

    @property
    def paused(self) -> bool:
        """Whether reading is held back until what is in flight is done."""
        return self._paused

    @property
    def busy(self) -> bool:
        """Whether a batch was delivered and is not done."""
        return bool(self._in_flight)

    # -- the thread --------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Read until stopped; tell ``failed`` when the consumer cannot go on."""
        if not self._wait_for_others():
            return
        try:
            while not self._stop_reading.is_set():
                self._read()
        except Exception as error:  # noqa: BLE001 - whatever it is, a thread that died in silence would leave a worker that reads nothing
            self._failed(error)

    def _read(self) -> None:
        """Read with one consumer until stopped, or until another is wanted."""
        consumer = self._open()
        try:
            while not (self._stop_reading.is_set() or self._wants_another):
                self._step(consumer)
            if not self._stop_reading.is_set():
                log.warning("opens another consumer", reader=self.name)
            if not self._finish(self.kafka.drain_timeout_s):
                self._tell_left()
            self._commit(consumer, wait=True)
        finally:
            consumer.close()

    @property
    def _wants_another(self) -> bool:
        """Whether this consumer is in a state that it would not leave."""
        return False

    def _wait_for_others(self) -> bool:
        """Wait until everything in ``after`` has happened; False when stopped before."""
        for event in self._after:
            while not event.wait(POLL_S):
                self.polled_at = time.monotonic()
                if self._stop_reading.is_set():
                    return False
        return True

    @abstractmethod
    def _open(self) -> Consumer:
        """Return a consumer that reads the topics."""

    @abstractmethod
    def _acknowledge(self, batch: RecordBatch) -> None:
        """Note that ``batch`` is done; called with the lock held."""

    @abstractmethod
    def _commit(self, consumer: Consumer, *, wait: bool) -> None:
        """Commit what was acknowledged, if anything is."""

    @abstractmethod
    def _end_reached(self, place: Place) -> None:
        """Hear that a partition has been read to its end."""

    def _step(self, consumer: Consumer) -> None:
        self._commit(consumer, wait=False)
        self._look_ahead(consumer)
        self.polled_at = time.monotonic()
        if not self._room():
            self._pause(consumer)
        elif self._paused:
            self._resume(consumer)
        # `consume(n, timeout)` would wait for n records or the whole timeout: poll one, then drain what is there.
        first = consumer.poll(POLL_S)
        if first is None:
            # A worker that never got in would wait in silence for ever; one that was in waits for what was taken from it.
            if not self.ready.is_set():
                self._refusal.check()
            return
        held = self._assignments
        messages = [first, *consumer.consume(num_messages=self._max_batch - 1, timeout=0)]
        if self._assignments != held:
            # Partitions changed hands after ``first`` was taken: it is read again, by us or another. Its commit would cover the
            # records that were given up before it.
            del messages[0]
        valid = [message for message in messages if self._is_record(message)]
        if valid:
            batch = build_batch(valid, self._clock.now_ms(), self._max_future_ms)
            with self._changed:
                self._in_flight.append(batch)
            self._deliver(batch)

    def _is_record(self, message: Message) -> bool:
        error = message.error()
        if error is None:
            return True
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own name
            self._end_reached((message.topic() or "", message.partition() or 0))
        elif is_fatal(error):
            raise unavailable(self.kafka, error, self._refusal)
        return False  # anything else (a broker away, a leader moving) librdkafka mends by itself

    def _room(self) -> bool:
        """Wait for a place in flight, not so long that the group would miss our poll."""
        limit = self.kafka.max_in_flight
        with self._changed:
            return self._changed.wait_for(lambda: len(self._in_flight) < limit or self._stop_reading.is_set(), PAUSE_AFTER_S)

    def _pause(self, consumer: Consumer) -> None:
        if not self._paused:
            consumer.pause(consumer.assignment())
            self._paused = True

    def _resume(self, consumer: Consumer) -> None:
        consumer.resume(consumer.assignment())
        self._paused = False

    def _finish(self, timeout_s: float) -> bool:
        """Wait until everything in flight is done; False when it took too long."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._in_flight, timeout_s)

    def _first_held(self, place: Place) -> int:
        taken = [one.offset for batch in self._in_flight for one in batch.records if (one.topic, one.partition) == place]
        bad = [one.offset for batch in self._in_flight for one in batch.rejected if (one.topic, one.partition) == place]
        return min([*taken, *bad], default=0)

    def _tell_left(self) -> None:
        with self._changed:
            batches = len(self._in_flight)
            places = sorted({f"{topic}[{number}]" for batch in self._in_flight for topic, number in batch.next_offsets})
        said = {"reader": self.name, "batches": batches, "partitions": places, "after_s": self.kafka.drain_timeout_s}
        log.warning("left unfinished, not committed: it is read again", **said)

    def _look_ahead(self, consumer: Consumer) -> None:
        """Note how far each partition's end is, by the last fetch."""
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + 1.0
        places = consumer.position(consumer.assignment())
        with self._changed:  # no batch is done between the look at what is in flight and the note
            flying = {place for batch in self._in_flight for place in batch.next_offsets}
            for p in places:
                high = consumer.get_watermark_offsets(p, cached=True)[1]
                place = (p.topic, p.partition)
                self.backlog.look(place, p.offset, high, now, partial(self._first_held, place) if place in flying else None)
        self.backlog.keep([(p.topic, p.partition) for p in places])
