"""The data's own time → now: when a record is published, and what its timestamps become.

A demo that replayed timestamps of 2017 could not measure freshness, so every record's ``ts`` becomes the moment of its publishing.
Records go out at a rate, not at the pace of the data: a year of groceries passes in minutes.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from streamrec.demo.data import Record
from streamrec.events import Campaign
from streamrec.events.topics import CAMPAIGNS

#: Adaptive pacing: where the delay of clicks is above it, publishing slows down; well below it, it speeds up again.
TARGET_DELAY_MS: Final = 400.0
_WELL_BELOW: Final = 0.6
_SLOWER, _FASTER = 0.8, 1.1
#: However late the machine is, some events must flow, or nothing could be measured.
MIN_RATE: Final = 20.0


class Rebaser:
    """Moves records to the present; remembers the campaigns in force, so that each ends when the data's clock passes its end."""

    def __init__(self, max_campaigns: int = 10_000) -> None:
        self._ends: list[tuple[int, str]] = []
        self._max_campaigns = max_campaigns

    def due(self, at_ms: int) -> Iterator[Record]:
        """Yield cancellations of the campaigns that have ended when the data's clock shows ``at_ms``."""
        while self._ends and self._ends[0][0] <= at_ms:
            ends_at, campaign_id = heapq.heappop(self._ends)
            yield Record(ends_at, CAMPAIGNS, campaign_id, None)

    def rebase(self, record: Record, now_ms: int) -> Record:
        """Return the record as if it happened at ``now_ms``; a campaign keeps its length until its end is ``due``."""
        value = record.value
        if value is None:
            return record._replace(at_ms=now_ms)
        if isinstance(value, Campaign):
            if len(self._ends) < self._max_campaigns:
                heapq.heappush(self._ends, (value.ends_at, record.key))
            shift_ms = now_ms - record.at_ms
            value = msgspec.structs.replace(
                value, ts=now_ms, starts_at=value.starts_at + shift_ms, ends_at=max(value.ends_at + shift_ms, now_ms + 1)
            )
        else:
            value = msgspec.structs.replace(value, ts=now_ms)
        return Record(now_ms, record.topic, record.key, value)


class Pacer:
    """Lets events through at ``rate`` per second, at most; ``observe`` slows it down where delays grow.

    ``clock`` returns seconds of a monotonic clock, ``sleep`` waits for seconds.
    """

    def __init__(self, rate: float, clock: Callable[[], float], sleep: Callable[[float], object]) -> None:
        self.rate = self.lowest = rate
        self._wanted = rate
        self._clock, self._sleep = clock, sleep
        self._next = clock()

    def wait(self) -> None:
        """Return when the next event may go; time that was lost is not caught up by a burst of more than a tenth of a second."""
        now = self._clock()
        if self._next > now:
            self._sleep(self._next - now)
        self._next = max(self._next, now - 0.1) + 1.0 / self.rate

    def observe(self, delay_ms: float) -> None:
        """Adjust the rate to a recent delay of clicks; it stays between ``MIN_RATE`` and the wanted rate."""
        if delay_ms > TARGET_DELAY_MS:
            self.rate = max(self.rate * _SLOWER, min(MIN_RATE, self._wanted))
            self.lowest = min(self.lowest, self.rate)
        elif delay_ms < TARGET_DELAY_MS * _WELL_BELOW:
            self.rate = min(self.rate * _FASTER, self._wanted)
