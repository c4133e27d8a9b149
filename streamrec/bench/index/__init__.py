"""How fast the vector index is built, asked and changed here, how near to the exact answers it stays, and what memory it takes.

Beside it raw hnswlib, usearch and faiss, on the same vectors of real geometry, with the same changes and queries. Every engine is
measured in a process of its own, which maps the vectors from a file: so its anonymous memory is the engine's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import numpy as np

from streamrec.bench.catalogue import BenchCatalogue, bench_catalogue
from streamrec.bench.index.engines import ENGINES, OURS, PEERS, missing_peers
from streamrec.bench.index.exact import Comparison, K, compare, compare_apart, crossovers
from streamrec.bench.index.filters import filters
from streamrec.bench.index.measure import Job, measure
from streamrec.bench.index.tier import QUERIES, tier
from streamrec.bench.index.world import World
from streamrec.config import IndexSettings, Settings
from streamrec.errors import DataError

Say = Callable[[str], None]
ITEMS: Final = 20_000


def run(
    items: int = ITEMS,
    *,
    queries: int = 500,
    cycles: int = 10,
    tier_items: int = 0,
    exact: Sequence[int] = (),
    peers: Sequence[str] = PEERS,
    titles: Path | None = None,
    seed: int = 7,
    settings: IndexSettings | None = None,
    say: Say | None = None,
    catalogue: Callable[[int], BenchCatalogue] | None = None,
    apart: bool = True,
) -> dict[str, Any]:
    """Return our figures as ``fresh``, ``cycles``, ``rebuilt``, ``ratios``, ``missing``, ``filters`` and ``tier``, and ``peers``.

    Latencies in milliseconds, memory in MB of 10⁶ bytes, rates per second of wall clock, recalls as shares of the exact 10 best.
    ``tier_items`` 0 leaves the tier out; it is asked at least ``tier.QUERIES``. ``exact`` are sizes at which exact search is
    compared with the graph, as ``exact`` and ``exact_crossover``: see ``exact.compare`` and ``exact.crossovers``. ``apart`` False
    measures in this process: memory then counts for little. Raises DataError where a process ends early or a peer is unknown.
    """
    if unknown := sorted(set(peers) - set(PEERS)):
        msg = f"no peer is named {', '.join(unknown)}; name some of {', '.join(PEERS)}"
        raise DataError(msg)
    do = partial(measure_apart if apart else measure, say=say)
    say, settings = say or (lambda _: None), settings or Settings.load().index
    make = catalogue or partial(bench_catalogue, folder=titles, seed=seed, say=say)
    world, goods = _world(make, items, cycles, queries, seed)
    say("exact answers")
    truths = [world.exact(world.state(number)) for number in range(cycles + 1)]
    before = world.state(0)
    masks = list(filters(goods, items))
    asked = [(name, mask, world.exact(before, mask)) for name, mask in masks]
    absent = missing_peers(tuple(peers))
    job = Job(OURS, settings, world, truths, filters=asked)
    ours = _engine(job, do, say)
    sizes = [_compared(make, size, queries, seed, settings, apart=apart, say=say) for size in exact]
    return {
        "items": items,
        "dim": world.vectors.shape[1],
        "k": world.k,
        "queries": queries,
        "cores": len(os.sched_getaffinity(0)),
        "notes": goods.notes,
        "geometry": goods.geometry,
        **ours,
        "filters": [{"filter": name, "share": round(float(mask.mean()), 5), **ours["filters"][name]} for name, mask in masks],
        "tier": tier(_world(make, tier_items, 0, max(queries, QUERIES), seed)[0], settings, do, say) if tier_items else None,
        "exact": sizes,
        "exact_crossover": crossovers(sizes),
        "peers": {name: _engine(replace(job, engine=name, filters=[]), do, say) for name in peers if name not in absent},
        "not_installed": absent,
    }


def _compared(
    make: Callable[[int], BenchCatalogue],
    items: int,
    queries: int,
    seed: int,
    settings: IndexSettings,
    *,
    apart: bool,
    say: Say,
) -> dict[str, Any]:
    """Compare exact search with the graph at a size, with one cycle's new vectors at hand to write."""
    say(f"exact: {items:,} items")
    world = replace(_world(make, items, 1, queries, seed)[0], k=K)
    return (compare_apart if apart else compare)(Comparison(world, settings))


def _world(make: Callable[[int], BenchCatalogue], items: int, cycles: int, queries: int, seed: int) -> tuple[World, BenchCatalogue]:
    """Return a world over a catalogue that holds, behind the items, their later vectors and the queries."""
    world = World(Path(), items, cycles, queries, seed=seed)
    goods = make(world.needed)
    assert isinstance(goods.vectors, np.memmap)
    return replace(world, path=Path(str(goods.vectors.filename))), goods


def _engine(job: Job, do: Callable[[Job], dict[str, Any]], say: Say) -> dict[str, Any]:
    """Measure an engine through its cycles, and once more freshly built with what it holds then."""
    say(f"{job.engine}: building {job.world.items:,}, then {job.world.cycles} cycles")
    result = {"what": (ENGINES[job.engine].__doc__ or "").strip(), **do(job)}
    for name in ("missing", "sold_out_shown"):
        result[name] = sum(cycle[name] for cycle in result["cycles"])
    if not result["cycles"]:
        return result
    say(f"{job.engine}: building afresh what it holds now")
    rebuilt = do(replace(job, truths=job.truths[-1:], from_cycle=job.world.cycles, filters=[]))["fresh"]
    last = result["cycles"][-1]
    return {
        **result,
        "rebuilt": rebuilt,
        "ratios": {
            "recall_lost": round(rebuilt["recall_at_10"] - last["recall_at_10"], 4),
            **{name: round(last[name] / rebuilt[name], 3) for name in ("p50_ms", "p99_ms", "memory_mb") if rebuilt[name]},
        },
    }


def measure_apart(job: Job, say: Say | None = None) -> dict[str, Any]:
    """Measure in a new process, so that its memory is the engine's; see ``measure``. Where ``say`` is given it tells stderr.

    Raises DataError when that process dies, which is mostly for want of memory.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(measure, job, _tell if say else None).result()
        except BrokenProcessPool as error:
            msg = f"the process that measured {job.engine} on {job.world.items:,} items died; free memory, or ask for fewer items"
            raise DataError(msg) from error


def _tell(what: str) -> None:
    sys.stderr.write(f"{what}\n")
