"""Writes again what Redis lost of that which is held in memory."""

from __future__ import annotations

from typing import Final

from streamrec.clock import Clock
from streamrec.lists.continuity import Watch
from streamrec.observe import Observer
from streamrec.recommender.fallbacks import Fallbacks
from streamrec.recommender.upkeep import Upkeep

#: How often Redis is asked: a lost list is missed for so long before anybody notices.
LOOK_MS: Final = 1000


class Recovery:
    """Has every fallback and item list pushed again, and visitors' lists looked at again, once Redis may have lost any."""

    def __init__(self, watch: Watch, upkeep: Upkeep, fallbacks: Fallbacks, clock: Clock, observer: Observer) -> None:
        self._watch = watch
        self._upkeep = upkeep
        self._fallbacks = fallbacks
        self._clock = clock
        self._observer = observer
        self._look_at_ms = 0
        self._lost = False

    def tick(self) -> None:
        """Look, if it is time to, and recover. Raises StoreUnavailable; what was not done is then due at the next tick."""
        now_ms = self._clock.now_ms()
        if now_ms >= self._look_at_ms:
            found = self._watch.look()
            self._look_at_ms = now_ms + LOOK_MS
            if found != "same":
                self._observer.count("store_losses", found)
                self._lost = True
        if self._lost:
            self._upkeep.adopt()
            self._fallbacks.lost()
            self._lost = False
