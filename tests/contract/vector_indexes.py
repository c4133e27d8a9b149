"""Vector indexes of every kind, and a plain dictionary of vectors to hold them against."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamrec.config import IndexSettings
from streamrec.index import AutoIndex, ExactIndex, Generations, HnswIndex, OnnxExactIndex, VectorIndex
from streamrec.index.codec import CompactOptions
from streamrec.index.scan_blocks import DeviceBlocks, HostBlocks

DIM = 24
Floats = NDArray[np.float32]


def hnsw() -> VectorIndex:
    # So little effort and so few queries below that the graph is asked, not the exact scan that small worlds would get.
    return HnswIndex(DIM, max_items=10_000, threads=1, ef_search=32)


def hnsw_that_rebuilds_often() -> VectorIndex:
    return HnswIndex(DIM, max_items=10_000, threads=1, ef_search=32, max_tombstone_ratio=0.05)


def exact() -> VectorIndex:
    return ExactIndex(DIM, max_items=10_000)


def onnx_float32() -> VectorIndex:
    # Blocks so small that most worlds take several.
    return OnnxExactIndex(DIM, max_items=10_000, storage="float32", threads=1, blocks=HostBlocks(512))


def onnx_float16() -> VectorIndex:
    return OnnxExactIndex(DIM, max_items=10_000, storage="float16", threads=1, blocks=HostBlocks(512))


def onnx_int8() -> VectorIndex:
    return OnnxExactIndex(DIM, max_items=10_000, storage="int8", threads=1, blocks=HostBlocks(512))


def onnx_on_a_device() -> VectorIndex:
    """The way of a GPU: rows are copied into memory of onnxruntime, and those that change are written there by a graph."""
    return OnnxExactIndex(DIM, max_items=10_000, storage="float16", threads=1, blocks=DeviceBlocks("float16", "cpu", 512))


def auto() -> VectorIndex:
    """Goes to and fro between exact and a graph, in the background where batches are small."""
    return AutoIndex(IndexSettings(kind="auto", exact_up_to=900, max_items=10_000, threads=1, ef_search=32), DIM)


def generations() -> VectorIndex:
    """In the middle of a roll, after another: what is collected shows in no answer."""
    index = Generations(ExactIndex(4), lambda dim: HnswIndex(dim, max_items=10_000, threads=1, ef_search=32), "old")
    index.begin("served", DIM)
    index.switch(keep=False)
    index.begin("next", DIM)
    index.put("next", np.arange(500, dtype=np.int32), clustered(500, seed=77))
    return index


class Sipping(HnswIndex):
    """Takes large batches in small ones, so that it grows past its limit with the builder at work beside the changes."""

    def upsert(self, labels: ArrayLike, vectors: ArrayLike) -> None:
        rows, values = np.atleast_1d(np.asarray(labels)), np.atleast_2d(np.asarray(vectors))
        for start in range(0, max(1, len(rows)), 250):
            super().upsert(rows[start : start + 250], values[start : start + 250])


#: All numbers, as int8: what random vectors lose when they are cut is no matter of the index.
SMALL = CompactOptions(graph_dim=16, width=DIM, reserve=50)


def compact() -> VectorIndex:
    return HnswIndex(DIM, max_items=10_000, threads=1, ef_search=32, compact_from=500, compact=SMALL)


def compact_on_the_way() -> VectorIndex:
    return Sipping(DIM, max_items=10_000, threads=1, ef_search=32, max_tombstone_ratio=0.05, compact_from=500, compact=SMALL)


Build = Callable[[], VectorIndex]
ONNX: list[Build] = [onnx_float32, onnx_float16, onnx_int8, onnx_on_a_device]
STORED: list[Build] = [exact, *ONNX, auto, hnsw, hnsw_that_rebuilds_often, compact, compact_on_the_way]


def precision(index: VectorIndex) -> float:
    """Return by how much a score may differ from the true cosine."""
    return 0.03 if index.compact else 1e-4


def again(index: VectorIndex, build: Build, folder: Path) -> VectorIndex:
    """Return another index with what was saved of this one."""
    folder.mkdir()
    index.save(folder)
    restored = build()
    restored.restore(folder)
    return restored


def clustered(n: int, seed: int, clusters: int = 40) -> Floats:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(7).standard_normal((clusters, DIM))
    return unit(centres[rng.integers(0, clusters, n)] + 0.5 * rng.standard_normal((n, DIM)))


def unit(vectors: NDArray[np.float64]) -> Floats:
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float16).astype(np.float32)


class World:
    """The truth: what each label's vector is and which are blocked."""

    def __init__(self) -> None:
        self.vectors: dict[int, Floats] = {}
        self.blocked: set[int] = set()

    def best(self, query: Floats, k: int, mask: NDArray[np.bool_] | None = None) -> list[float]:
        allowed = [x for x in self.vectors if x not in self.blocked and (mask is None or (x < len(mask) and mask[x]))]
        return sorted((float(self.vectors[x] @ query) for x in allowed), reverse=True)[:k]


def fill(index: VectorIndex, world: World, labels: range, seed: int) -> None:
    vectors = clustered(len(labels), seed)
    index.upsert(np.array(labels), vectors)
    world.vectors.update(zip(labels, vectors, strict=True))


def check(index: VectorIndex, world: World, k: int = 10, mask: NDArray[np.bool_] | None = None, recall: float = 0.97) -> None:
    """Only allowed labels, each once, best first, true scores, as many as there are, and nearly all of the best."""
    queries = clustered(6, seed=99)
    labels, scores = index.search(queries, k, mask)
    assert labels.shape == scores.shape == (6, k)
    assert labels.dtype == np.int32
    assert scores.dtype == np.float32
    hits = total = 0
    for query, row, row_scores in zip(queries, labels.tolist(), scores, strict=True):
        truth = world.best(query, k, mask)
        found = [label for label in row if label >= 0]
        assert len(found) == len(set(found)) == len(truth)
        assert row[len(found) :] == [-1] * (k - len(found))
        assert np.isneginf(row_scores[len(found) :]).all()
        assert not world.blocked.intersection(found)
        assert mask is None or all(label < len(mask) and mask[label] for label in found)
        np.testing.assert_allclose(row_scores[: len(found)], [world.vectors[x] @ query for x in found], atol=precision(index))
        assert (np.diff(row_scores[: len(found)]) <= 1e-6).all()
        total += len(truth)
        hits += int((row_scores[: len(found)] >= truth[-1] - precision(index)).sum()) if truth else 0
    assert hits >= recall * total
