"""Joins a reader thread, a Faust channel, an agent and a handler."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

import structlog
from mode import Service

if TYPE_CHECKING:
    from collections.abc import Callable

    import faust
    from faust.types import StreamT

    from workers.transport.batch import RecordBatch
    from workers.transport.reader import Reader
    from workers.transport.runner import Runner

log = structlog.get_logger(__name__)

#: Beyond ``drain_timeout_s``: for the last commit and for leaving the group, which a broker that hangs does not answer.
LEAVE_S: Final = 5.0


class Pipeline(Service):
    """Records of some topics through one handler, batch by batch: thread → channel → agent → runner → commit.

    Faust supervises the agent and the service; stopping reads no more, finishes what is in flight within the reader's bound, and
    commits.
    """

    def __init__(
        self,
        app: faust.App,
        runner: Runner,
        make_reader: Callable[[Callable[[RecordBatch], None], Callable[[Exception], None]], Reader],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.runner = runner
        self._app = app
        self._channel = app.channel()
        self._event_loop: asyncio.AbstractEventLoop | None = None
        #: Whether the agent took up its work and gave it up again, for liveness.
        self.agent_ended = False
        #: When its reader must have left (monotonic seconds); None until it is asked to.
        self._end_by: float | None = None
        self.reader = make_reader(self._deliver, self._failed)
        app.agent(self._channel, name=runner.name)(self._process)

    async def _process(self, batches: StreamT[RecordBatch]) -> None:
        try:
            async for batch in batches:
                await self.runner.run(batch)
                self.reader.done(batch)
        finally:
            self.agent_ended = True

    async def on_start(self) -> None:
        """Start reading."""
        self._event_loop = asyncio.get_running_loop()
        self.reader.start()

    def stop_reading(self) -> None:
        """Read no more; before ``stop``, so that all pipelines of a worker finish what they hold at the same time."""
        self.reader.stop()
        if self._end_by is None:
            self._end_by = time.monotonic() + self.reader.kafka.drain_timeout_s + LEAVE_S

    async def on_stop(self) -> None:
        """Read no more, finish what is in flight, commit."""
        self.stop_reading()
        assert self._end_by is not None
        if self.reader.ident is not None:
            await asyncio.to_thread(self.reader.join, max(self._end_by - time.monotonic(), 0.0))
        if self.reader.is_alive():
            log.warning(
                "did not leave in time, its last commit may be missing: what it covers is done again", reader=self.reader.name
            )

    def _deliver(self, batch: RecordBatch) -> None:
        assert self._event_loop is not None
        asyncio.run_coroutine_threadsafe(self._put(batch), self._event_loop)

    async def _put(self, batch: RecordBatch) -> None:
        await self._channel.put(batch)  # type: ignore[arg-type]  # a channel takes any value

    def _failed(self, error: Exception) -> None:
        assert self._event_loop is not None
        asyncio.run_coroutine_threadsafe(self._app.crash(error), self._event_loop)
