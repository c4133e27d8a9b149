"""Exact search beside the graph: by numpy, and by ONNX with each storage, at several sizes and numbers of queries at once.

All indexes of a size are in one process and take turns, so that whatever else the machine does falls on all of them alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing import get_context
from typing import Any, Final

import numpy as np

from streamrec.bench.index.measure import percentiles
from streamrec.bench.index.memory import settled_mb
from streamrec.bench.index.world import Floats, World
from streamrec.config import IndexSettings
from streamrec.errors import DataError, VectorIndexError
from streamrec.index import ExactIndex, VectorIndex
from streamrec.index.hnsw import build_hnsw
from streamrec.index.onnx_exact import build_exact

#: Queries at once: a search, the visitors that are ranked together, many of them.
BATCHES: Final = (1, 16, 256)
#: What a recommender asks for each interest: half as many again as its 60 candidates, so that some may sell out.
K: Final = 91
_ROUNDS: Final = {1: 300, 16: 60, 256: 8}
_LEAST_ROUNDS: Final = 3
#: Vectors written at once while an index is filled, and while some change.
_FILL: Final = 32_768
_CHANGED_AT_ONCE: Final = 20
_CHANGED: Final = 1000
GRAPH: Final = "hnsw"


@dataclass(frozen=True)
class Comparison:
    """What a process measures: the indexes on a world; ``budget_s`` is for the searches of each batch size."""

    world: World
    settings: IndexSettings
    batches: Sequence[int] = BATCHES
    budget_s: float = 40.0


def makers(settings: IndexSettings, dim: int, items: int) -> dict[str, Callable[[], VectorIndex]]:
    """Return what is compared: the graph as it is configured, exact search by numpy, by ONNX on the CPU, and on a GPU."""
    room = settings.model_copy(update={"max_items": items})

    def onnx(**chosen: Any) -> Callable[[], VectorIndex]:
        return lambda: build_exact(room.model_copy(update=chosen), dim)

    return {
        GRAPH: lambda: build_hnsw(room, dim),
        "numpy": lambda: ExactIndex(dim, items),
        **{storage: onnx(provider="cpu", exact_storage=storage) for storage in ("float32", "float16", "int8")},
        "gpu": onnx(provider="cuda", exact_storage="auto"),
    }


def compare(job: Comparison) -> dict[str, Any]:
    """Return the figures of each index: recalls, memory, rates of writing, and ``batches`` with rates and latencies."""
    world, state = job.world, job.world.state(0)
    truth = world.exact(state)
    indexes, engines, missing = _filled(job)
    for name, index in indexes.items():
        few = index.search(world.asked, 10)[0]
        engines[name]["recall_at_10"] = round(float(world.recall(few, truth[:, :10], state).mean()), 4)
        engines[name][f"recall_at_{world.k}"] = round(
            float(world.recall(index.search(world.asked, world.k)[0], truth, state).mean()), 4
        )
        engines[name]["batches"] = {}
    for batch in job.batches:
        for name, seconds in _turns(indexes, world.asked, batch, world.k, job.budget_s).items():
            engines[name]["batches"][str(batch)] = {
                "queries_per_s": round(batch / float(np.median(seconds))),
                **percentiles(seconds),
                "rounds": len(seconds),
            }
    for name, index in indexes.items():
        engines[name]["updates_per_s"] = _changed_per_s(index, world)
    return {"items": world.items, "dim": world.vectors.shape[1], "k": world.k, "engines": engines, "missing": missing}


def _filled(job: Comparison) -> tuple[dict[str, VectorIndex], dict[str, dict[str, Any]], dict[str, str]]:
    """Fill one index after the other; return them, what that told, and why some are not there."""
    world = job.world
    indexes: dict[str, VectorIndex] = {}
    engines: dict[str, dict[str, Any]] = {}
    missing: dict[str, str] = {}
    for name, make in makers(job.settings, world.vectors.shape[1], world.items).items():
        try:
            make().search(world.asked[:1], 1)  # what is loaded once is no index's memory
        except VectorIndexError as error:
            missing[name] = str(error)
            continue
        before, index = settled_mb(), make()
        start = time.perf_counter()
        for first in range(0, world.items, _FILL):
            labels = np.arange(first, min(first + _FILL, world.items), dtype=np.int32)
            index.upsert(labels, world.wide(labels))
        _settle(index)
        seconds = time.perf_counter() - start
        indexes[name] = index
        engines[name] = {
            "inserts_per_s": round(world.items / seconds),
            "memory_mb": round(settled_mb() - before, 1),
            "bytes_per_item": round(index.nbytes / world.items),
        }
    return indexes, engines, missing


def _turns(indexes: dict[str, VectorIndex], asked: Floats, batch: int, k: int, budget_s: float) -> dict[str, list[float]]:
    """Return the seconds of each index's searches, which take turns with other queries each, until the time is up."""
    seconds: dict[str, list[float]] = {name: [] for name in indexes}
    begun = time.perf_counter()
    for number in range(_ROUNDS.get(batch, _LEAST_ROUNDS) + 1):
        queries = np.take(asked, np.arange(number * batch, (number + 1) * batch), axis=0, mode="wrap")
        for name, index in indexes.items():
            start = time.perf_counter()
            index.search(queries, k)
            seconds[name].append(time.perf_counter() - start)
        if number >= _LEAST_ROUNDS and time.perf_counter() - begun > budget_s:
            break
    return {name: each[1:] for name, each in seconds.items()}  # the first makes room for the others


