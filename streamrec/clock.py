"""The one place where time is read; everywhere else it is an argument called ``now_ms``."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time in milliseconds since the epoch, UTC."""

    def now_ms(self) -> int:
        """Return the present moment."""
        ...


class SystemClock:
    """The clock of the machine."""

    def now_ms(self) -> int:
        """Return the machine's time in milliseconds since the epoch, UTC."""
        return time.time_ns() // 1_000_000


class ManualClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, now_ms: int = 1_767_225_600_000) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        """Return the moment that was set last."""
        return self._now_ms

    def advance(self, ms: int) -> None:
        """Move forward by ``ms`` milliseconds."""
        self._now_ms += ms
