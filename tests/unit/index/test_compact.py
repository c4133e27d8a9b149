"""What is the compact index's own: recall, memory, and the moment at which it becomes compact."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from streamrec.index import ExactIndex, HnswIndex
from streamrec.index import rebuild as rebuild_module
from streamrec.index.codec import CompactCodec, CompactOptions
from streamrec.index.graph import Graph
from streamrec.index.port import Labels

DIM = 128
Floats = NDArray[np.float32]
OPTIONS = CompactOptions(graph_dim=32, width=96, reserve=60)


def catalogue(n: int, seed: int, dim: int = DIM) -> Floats:
    """Return vectors whose energy falls off from axis to axis as that of embedded titles does, in a random position."""
    rng, shape = np.random.default_rng(seed), np.random.default_rng(7)
    turn = np.linalg.qr(shape.standard_normal((dim, dim)))[0]
    centres = shape.standard_normal((60, dim))
    vectors = (centres[rng.integers(0, 60, n)] + 0.7 * rng.standard_normal((n, dim))) * np.exp(-np.arange(dim) / (0.2 * dim))
    unit: Floats = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True) @ turn).astype(np.float16).astype(np.float32)
    return unit


def recall(index: HnswIndex, oracle: ExactIndex, mask: NDArray[np.bool_] | None = None) -> float:
    queries = catalogue(150, seed=1234)
    found, truth = index.search(queries, 10, mask)[0], oracle.search(queries, 10, mask)[0]
    return float(np.mean([len({*a} & {*b}) / 10 for a, b in zip(found.tolist(), truth.tolist(), strict=True)]))


def both(n: int, compact_from: int = 1000) -> tuple[HnswIndex, ExactIndex]:
    index, oracle = HnswIndex(DIM, threads=1, compact_from=compact_from, compact=OPTIONS), ExactIndex(DIM)
    for each in (index, oracle):
        each.upsert(np.arange(n), catalogue(n, seed=1))
    return index, oracle


def test_recall_against_the_oracle_holds_fresh_restored_and_through_churn(tmp_path: Path) -> None:
    """Recall of the ten best by exact float32 search is at least 0.95 all the time."""
    index, oracle = both(5000)
    assert index.compact
    assert recall(index, oracle) >= 0.95
    for seed in range(2, 6):
        labels = np.arange(seed, 5000, 4)
        for each in (index, oracle):
            each.upsert(labels, catalogue(len(labels), seed))
        assert recall(index, oracle) >= 0.95
    index.save(tmp_path)
    assert index.finish_rebuild(60)
    assert recall(index, oracle) >= 0.95
    restored = HnswIndex(DIM, threads=1, compact_from=1000, compact=OPTIONS)
    restored.restore(tmp_path)
    assert recall(restored, oracle) >= 0.95
    assert restored.finish_rebuild(60)


@pytest.mark.parametrize("share", [0.5, 0.05, 0.005])
def test_recall_holds_under_masks_and_blocks(share: float) -> None:
    """Of what a mask or blocks leave, the ten best of the exact search are found, however few it is."""
    index, oracle = both(5000)
    mask = np.random.default_rng(3).random(5000) < share
    assert recall(index, oracle, mask) >= 0.95
    for each in (index, oracle):
        each.block(np.flatnonzero(~mask))
    assert recall(index, oracle) >= 0.95


def test_items_of_512_numbers_take_at_least_62_percent_less_than_a_float32_graph_of_16_links() -> None:
    """Counted: 2,048 bytes of vector, 132 of links, 107 of hnswlib's own there, against everything that is kept here."""
    n = 3000
    index = HnswIndex(512, threads=1, ef_construction=16, compact_from=1000)
    index.upsert(np.arange(n), catalogue(n, 1, 512))
    assert index.compact
    assert index.nbytes / n <= (1 - 0.62) * (2048 + 132 + 107)


