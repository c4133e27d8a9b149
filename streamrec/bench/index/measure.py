"""Figures of one engine: fresh, while a tenth of the items changes again and again, and after that."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streamrec.bench.index.engines import ENGINES, OURS, Engine, Ours
from streamrec.bench.index.memory import anonymous_mb, settled_mb
from streamrec.bench.index.world import Changes, Floats, World
from streamrec.config import IndexSettings

#: Changes that arrive together, and queries asked one by one after each such batch.
BATCH: Final = 20
_ASKED_BETWEEN: Final = 4
#: Vectors widened and inserted at once while an index is filled.
_FILL: Final = 32_768
#: What is as near as this to a changed item's own vector may stand in its place.
_SAME: Final = 0.999

Say = Callable[[str], None]


@dataclass(frozen=True)
class Job:
    """What a process measures: an engine on a world, with the exact scores after each cycle that it must know."""

    engine: str
    settings: IndexSettings
    world: World
    truths: list[Floats]
    #: The state it is filled with is the one after so many cycles.
    from_cycle: int = 0
    #: Name, mask and exact scores of each filter.
    filters: list[tuple[str, NDArray[np.bool_], Floats]] = field(default_factory=list)


class Subject:
    """An engine, filled from a world, and the memory that it has taken since."""

    def __init__(self, job: Job) -> None:
        self.job, self.world = job, job.world
        self.state = self.world.state(job.from_cycle)
        _ = self.world.asked
        # Libraries are loaded, and the linear algebra has its buffers of tens of MB, before memory is taken down.
        ENGINES[job.engine](job.settings, self.world.vectors.shape[1], 1)
        square = np.eye(self.world.vectors.shape[1], dtype=np.float32)
        np.linalg.eigh(self.world.asked.T @ self.world.asked + square @ square)
        self._before_mb = settled_mb()
        self.engine: Engine = ENGINES[job.engine](job.settings, self.world.vectors.shape[1], self.world.items)
        start = time.perf_counter()
        for labels in _slices(self.world.items, _FILL):
            self.engine.fill(labels, self.world.wide(self.state.rows[labels]))
        self.engine.settle()
        self.build_s = time.perf_counter() - start
        self.engine.hide(np.flatnonzero(self.state.hidden).astype(np.int32))

    @property
    def memory_mb(self) -> float:
        """Memory taken since before the engine was made, free memory given back."""
        return settled_mb() - self._before_mb

    @property
    def memory_now_mb(self) -> float:
        """The same without giving anything back."""
        return anonymous_mb() - self._before_mb

    def figures(self, truth: Floats) -> dict[str, float]:
        """Return recall, latencies of single queries, the rate of queries asked together, and memory, as things stand."""
        world, memory_mb = self.world, self.memory_mb
        self.engine.search(world.asked[:BATCH], world.k)
        latencies = [_seconds(lambda i=i: self.engine.search(world.asked[i : i + 1], world.k)) for i in range(world.queries)]  # type: ignore[misc]
        start = time.perf_counter()
        found = self.engine.search(world.asked, world.k)
        together_s = time.perf_counter() - start
        each = world.recall(found, truth, self.state)
        return {
            **recalls(each),
            **percentiles(latencies),
            "queries_per_s": round(world.queries / together_s),
            "memory_mb": round(memory_mb, 1),
            "bytes_per_item": round(memory_mb * 1e6 / world.items),
        }

    def fresh(self, truth: Floats) -> dict[str, float]:
        """Return the figures of an index just built, with the rate of building it."""
        return {**self.figures(truth), "inserts_per_s": round(self.world.items / self.build_s)}

    def cycle(self, number: int, truth: Floats) -> dict[str, float]:
        """Change what changes in a cycle, in batches with queries between them, and return the figures during it and after it."""
        changes = self.world.changes(number, self.state)
        watch = _Watch(self)
        for part in _batches(changes):
            watch.apply(part)
        waited_s = _seconds(self.engine.settle)
        return {
            **self.figures(truth),
            "updates_per_s": round(len(changes.labels) / max(sum(watch.change_s), 1e-9)),
            **{f"during_{name}": value for name, value in percentiles(watch.query_s).items()},
            "peak_mb": round(watch.peak_mb, 1),
            "waited_s": round(waited_s, 2),
            "missing": watch.missing,
            "sold_out_shown": watch.sold_out_shown,
        }

    def filtered(self, mask: NDArray[np.bool_], truth: Floats) -> dict[str, float]:
        """Return recall and latency of our index where only the labels of a mask are allowed."""
        assert isinstance(self.engine, Ours)  # the peers are not asked with masks
        index, world = self.engine.index, self.world
        found = np.empty((world.queries, world.k), np.int32)
        latencies = []
        for i in range(world.queries):
            start = time.perf_counter()
            found[i] = index.search(world.asked[i : i + 1], world.k, mask)[0][0]
            latencies.append(time.perf_counter() - start)
        return {**recalls(world.recall(found, truth, self.state, mask)), **percentiles(latencies)}


class _Watch:
    """Applies batches of changes and asks between them: timed queries, and every changed item by its own new vector."""

    def __init__(self, subject: Subject) -> None:
        self._subject, self._next = subject, 0
        self.change_s: list[float] = []
        self.query_s: list[float] = []
        self.peak_mb, self.missing, self.sold_out_shown = 0.0, 0, 0

    def apply(self, part: Changes) -> None:
        subject = self._subject
        engine, world = subject.engine, subject.world
        vectors = world.wide(part.rows)
        self.change_s.append(_seconds(lambda: engine.change(part.labels, vectors)))
        subject.state.rows[part.labels] = part.rows
        self._look_for(part.labels)
        engine.hide(part.sold_out)
        engine.show(part.returned, world.wide(subject.state.rows[part.returned]))
        subject.state.hidden[part.sold_out], subject.state.hidden[part.returned] = True, False
        self._look_for(np.concatenate([part.labels, part.returned]))
        for _ in range(_ASKED_BETWEEN):
            self._ask()
        self.peak_mb = max(self.peak_mb, subject.memory_now_mb)

    def _ask(self) -> None:
        world, engine = self._subject.world, self._subject.engine
        query = world.asked[self._next : self._next + 1]
        self._next = (self._next + 1) % world.queries
        start = time.perf_counter()
        found = engine.search(query, world.k)
        self.query_s.append(time.perf_counter() - start)
        self.sold_out_shown += int(self._subject.state.hidden[found[found >= 0]].sum())

    def _look_for(self, labels: NDArray[np.int32]) -> None:
        """Count labels on sale that their own vector does not find, unless k others are as near to it."""
        world, state = self._subject.world, self._subject.state
        labels = labels[~state.hidden[labels]]
        if not len(labels):
            return
        vectors = world.wide(state.rows[labels])
        found = self._subject.engine.search(vectors, world.k)
        for i in np.flatnonzero(~(found == labels[:, None]).any(axis=1)).tolist():
            others = found[i][found[i] >= 0]
            self.missing += len(others) < world.k or bool((world.wide(state.rows[others]) @ vectors[i] < _SAME).any())


def measure(job: Job, say: Say | None = None) -> dict[str, Any]:
    """Fill an engine and return its figures: ``fresh``, those of the filters, and ``cycles`` for each further truth."""
    subject = Subject(job)
    result: dict[str, Any] = {"fresh": subject.fresh(job.truths[0])}
    if job.engine == OURS:
        result["filters"] = {name: subject.filtered(mask, truth) for name, mask, truth in job.filters}
    result["cycles"] = []
    for number, truth in enumerate(job.truths[1:]):
        result["cycles"].append({"cycle": number + 1, **subject.cycle(number, truth)})
        if say:
            say(f"{job.engine}: cycle {number + 1} of {len(job.truths) - 1}")
    return result


def recalls(each: NDArray[np.float64]) -> dict[str, float]:
    """Return the mean and the lowest recall of queries."""
    return {"recall_at_10": round(float(each.mean()), 4), "worst_recall": round(float(each.min()), 4)}


def percentiles(seconds: list[float]) -> dict[str, float]:
    """Return the median and the 99th percentile in milliseconds."""
    p50, p99 = np.percentile(np.array(seconds or [0.0]) * 1000, [50, 99])
    return {"p50_ms": round(float(p50), 3), "p99_ms": round(float(p99), 3)}


def _slices(n: int, size: int) -> Iterator[NDArray[np.int32]]:
    return (np.arange(start, min(start + size, n), dtype=np.int32) for start in range(0, n, size))


def _batches(changes: Changes) -> Iterator[Changes]:
    """Yield a cycle's changes in as many parts as hold at most ``BATCH`` new vectors each, the rest spread evenly over them."""
    parts = max(1, -(-len(changes.labels) // BATCH))
    columns = (np.array_split(column, parts) for column in (changes.labels, changes.rows, changes.sold_out, changes.returned))
    return (Changes(*part) for part in zip(*columns, strict=True))


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
