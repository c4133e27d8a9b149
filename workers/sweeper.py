"""Repeats a small piece of work on a role's core thread, between its batches."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from mode import Service

from streamrec.errors import StoreUnavailable

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor


class Sweeper(Service):
    """Calls ``work`` every ``interval_s`` seconds once every event of ``after`` has happened, and again at once if it returns True.

    A store that is away is waited for; any other error crashes the worker, loudly.
    """

    def __init__(
        self, core: Executor, work: Callable[[], bool | None], interval_s: float, after: Sequence[threading.Event], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._core = core
        self._work = work
        self._interval_s = interval_s
        self._after = after
        #: Since when the work runs, for liveness (monotonic seconds); None while it does not.
        self.busy_since: float | None = None

    @Service.task
    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while not self.should_stop:
            if all(event.is_set() for event in self._after):
                self.busy_since = time.monotonic()
                try:
                    # What came in meanwhile waits for the same thread, and is done in between.
                    if await loop.run_in_executor(self._core, self._work):
                        continue
                except StoreUnavailable as error:
                    self.log.warning("sweep: %s", error)
                finally:
                    self.busy_since = None
            await self.sleep(self._interval_s)
