"""Who is in the shop: the visitors that the replay has seen lately, bounded, safe to use from two threads."""

from __future__ import annotations

from collections import OrderedDict
from random import Random
from threading import Lock


class Visitors:
    """The newest ``limit`` visitors with the moment of their last event."""

    def __init__(self, limit: int = 5_000) -> None:
        self._limit = limit
        self._last: OrderedDict[str, int] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._last)

    def saw(self, user_id: str, at_ns: int) -> None:
        """Remember that the visitor did something at ``at_ns``."""
        with self._lock:
            self._last[user_id] = at_ns
            self._last.move_to_end(user_id)
            if len(self._last) > self._limit:
                self._last.popitem(last=False)

    def last_ns(self, user_id: str) -> int:
        """Return when the visitor last did something, 0 if unknown."""
        return self._last.get(user_id, 0)

    def newest(self) -> str:
        """Return who did something last; empty when nobody did anything yet."""
        with self._lock:
            return next(reversed(self._last), "")

    def sample(self, count: int, rng: Random) -> list[str]:
        """Return up to ``count`` visitors, chosen at random."""
        with self._lock:
            known = list(self._last)
        return rng.sample(known, min(count, len(known)))
