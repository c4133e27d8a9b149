"""What is to be done when: steps at a moment or again and again, done by one thread that asks for what is due."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from random import Random


class Agenda:
    """Steps in order of their time; ``stop`` ends what repeats, and what was begun comes to its end. Used from one thread."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._steps: list[tuple[float, int, Callable[[], None]]] = []
        self._entries = 0
        self._stopped = False

    @property
    def pending(self) -> int:
        """Return how many steps wait for their time."""
        return len(self._steps)

    def tick(self) -> None:
        """Do what is due."""
        now_s = time.monotonic()
        while self._steps and self._steps[0][0] <= now_s:
            heapq.heappop(self._steps)[2]()

    def stop(self) -> None:
        """Repeat nothing any more."""
        self._stopped = True

    def at(self, delay_s: float, act: Callable[[], None]) -> None:
        """Do it once, in ``delay_s`` seconds."""
        self._entries += 1
        heapq.heappush(self._steps, (time.monotonic() + delay_s, self._entries, act))

    def every(self, rate: float, act: Callable[[], None]) -> None:
        """Do it ``rate`` times per second, the first time somewhere in the first interval; a rate of 0 does nothing."""
        if rate <= 0:
            return

        def again() -> None:
            if not self._stopped:
                self.at(1.0 / rate, again)
                act()

        self.at(self._rng.random() / rate, again)