def _changed_per_s(index: VectorIndex, world: World) -> int:
    """Change vectors a few at a time, as they come from the topic, and return how many a second it takes."""
    changes = world.changes(0, world.state(0))
    n = min(_CHANGED, len(changes.labels))
    vectors, spent = world.wide(changes.rows[:n]), 0.0
    for first in range(0, n, _CHANGED_AT_ONCE):
        part = slice(first, min(first + _CHANGED_AT_ONCE, n))
        start = time.perf_counter()
        index.upsert(changes.labels[part], vectors[part])
        spent += time.perf_counter() - start
    return round(n / max(spent, 1e-9))


def _settle(index: VectorIndex) -> None:
    finish: Callable[[], bool] | None = getattr(index, "finish_rebuild", None)
    if finish is not None:
        finish()


def compare_apart(job: Comparison) -> dict[str, Any]:
    """Measure in a process of its own, which gives all its memory back.

    Raises DataError when it dies, which is mostly for want of memory.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(compare, job).result()
        except BrokenProcessPool as error:
            msg = f"the process that compared {job.world.items:,} items died; free memory, or ask for fewer by --exact"
            raise DataError(msg) from error


def crossovers(sizes: Sequence[dict[str, Any]]) -> dict[str, dict[str, int | None]]:
    """Return by engine and batch up to how many items its median time is below the graph's.

    Between two sizes times are taken to grow as powers of the size. 0 where the graph is faster at the smallest size already, None
    where it is at none.
    """
    found: dict[str, dict[str, int | None]] = {}
    ordered = sorted(sizes, key=lambda size: int(size["items"]))
    for name in ordered[0]["engines"] if ordered else ():
        if name != GRAPH:
            found[name] = {batch: _crossing(ordered, name, batch) for batch in ordered[0]["engines"][name]["batches"]}
    return found


def _crossing(ordered: Sequence[dict[str, Any]], name: str, batch: str) -> int | None:
    def behind(size: dict[str, Any]) -> float:
        """Return the logarithm of how many times as long the engine takes as the graph."""
        times = [size["engines"][engine]["batches"][batch]["p50_ms"] for engine in (name, GRAPH)]
        return float(np.log(max(times[0], 1e-6) / max(times[1], 1e-6)))

    if behind(ordered[0]) > 0:
        return 0
    for less, more in pairwise(ordered):
        low, high = behind(less), behind(more)
        if high > 0:
            share = low / (low - high)
            return round(float(np.exp((1 - share) * np.log(less["items"]) + share * np.log(more["items"]))))
    return None