def test_what_changes_while_it_is_compacted_is_in_every_answer_before_and_after_the_swap(monkeypatch: pytest.MonkeyPatch) -> None:
    reached, go = threading.Event(), threading.Event()
    copy = rebuild_module.Rebuild._copy

    def held(rebuild: rebuild_module.Rebuild, labels: Labels) -> None:
        copy(rebuild, labels)
        if threading.current_thread() is rebuild._thread:
            reached.set()
            assert go.wait(30)

    monkeypatch.setattr(rebuild_module.Rebuild, "_copy", held)
    index, oracle = both(2900, compact_from=3000)
    assert not index.compact
    more = catalogue(600, seed=8)
    for start in range(0, 600, 100):
        labels = np.arange(2900 + start, 3000 + start)
        for each in (index, oracle):
            each.upsert(labels, more[start : start + 100])
    assert reached.wait(30)
    assert index.rebuilding
    assert not index.compact
    for label in range(100):
        for each in (index, oracle):
            each.upsert([label], more[label])
        assert label in index.search(more[label], 2)[0]
    for each in (index, oracle):
        each.remove(np.arange(200, 300))
        each.block(np.arange(300, 400))
    assert recall(index, oracle) >= 0.95
    go.set()
    assert index.finish_rebuild(60)
    assert index.compact
    assert len(index) == len(oracle)
    assert recall(index, oracle) >= 0.95
    found = index.search(more[:100], 2)[0]
    assert all(label in found[label] for label in range(100))
    index.unblock(np.arange(300, 400))
    oracle.unblock(np.arange(300, 400))
    assert recall(index, oracle) >= 0.95


def test_an_index_that_grows_in_small_batches_becomes_compact_by_itself_and_once() -> None:
    index = HnswIndex(DIM, threads=1, compact_from=1000, compact=OPTIONS)
    vectors = catalogue(2600, seed=1)
    for start in range(0, 2600, 50):
        index.upsert(np.arange(start, start + 50), vectors[start : start + 50])
        # Past twice the limit it waits for the builder: memory stays bounded.
        assert index.compact or len(index) <= 2000
    assert (index.search(vectors, 1)[0][:, 0] == np.arange(2600)).mean() > 0.99
    index.remove(np.arange(2000))
    assert index.compact


def test_the_same_vectors_get_the_same_codes_in_any_batch_and_when_they_are_compacted_later() -> None:
    vectors = catalogue(3000, seed=1)
    codec = CompactCodec.learn(vectors, OPTIONS)
    together = codec.encode(vectors)
    np.testing.assert_array_equal(together[100:107], codec.encode(vectors[100:107]))
    np.testing.assert_array_equal(together[5], codec.encode(vectors[5:6])[0])


def test_what_is_decoded_has_unit_length_and_is_near_what_went_in_and_zeros_stay() -> None:
    vectors = catalogue(3000, seed=1)
    codec = CompactCodec.learn(vectors, OPTIONS)
    decoded = codec.vectors(codec.floats(codec.encode(vectors)))
    np.testing.assert_allclose(np.linalg.norm(decoded, axis=1), 1, atol=1e-4)
    assert np.einsum("nd,nd->n", decoded, vectors).min() > 0.99
    assert not codec.vectors(codec.floats(codec.encode(np.zeros((2, DIM), np.float32)))).any()


def test_the_same_vectors_again_change_nothing() -> None:
    index, _ = both(2000)
    version, nodes = index.version, index._graph.nodes
    index.upsert(np.arange(2000), catalogue(2000, seed=1))
    assert (index.version, index._graph.nodes) == (version, nodes)


def test_a_query_whose_best_answer_is_far_is_asked_again_with_more_effort_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    index, _ = both(3000)
    efforts: list[tuple[int, int]] = []
    search = Graph.search

    def told(graph: Graph, points: Floats, k: int, fetch: int, ef: int, *rest: Any, **more: Any) -> Any:
        efforts.append((len(points), ef))
        return search(graph, points, k, fetch, ef, *rest, **more)

    monkeypatch.setattr(Graph, "search", told)
    near, far = catalogue(3000, seed=1)[:20], np.random.default_rng(5).standard_normal((3, DIM)).astype(np.float32)
    far /= 4 * np.linalg.norm(far, axis=1, keepdims=True)
    index.search(np.vstack([near, far]), 10)
    assert efforts == [(23, 64), (3, 1024)]


def test_what_counts_as_far_is_saved_with_the_codec(tmp_path: Path) -> None:
    index, _ = both(2000)
    index.save(tmp_path)
    restored = HnswIndex(DIM, threads=1, compact_from=1000, compact=OPTIONS)
    restored.restore(tmp_path)
    assert np.isfinite(index._rows.codec.far)
    assert restored._rows.codec.far == index._rows.codec.far


def test_far_is_what_a_fifth_of_the_vectors_have_no_other_within() -> None:
    vectors = catalogue(400, seed=2)
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -np.inf)
    far = CompactCodec.learn(vectors, OPTIONS).far
    assert (scores.max(axis=1) < far).mean() == pytest.approx(0.2, abs=0.01)
