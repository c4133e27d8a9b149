"""How fast the vector index is built, asked and changed here, and how near its answers are to the exact ones."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrec.config import IndexSettings
from streamrec.index import ExactIndex, HnswIndex
from streamrec.index.hnsw import build_hnsw

Floats = NDArray[np.float32]


def run(
    items: int = 20_000,
    dim: int = 512,
    *,
    queries: int = 500,
    k: int = 10,
    churn: float = 0.3,
    seed: int = 0,
    settings: IndexSettings | None = None,
) -> dict[str, Any]:
    """Build, ask and change an index of clustered random vectors and return the figures by name.

    Rates are per second of wall clock, latencies in milliseconds, recalls are shares of the exact ``k`` best: the mean and that of
    the worst query, fresh, while ``churn`` of the items have changed with a rebuild under way, and after it.
    """
    settings = settings or IndexSettings()
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((max(1, items // 100), dim))
    vectors, asked = _vectors(rng, centres, items), _vectors(rng, centres, queries)
    index, oracle = build_hnsw(settings, dim), ExactIndex(dim, settings.max_items)
    labels = np.arange(items)
    build_s = _seconds(lambda: index.upsert(labels, vectors))
    oracle.upsert(labels, vectors)
    figures: dict[str, Any] = {
        "items": items,
        "dim": dim,
        "k": k,
        "inserts_per_s": round(items / build_s),
        "queries_per_s": round(queries / _seconds(lambda: index.search(asked, k))),
        "exact_queries_per_s": round(queries / _seconds(lambda: oracle.search(asked, k))),
        "query_ms": _percentiles([_seconds(lambda q=q: index.search(q, k)) for q in asked]),  # type: ignore[misc]
        "fresh": _recall(index, oracle, asked, k),
    }
    masks = {share: rng.random(items) < share for share in (0.5, 0.1, 0.01)}
    figures["masked"] = {
        str(share): _recall(index, oracle, asked, k, mask)
        | {"queries_per_s": round(queries / _seconds(lambda mask=mask: index.search(asked, k, mask)))}  # type: ignore[misc]
        for share, mask in masks.items()
    }
    marks_s = _seconds(lambda: index.block(labels)) + _seconds(lambda: index.unblock(labels))
    figures["marks_per_s"] = round(2 * items / marks_s)
    return figures | _churned(index, oracle, asked, k, _vectors(rng, centres, int(items * churn)))


def _churned(index: HnswIndex, oracle: ExactIndex, asked: Floats, k: int, vectors: Floats) -> dict[str, Any]:
    """Change as many items as there are vectors, twenty at a time, and wait for the rebuild that this sets off."""
    calls = []
    for start in range(0, len(vectors), 20):
        changed = vectors[start : start + 20]
        labels = np.arange(start, start + len(changed))
        calls.append(_seconds(lambda labels=labels, changed=changed: index.upsert(labels, changed)))  # type: ignore[misc]
        oracle.upsert(labels, changed)
    during = _recall(index, oracle, asked, k)
    rebuild_s = _seconds(index.finish_rebuild)
    return {
        "updates_per_s": round(len(vectors) / max(sum(calls), 1e-9)),
        "update_of_20_ms": _percentiles(calls),
        "churned": during,
        "waited_for_rebuild_s": round(rebuild_s, 3),
        "rebuilt": _recall(index, oracle, asked, k),
        "tombstone_ratio": round(index.tombstone_ratio, 4),
    }


def _vectors(rng: np.random.Generator, centres: NDArray[np.float64], n: int) -> Floats:
    raw = centres[rng.integers(0, len(centres), n)] + 0.7 * rng.standard_normal((n, centres.shape[1]))
    unit: Floats = (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32)
    return unit


def _recall(index: HnswIndex, oracle: ExactIndex, asked: Floats, k: int, mask: NDArray[np.bool_] | None = None) -> dict[str, float]:
    found, truth = index.search(asked, k, mask)[0], oracle.search(asked, k, mask)[0]
    each = [len({*a} & {*b} - {-1}) / max(1, len({*b} - {-1})) for a, b in zip(found.tolist(), truth.tolist(), strict=True)]
    return {"recall": round(float(np.mean(each)), 4), "worst": round(min(each), 4)}


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _percentiles(seconds: list[float]) -> dict[str, float]:
    points = np.percentile(np.array(seconds or [0.0]) * 1000, [50, 95, 99])
    return {name: round(float(value), 3) for name, value in zip(("p50", "p95", "p99"), points, strict=True)}
