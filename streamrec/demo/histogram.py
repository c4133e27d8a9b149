"""Durations without a list of them: counts in buckets that grow by a fiftieth, so that a percentile is known to two per cent."""

from __future__ import annotations

import math
from collections import Counter
from typing import Final

_FIRST_US: Final = 1.0
_STEP: Final = math.log(1.02)


class Histogram:
    """Any number of durations in some hundred counters; a percentile is its bucket's upper end, so never too good."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self.n = 0
        self.max_ms = 0.0

    def add(self, ms: float) -> None:
        """Count one duration."""
        self._counts[max(math.ceil(math.log(max(1000.0 * ms, _FIRST_US) / _FIRST_US) / _STEP), 0)] += 1
        self.n += 1
        self.max_ms = max(self.max_ms, ms)

    def merge(self, other: Histogram) -> None:
        """Count what another one counted too."""
        self._counts += other._counts
        self.n += other.n
        self.max_ms = max(self.max_ms, other.max_ms)

    def percentile(self, share: float) -> float | None:
        """Return the duration in ms that ``share`` of all do not exceed; None where there is none.

        >>> found = Histogram()
        >>> for ms in (1.0, 1.0, 1.0, 50.0):
        ...     found.add(ms)
        >>> round(found.percentile(0.5)), round(found.percentile(0.99))
        (1, 50)
        """
        wanted = max(math.ceil(share * self.n), 1)
        passed = 0
        for bucket in sorted(self._counts):
            passed += self._counts[bucket]
            if passed >= wanted:
                return min(_FIRST_US * math.exp(bucket * _STEP) / 1000.0, self.max_ms)
        return None
