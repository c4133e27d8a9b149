"""Outcomes as log lines."""

from __future__ import annotations

from typing import Any, Final

import structlog

#: Outcomes that somebody should look at; the others happen thousands of times a second and are for debugging.
_ALARMING: Final = frozenset({"rejected", "failed", "lost", "dropped"})


class LogObserver:
    """Writes refused and failed work as warnings and everything else at debug level."""

    def __init__(self, log: Any = None) -> None:
        self._log = log if log is not None else structlog.get_logger("streamrec.outcomes")

    def count(self, name: str, kind: str, n: int = 1) -> None:
        """Log ``name`` with its kind and number."""
        say = self._log.warning if name in _ALARMING else self._log.debug
        say(name, kind=kind, n=n)

    def fresh(self, kind: str, age_ms: float) -> None:
        """Log how old the event was when its effect became visible."""
        self._log.debug("fresh", kind=kind, age_ms=age_ms)

    def took(self, name: str, seconds: float) -> None:
        """Log how long the work took."""
        self._log.debug("took", name=name, seconds=seconds)

    def size(self, name: str, n: int) -> None:
        """Log how many records were handed over at once."""
        self._log.debug("size", name=name, n=n)
