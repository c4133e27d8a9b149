"""The end of a worker within a bound, whatever hangs: a handler, a broker that no longer answers, Redis."""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger(__name__)

#: Beyond ``drain_timeout_s``, which readers take at the same time: for leaving groups, the heartbeat and the web server.
MARGIN_S: Final = 10.0
#: The exit status of a worker that was cut off (EX_TEMPFAIL): whoever takes its partitions reads again what it held.
CUT_OFF: Final = 75


class Bound:
    """Ends the process ``limit_s`` seconds after ``begin`` unless it has ended by itself; ``held`` says what it still held.

    A thread that hangs in a library cannot be stopped, and Python waits for it at exit. Nothing is lost by not waiting: what was
    not committed is read again, and effects are idempotent.
    """

    def __init__(self, limit_s: float, held: Callable[[], list[str]], end: Callable[[int], object] = os._exit) -> None:
        self._limit_s = limit_s
        self._held = held
        self._end = end
        self._begun = False

    def begin(self) -> None:
        """Let the time run; a second call changes nothing."""
        if self._begun:
            return
        self._begun = True
        timer = threading.Timer(self._limit_s, self._cut_off)
        timer.daemon = True  # it must not be what the process waits for
        timer.start()

    def _cut_off(self) -> None:
        log.error("cut off", after_s=self._limit_s, held=self._held(), status=CUT_OFF)
        sys.stderr.flush()
        self._end(CUT_OFF)
