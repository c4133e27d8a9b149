"""What is HNSW's own: recall, churn, and the rebuild in the background."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from numpy.typing import NDArray

from streamrec.config import IndexSettings
from streamrec.errors import VectorIndexError
from streamrec.index import ExactIndex, HnswIndex, build_index
from streamrec.index import rebuild as rebuild_module
from streamrec.index.codec import WholeCodec, _widened
from streamrec.index.graph import Graph, GraphOptions
from streamrec.index.port import Labels

DIM = 32
Floats = NDArray[np.float32]


def clustered(n: int, seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(7).standard_normal((50, DIM))
    vectors = centres[rng.integers(0, 50, n)] + 0.6 * rng.standard_normal((n, DIM))
    unit: Floats = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


def recall(index: HnswIndex, oracle: ExactIndex, k: int = 10) -> tuple[float, float]:
    """Return the mean recall and that of the worst query."""
    queries = clustered(200, seed=1234)
    found, truth = index.search(queries, k)[0], oracle.search(queries, k)[0]
    each = [len(set(a) & set(b)) / k for a, b in zip(found.tolist(), truth.tolist(), strict=True)]
    return float(np.mean(each)), min(each)


def both(n: int, *, max_tombstone_ratio: float = 0.2) -> tuple[HnswIndex, ExactIndex]:
    index, oracle = HnswIndex(DIM, threads=1, max_tombstone_ratio=max_tombstone_ratio), ExactIndex(DIM)
    vectors = clustered(n, seed=1)
    index.upsert(np.arange(n), vectors)
    oracle.upsert(np.arange(n), vectors)
    return index, oracle


def test_recall_against_the_oracle_holds_fresh_and_through_churn() -> None:
    """Recall is at least 0.95, and no query is lost, fresh, with many dead nodes, and after the rebuild that clears them."""
    index, oracle = both(4000)
    assert recall(index, oracle) >= (0.95, 0.5)
    for seed in range(2, 8):
        labels = np.arange(seed, 4000, 3)
        vectors = clustered(len(labels), seed)
        index.upsert(labels, vectors)
        oracle.upsert(labels, vectors)
        mean, worst = recall(index, oracle)
        assert mean >= 0.95
        assert worst >= 0.5
    assert index.finish_rebuild()
    assert recall(index, oracle) >= (0.95, 0.5)


def test_memory_stays_flat_under_churn() -> None:
    """However often vectors change, the graph has no more nodes than twice the labels and the hard ratio allow."""
    index, _ = both(1000)
    for seed in range(15):
        index.upsert(np.arange(1000), clustered(1000, seed + 10))
        assert index._graph.nodes <= 5000
    index.finish_rebuild()
    assert index.tombstone_ratio <= 0.6


def test_every_vector_is_found_by_itself() -> None:
    """Also those that HNSW's links leave without a way to them; a graph with few links has some among these."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((20, 256))[rng.integers(0, 20, 4000)] + 0.7 * rng.standard_normal((4000, 256))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16).astype(np.float32)
    index = HnswIndex(256, m=8, ef_construction=50, threads=1)
    index.upsert(np.arange(4000), vectors)
    assert index._graph._strays, "this world has no strays; choose a harder one"
    assert (index.search(vectors, 3)[0] == np.arange(4000)[:, None]).any(axis=1).all()
    stray = next(iter(index._graph._strays))
    index.block([stray])
    assert stray not in index.search(vectors[stray], 10)[0]
    index.unblock([stray])
    assert index.search(vectors[stray], 10)[0][0, 0] == stray


class Gate:
    """Holds the builder between two chunks until the test lets it go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.go = threading.Event(), threading.Event()
        copy = rebuild_module.Rebuild._copy

        def held(rebuild: rebuild_module.Rebuild, labels: Labels) -> None:
            copy(rebuild, labels)
            if threading.current_thread() is rebuild._thread:
                self.reached.set()
                assert self.go.wait(30)

        monkeypatch.setattr(rebuild_module.Rebuild, "_copy", held)


def test_what_changes_during_a_rebuild_is_in_every_answer_before_and_after_the_swap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes and marks that are made while the builder is half done are in the old graph at once, and in the new one later."""
    gate = Gate(monkeypatch)
    index, _ = both(3000)
    changed = clustered(900, seed=5)
    index.upsert(np.arange(900), changed)
    assert index.rebuilding
    assert gate.reached.wait(30)
    fresh = clustered(3500, seed=6)
    labels = np.concatenate([np.arange(100), np.arange(3000, 3400)])
    for label in labels.tolist():
        index.upsert([label], fresh[label])
        assert label in index.search(fresh[label], 2)[0]
    index.remove(np.arange(200, 300))
    index.block(np.arange(300, 400))
    index.block([400])
    index.unblock([400])
    assert index.rebuilding
    gate.go.set()
    assert index.finish_rebuild(30)
    for label in [*labels.tolist(), 400]:
        vector = fresh[label] if label != 400 else changed[400]
        assert label in index.search(vector, 2)[0]
    assert index._graph.findable + len(index._graph._strays) == 3300
    assert not set(range(200, 400)) & set(index.search(changed[200:400], 20)[0].ravel().tolist())
    index.unblock(np.arange(300, 400))
    assert set(range(300, 400)) <= set(index.search(changed[300:400], 2)[0].ravel().tolist())
    assert index.tombstone_ratio < 0.2


