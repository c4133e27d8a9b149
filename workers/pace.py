"""How much the embedder does at once, and how far it may run ahead of those who index what it makes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog

from streamrec.errors import StoreUnavailable
from streamrec.lists import keys
from streamrec.lists.functions import call

if TYPE_CHECKING:
    from collections.abc import Callable

    import redis

log = structlog.get_logger(__name__)

#: Whoever waits for the embedder's thread waits for one slice of each lane before it.
SHORT_S, LONG_S = 0.02, 0.06
SMALLEST, LARGEST = 8, 1024
#: A live vector waits in item-vectors for as much of the slowest recommender's work, in seconds and at least so many vectors.
AHEAD_S, AHEAD = 0.15, 256
#: Positions are read so often, and count for so long.
LOOK_S, FRESH_MS = 0.05, 5_000
#: Who has nothing to do says so as often: who is silent is no longer counted.
REPEAT_S = 1.0
#: A Redis that is away answers late: it is not asked for so long.
AWAY_S = 5.0
#: A recommender that does not move at all holds nobody up for longer than this, per slice.
PATIENCE_S = 3.0


class Slices:
    """How many items make up a slice: as many as take some tens of milliseconds on this machine, by this model."""

    def __init__(self, size: int = 32) -> None:
        self.size = size

    def took(self, items: int, seconds: float) -> None:
        """Hear how long a slice of so many changed items took."""
        if seconds > LONG_S:
            self.size = max(self.size // 2, SMALLEST)
        elif seconds < SHORT_S and items >= self.size:
            self.size = min(self.size * 2, LARGEST)


class IndexedSoFar:
    """Tells embedders how far in item-vectors this recommender is, the sum of its partitions' offsets, and how quick it is.

    How quick is measured while it works: what it was given in a second would say how much the embedders gave.
    """

    def __init__(self, client: redis.Redis, worker_id: str, every_s: float = 0.1) -> None:
        self._client = client
        self._worker_id = worker_id
        self._every_s = every_s
        self._rate = 0.0
        self._told = -1
        self._next = 0.0

    def worked(self, vectors: int, seconds: float) -> None:
        """Hear how long a batch of so many vectors took, with the time that it waited for its turn."""
        if vectors and seconds > 0:
            share = min(vectors / 1000, 0.3)  # a batch of one or two says little
            self._rate += share * (vectors / seconds - self._rate) if self._rate else vectors / seconds

    def tell(self, position: int, now_ms: int) -> None:
        """Tell it unless it was told just now, and again while nothing comes. A Redis that is away hears it later."""
        now = time.monotonic()
        if now < (self._next if position != self._told else self._next + REPEAT_S):
            return
        self._next = now + self._every_s
        try:
            call(
                self._client,
                ("HSET", keys.INDEXED, self._worker_id, f"{position} {now_ms} {self._rate:.0f}"),
                "telling what is indexed",
            )
            call(self._client, ("EXPIRE", keys.INDEXED, keys.INDEXED_TTL_S), "telling what is indexed")
        except StoreUnavailable as error:
            log.info("not told what is indexed", error=str(error))
            self._next = time.monotonic() + AWAY_S
            return
        self._told = position


class Pressure:
    """Holds back what nobody waits for while the slowest living recommender has too much before it.

    ``made`` returns the sum of the offsets of all that is in item-vectors. Without Redis nobody is held back.
    """

    def __init__(self, client: redis.Redis, made: Callable[[], int], now_ms: Callable[[], int]) -> None:
        self._client = client
        self._made = made
        self._now_ms = now_ms
        self._ask_at = 0.0

    def wait(self, stop: Callable[[], bool]) -> int:
        """Return how many vectors there is room for: when there is any, when ``stop`` says so, or when patience is over."""
        deadline = time.monotonic() + PATIENCE_S
        while (room := self.room()) < SMALLEST and not stop() and time.monotonic() < deadline:
            time.sleep(LOOK_S)
        return max(room, SMALLEST)

    def room(self) -> int:
        """Return how many vectors the slowest recommender takes in ``AHEAD_S`` besides those that it has before it."""
        positions, made = self._positions(), self._made()
        return min((int(max(AHEAD, AHEAD_S * rate)) - (made - at) for at, rate in positions), default=LARGEST)

    def _positions(self) -> list[tuple[int, int]]:
        """Return where each living recommender is, and how many vectors it takes in a second of work."""
        if time.monotonic() < self._ask_at:
            return []
        try:
            told = call(self._client, ("HGETALL", keys.INDEXED), "reading what is indexed")
        except StoreUnavailable:
            self._ask_at = time.monotonic() + AWAY_S
            return []
        oldest = self._now_ms() - FRESH_MS
        values = told.values() if isinstance(told, dict) else told[1::2]
        known = [tuple(map(int, value.split())) for value in values]
        return [(at, rate) for at, when, rate in known if when >= oldest]
