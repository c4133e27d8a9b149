"""Outcomes as Prometheus metrics.

``streamrec_<name>_total{kind}`` for every counted name (``counters.py``), ``streamrec_freshness_seconds{kind}`` (event
time → visible in Redis), ``streamrec_work_seconds{name}`` and ``streamrec_batch_records{name}``.
"""

from __future__ import annotations

import re
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from streamrec.observing.counters import COUNTERS

_FRESHNESS_BUCKETS_S: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_WORK_BUCKETS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_BATCH_BUCKETS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
_OTHER: Final = "other"


class PrometheusObserver:
    """Counts and measures into a registry of its own; ``exposition`` is what /metrics answers.

    Names and kinds are constants of the code, so there are few; past ``max_series`` of a metric the rest is called ``other``.
    """

    def __init__(self, registry: CollectorRegistry | None = None, *, max_series: int = 256) -> None:
        self._registry = registry if registry is not None else CollectorRegistry()
        self._max_series = max_series
        self._counters: dict[str, Counter] = {}
        self._children: dict[tuple[str, str], Counter] = {}
        self._ages: dict[str, Histogram] = {}
        self._times: dict[str, Histogram] = {}
        self._sizes: dict[str, Histogram] = {}
        self._freshness = Histogram(
            "streamrec_freshness_seconds",
            "From an event's time until its effect is visible in Redis.",
            ["kind"],
            registry=self._registry,
            buckets=_FRESHNESS_BUCKETS_S,
        )
        self._work = Histogram(
            "streamrec_work_seconds",
            "How long one piece of work takes.",
            ["name"],
            registry=self._registry,
            buckets=_WORK_BUCKETS_S,
        )
        self._batch = Histogram(
            "streamrec_batch_records",
            "How many records a handler is handed at once.",
            ["name"],
            registry=self._registry,
            buckets=_BATCH_BUCKETS,
        )
        for name in COUNTERS:
            self._counter(name)

    def count(self, name: str, kind: str, n: int = 1) -> None:
        """Add ``n`` to ``streamrec_<name>_total{kind}``."""
        child = self._children.get((name, kind))
        if child is None:
            child = self._child(name, kind)
        child.inc(max(n, 0))  # a counter refuses to fall, and an observer never raises

    def fresh(self, kind: str, age_ms: float) -> None:
        """Observe an age; one from a clock that runs ahead of ours counts as zero."""
        self._of(self._freshness, self._ages, kind).observe(max(age_ms, 0.0) / 1000)

    def took(self, name: str, seconds: float) -> None:
        """Observe the duration of a piece of work."""
        self._of(self._work, self._times, name).observe(seconds)

    def size(self, name: str, n: int) -> None:
        """Observe the size of a batch."""
        self._of(self._batch, self._sizes, name).observe(n)

    def exposition(self) -> bytes:
        """Return every metric in Prometheus' text format."""
        return generate_latest(self._registry)

    def _child(self, name: str, kind: str) -> Counter:
        kind = kind if len(self._children) < self._max_series else _OTHER
        return self._children.setdefault((name, kind), self._counter(name).labels(kind=kind))

    def _counter(self, name: str) -> Counter:
        known = name if name in self._counters or len(self._counters) < self._max_series else _OTHER
        safe = re.sub(r"\W", "_", known, flags=re.ASCII)
        if safe not in self._counters:
            told = COUNTERS.get(name, f"How often: {safe}.")
            self._counters[safe] = Counter(f"streamrec_{safe}", told, ["kind"], registry=self._registry)
        return self._counters[safe]

    def _of(self, metric: Histogram, children: dict[str, Histogram], label: str) -> Histogram:
        child = children.get(label)
        if child is None:
            label = label if len(children) < self._max_series else _OTHER
            child = children.setdefault(label, metric.labels(label))
        return child
