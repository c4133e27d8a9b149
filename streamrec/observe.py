"""What happened, told to whoever listens: the core reports outcomes, logs and Prometheus are two observers.

An observer never decides anything and never raises.
"""

from __future__ import annotations

from collections import Counter
from typing import Protocol


class Observer(Protocol):
    """Hears of outcomes; ``kind`` is a short constant such as ``events.clicks`` or ``soldout``."""

    def count(self, name: str, kind: str, n: int = 1) -> None:
        """Hear that ``name`` (records, rejected, lists_pushed, …) happened ``n`` times for ``kind``."""
        ...

    def fresh(self, kind: str, age_ms: float) -> None:
        """Hear that the effect of an event became visible in Redis ``age_ms`` after its event time."""
        ...

    def took(self, name: str, seconds: float) -> None:
        """Hear that one piece of work called ``name`` took ``seconds``."""
        ...

    def size(self, name: str, n: int) -> None:
        """Hear that ``name`` was handed ``n`` records at once."""
        ...


class Silence:
    """Hears nothing; the default where nobody listens."""

    def count(self, name: str, kind: str, n: int = 1) -> None:
        """Ignore it."""

    def fresh(self, kind: str, age_ms: float) -> None:
        """Ignore it."""

    def took(self, name: str, seconds: float) -> None:
        """Ignore it."""

    def size(self, name: str, n: int) -> None:
        """Ignore it."""


class Memory:
    """Remembers everything; for tests, so it is not bounded."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.ages: list[tuple[str, float]] = []
        self.times: list[tuple[str, float]] = []
        self.sizes: list[tuple[str, int]] = []

    def count(self, name: str, kind: str, n: int = 1) -> None:
        """Add to the counter of (name, kind)."""
        self.counts[name, kind] += n

    def fresh(self, kind: str, age_ms: float) -> None:
        """Keep the age."""
        self.ages.append((kind, age_ms))

    def took(self, name: str, seconds: float) -> None:
        """Keep the time."""
        self.times.append((name, seconds))

    def size(self, name: str, n: int) -> None:
        """Keep the size."""
        self.sizes.append((name, n))