def test_an_updated_item_is_in_the_answers_at_every_moment_of_many_rebuilds() -> None:
    """After each single upsert, whatever the builder is doing, a search for the new vector finds its item."""
    index, _ = both(1500, max_tombstone_ratio=0.1)
    rebuilds = step = 0
    was = False
    vectors = clustered(20_000, seed=9)
    while rebuilds < 3:
        label, vector = (step * 7) % 1500, vectors[step]
        index.upsert([label], vector)
        assert label in index.search(vector, 2)[0]
        rebuilds += was and not index.rebuilding
        was = index.rebuilding
        step += 1
    assert index.finish_rebuild()


def test_the_old_graph_is_freed_after_the_swap(monkeypatch: pytest.MonkeyPatch) -> None:
    freed = []
    monkeypatch.setattr(Graph, "__del__", lambda graph: freed.append(id(graph)), raising=False)
    index, _ = both(1000)
    old = id(index._graph)
    index.upsert(np.arange(500), clustered(500, seed=2))
    assert index.finish_rebuild(30)
    assert old in freed


def test_closing_stops_a_rebuild_and_the_index_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    index, _ = both(3000)
    vectors = clustered(900, seed=5)
    index.upsert(np.arange(900), vectors)
    assert gate.reached.wait(30)
    gate.go.set()
    index.close()
    assert not index.rebuilding
    assert (index.search(vectors, 1)[0][:, 0] == np.arange(900)).all()


def test_a_rebuild_that_fails_says_so_once_and_the_index_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(rebuild: rebuild_module.Rebuild, labels: Labels) -> None:
        raise MemoryError

    monkeypatch.setattr(rebuild_module.Rebuild, "_copy", broken)
    index, _ = both(1000)
    vectors = clustered(500, seed=5)
    index.upsert(np.arange(500), vectors)
    with pytest.raises(VectorIndexError, match="give the worker more"):
        index.finish_rebuild(30)
    assert (index.search(vectors, 1)[0][:, 0] == np.arange(500)).all()


def test_a_vector_that_comes_back_takes_its_old_node() -> None:
    graph = Graph(WholeCodec(DIM, np.float16), GraphOptions(m=16, ef_construction=100, threads=1))
    first, second = clustered(2, seed=1).astype(np.float16)
    for vector in (first, second, first, second):
        graph.put(np.array([3], np.int32), vector[None])
    assert (graph.nodes, graph.dead, graph.findable) == (2, 1, 1)


def test_widening_float16_is_exact_for_every_finite_number() -> None:
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    every = every[np.isfinite(every)]
    np.testing.assert_array_equal(_widened(every), every.astype(np.float32))


def test_twins_are_answered_as_the_exact_index_answers_them_under_any_mask() -> None:
    """Shared nodes are opened only until enough labels are allowed, which shows in no score."""
    rng = np.random.default_rng(3)
    few = clustered(60, 5).astype(np.float16).astype(np.float32)
    vectors = few[rng.integers(0, 60, 1500)]
    index, oracle = HnswIndex(DIM, threads=1, ef_search=60), ExactIndex(DIM)
    for each in (index, oracle):
        each.upsert(np.arange(1500), vectors)
        each.block(np.arange(0, 1500, 7))
    for mask in (None, rng.random(1500) < 0.7):
        labels, scores = index.search(few[:20], 40, mask)
        np.testing.assert_allclose(scores, oracle.search(few[:20], 40, mask)[1], atol=1e-5)
        assert all(len(set(row)) == 40 for row in labels.tolist())
        assert mask is None or mask[labels].all()


def test_rows_come_back_in_float32_as_they_went_in_and_unknown_ones_as_zeros() -> None:
    index = HnswIndex(DIM)
    vectors = clustered(50, 1)
    index.upsert(np.arange(50), vectors)
    for labels in (np.array([3, 3, 49, 60]), np.array([3, 1_000_000, 7])):
        expected = np.zeros((len(labels), DIM), np.float32)
        expected[labels < 50] = vectors.astype(np.float16)[labels[labels < 50]].astype(np.float32)
        np.testing.assert_array_equal(index.vectors(labels), expected)


def test_the_settings_choose_the_index() -> None:
    assert isinstance(build_index(IndexSettings(kind="exact"), 8), ExactIndex)
    built = build_index(IndexSettings(kind="hnsw", max_items=100), 8)
    assert isinstance(built, HnswIndex)
    with pytest.raises(VectorIndexError, match="0 to 99"):
        built.upsert([100], np.ones((1, 8)))
