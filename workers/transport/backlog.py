"""What of each partition waits: how many records are not handled yet, and for how long the oldest of them is known to wait."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from workers.transport.batch import Place

#: Moments remembered per partition; past it every second one is forgotten, so that the ages of long waits are coarser.
MOMENTS: Final = 64


class _Partition:
    """One partition: up to where it is handled, and when its end was seen where."""

    __slots__ = ("end", "gap_s", "handled", "seen")

    def __init__(self, handled: int | None) -> None:
        #: The next offset that is not handled; None until anything is known.
        self.handled = handled
        self.end = -1
        #: (end, since when it is known), oldest first; only ends beyond ``handled``.
        self.seen: deque[tuple[int, float]] = deque()
        #: How far two of them are apart at least; it grows with the wait.
        self.gap_s = 0.0

    def reach(self, handled: int) -> None:
        if handled < (self.handled or 0):  # read again, or the topic was made anew: what we knew of its end may not hold
            self.end = -1
            self.seen.clear()
        self.handled = handled
        while self.seen and self.seen[0][0] <= handled:
            self.seen.popleft()

    def see(self, end: int, now_s: float) -> None:
        if self.handled is None:
            self.handled = end  # nothing was delivered yet: what comes from now on is what we can know of
        self.end = max(self.end, end)
        if not self.seen:
            self.gap_s = 0.0
            if self.end > self.handled:
                self.seen.append((self.end, now_s))
        elif self.end > self.seen[-1][0] and now_s - self.seen[-1][1] >= self.gap_s:
            self.seen.append((self.end, now_s))
        if len(self.seen) > MOMENTS:
            self.gap_s = 2 * (self.seen[-1][1] - self.seen[0][1]) / MOMENTS
            self.seen = deque(moment for i, moment in enumerate(self.seen) if i % 2 == 0)

    @property
    def records(self) -> int:
        return max(self.end - (self.end if self.handled is None else self.handled), 0)


class Backlog:
    """The partitions of one reader; every method may be called from any thread, none per record.

    An age is the time since we saw an end beyond the oldest unhandled record, on our own clock. The record's timestamp would be
    wrong: one who replays last year's events, or reads a compacted topic again, has no year of lag. What waited before a
    partition became ours is not counted until it is delivered.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._partitions: dict[Place, _Partition] = {}

    def done(self, next_offsets: Mapping[Place, int]) -> None:
        """Hear that everything before these offsets is handled."""
        with self._lock:
            for place, offset in next_offsets.items():
                partition = self._partitions.get(place)
                if partition is None:
                    partition = self._partitions[place] = _Partition(offset)
                partition.reach(offset)

    def look(self, place: Place, position: int, end: int, now_s: float, held: Callable[[], int] | None = None) -> None:
        """Hear where a reader stands: the next offset that it will deliver and the partition's end; negative: not known.

        ``held`` returns the first offset that was delivered and is not done; None: there is none. It is called only where that is
        not known from what was done before.
        """
        with self._lock:
            partition = self._partitions.setdefault(place, _Partition(None))
            if position >= 0 and held is None:
                partition.reach(position)
            elif position >= 0 and held is not None and (partition.handled is None or partition.handled >= position):
                partition.reach(held())
            if end >= 0:
                partition.see(end, now_s)

    def ends(self, ends: Mapping[Place, int], now_s: float) -> None:
        """Hear the ends of partitions from somebody else; those that are not ours are passed over."""
        with self._lock:
            for place, end in ends.items():
                if place in self._partitions and end >= 0:
                    self._partitions[place].see(end, now_s)

    def handled(self, place: Place) -> int | None:
        """Return the partition's first offset that is not handled; None where nothing is known of it."""
        with self._lock:
            partition = self._partitions.get(place)
            return None if partition is None else partition.handled

    def keep(self, places: Collection[Place]) -> None:
        """Forget all partitions but these."""
        with self._lock:
            for place in self._partitions.keys() - set(places):
                del self._partitions[place]

    @property
    def records(self) -> dict[Place, int]:
        """Per partition, how many records are known to lie beyond what is handled."""
        with self._lock:
            return {place: partition.records for place, partition in self._partitions.items()}

    def ages_s(self, now_s: float) -> dict[Place, float]:
        """Return per partition for how many seconds the oldest unhandled record is known to wait; 0 where none does."""
        with self._lock:
            return {place: now_s - p.seen[0][1] if p.seen else 0.0 for place, p in self._partitions.items()}
