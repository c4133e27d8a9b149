"""Joins a reader thread, a Faust channel, an agent and a handler."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from mode import Service

if TYPE_CHECKING:
    from collections.abc import Callable

    import faust
    from faust.types import StreamT

    from workers.transport.batch import RecordBatch
    from workers.transport.reader import Reader
    from workers.transport.runner import Runner


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

    async def on_stop(self) -> None:
        """Read no more, finish what is in flight, commit."""
        self.reader.stop()
        await asyncio.to_thread(self.reader.join, self.reader.kafka.drain_timeout_s + 5.0)

    def _deliver(self, batch: RecordBatch) -> None:
        assert self._event_loop is not None
        asyncio.run_coroutine_threadsafe(self._put(batch), self._event_loop)

    async def _put(self, batch: RecordBatch) -> None:
        await self._channel.put(batch)  # type: ignore[arg-type]  # a channel takes any value

    def _failed(self, error: Exception) -> None:
        assert self._event_loop is not None
        asyncio.run_coroutine_threadsafe(self._app.crash(error), self._event_loop)
