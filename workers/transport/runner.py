"""Runs a handler on batches so that nothing is lost: dead letters first, then the effect, then the acknowledgement."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, TypeVar

import structlog

from streamrec.errors import BrokerUnavailable, StoreUnavailable
from streamrec.events.topics import DEAD_LETTERS
from workers.transport.batch import Rejected
from workers.transport.dead_letters import headers

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from concurrent.futures import Executor

    from streamrec.clock import Clock
    from streamrec.observe import Observer
    from workers.transport.batch import Record, RecordBatch
    from workers.transport.producer import Producer

log = structlog.get_logger(__name__)

#: Redis or Kafka away: try again, at first soon, then every few seconds, for as long as it takes. Nothing is skipped meanwhile.
FIRST_RETRY_S, LAST_RETRY_S = 0.05, 3.0

#: If more records than this cannot be handled and none between them can, in one batch or several, the records are not to blame.
MANY = 8

T = TypeVar("T", "Record", "Rejected")


class Runner:
    """Hands batches to a handler, one after another, on the handler's own thread.

    A handler's effects must be idempotent: a batch is repeated while a store is away, and split in halves around a record that the
    handler cannot bear. That record goes to the dead letters, because it must not stop its partition. Where several read a topic,
    ``buries`` names the topics whose invalid records this one writes to the dead letters; None: all.
    """

    def __init__(
        self,
        name: str,
        handler: Callable[[Sequence[Record]], None],
        *,
        producer: Producer,
        executor: Executor,
        clock: Clock,
        observer: Observer,
        buries: Collection[str] | None = None,
    ) -> None:
        self.name = name
        self._handler = handler
        self._producer = producer
        self._executor = executor
        self._clock = clock
        self._observer = observer
        self._buries = buries
        #: How many records were buried since one was handled.
        self._in_vain = 0
        #: Since when the handler works on what it was given last, for liveness (monotonic seconds); None while it does not work.
        self.busy_since: float | None = None
        #: What is waited for, in the words of the error; empty while nothing is.
        self.waits_for = ""

    async def run(self, batch: RecordBatch) -> None:
        """Do everything that ``batch`` asks for; return when it may be committed."""
        if not batch.start():
            return
        self._observer.size(self.name, len(batch.records) + len(batch.rejected))
        rejected = [one for one in batch.rejected if self._buries is None or one.topic in self._buries]
        if rejected:
            await self._until_done(self._bury_invalid, rejected)
        if batch.records:
            await self._until_done(self._handle, batch.records)

    async def _until_done(self, work: Callable[[Sequence[T]], None], items: Sequence[T]) -> None:
        pause_s = FIRST_RETRY_S
        while True:
            try:
                await self._once(work, items)
            except (StoreUnavailable, BrokerUnavailable) as error:
                self.waits_for, first = str(error), items[0]
                place = {"topic": first.topic, "partition": first.partition, "offset": first.offset, "records": len(items)}
                log.warning("unavailable", handler=self.name, **place, error=self.waits_for, retry_s=pause_s)
                self._observer.count("retries", self.name)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, LAST_RETRY_S)
            else:
                self.waits_for = ""
                return

    async def _once(self, work: Callable[[Sequence[T]], None], items: Sequence[T]) -> None:
        """Have the work tried on the handler's thread; each try has its own beginning: one that waits for Redis does not hang."""
        self.busy_since = time.monotonic()
        try:
            await asyncio.get_running_loop().run_in_executor(self._executor, work, items)
        finally:
            self.busy_since = None

    def _handle(self, records: Sequence[Record]) -> None:
        start = time.perf_counter()
        unbearable = self._sift(records)
        in_vain = self._in_vain + len(records) if len(unbearable) == len(records) else 0
        if in_vain > MANY:
            raise unbearable[0][1]  # not the data but the handler is broken: crash loudly, commit nothing
        letters = [Rejected(r.topic, r.partition, r.offset, r.raw_key, r.raw, self._reason(e)) for r, e in unbearable]
        self._bury(letters, "handler")
        self._in_vain = in_vain
        for topic, n in Counter(record.topic for record in records).items():
            self._observer.count("records", topic, n)
        self._observer.took(self.name, time.perf_counter() - start)

    def _sift(self, records: Sequence[Record]) -> list[tuple[Record, Exception]]:
        """Handle ``records``, in halves where that raises; return the single ones that cannot be handled."""
        try:
            self._handler(records)
        except (StoreUnavailable, BrokerUnavailable):
            raise
        except Exception as error:
            if len(records) > 1:
                half = len(records) // 2
                return self._sift(records[:half]) + self._sift(records[half:])
            one = records[0]
            log.exception("unbearable", handler=self.name, topic=one.topic, partition=one.partition, offset=one.offset)
            return [(one, error)]
        return []

    def _reason(self, error: Exception) -> str:
        return f"handler {self.name}: {type(error).__name__}: {error}"

    def _bury_invalid(self, rejected: Sequence[Rejected]) -> None:
        self._bury(rejected, "invalid")

    def _bury(self, rejected: Sequence[Rejected], cause: str) -> None:
        now_ms = self._clock.now_ms()
        for one in rejected:
            # Never the key or the value: visitors' ids are personal data. The coordinates find both (`streamrec dlq list`).
            place = {"topic": one.topic, "partition": one.partition, "offset": one.offset}
            log.warning("rejected", handler=self.name, **place, cause=cause, reason=one.reason)
            source = headers(one.topic, one.partition, one.offset, one.reason, now_ms)
            self._producer.send(DEAD_LETTERS, one.key, one.value, source)
        if not rejected:
            return
        self._producer.flush()
        # Counted once Kafka has them: what is sent again is not another one.
        for topic, n in Counter(one.topic for one in rejected).items():
            self._observer.count("rejected", topic, n)
        self._observer.count("dead_letters", cause, len(rejected))
