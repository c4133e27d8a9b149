"""Exact search hands over to a graph as the catalogue grows, and back as it shrinks, and nobody notices but by the clock."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamrec.config import IndexSettings
from streamrec.errors import VectorIndexError
from streamrec.index import AutoIndex, ExactIndex, HnswIndex, OnnxExactIndex, build_index
from streamrec.index.handover import Handover
from streamrec.index.port import Labels
from tests.contract.vector_indexes import DIM, World, check, clustered, fill

LIMIT = 1000
SETTINGS = IndexSettings(kind="auto", exact_up_to=LIMIT, max_items=20_000, threads=1, ef_search=32, ef_construction=32)


class Held:
    """Keeps the builder's chunks until they are let go, or the builder is given up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.may_go = threading.Semaphore(0)
        self.given_up: list[Handover] = []
        copy, cancel = Handover._copy, Handover.cancel

        def waiting(handover: Handover, labels: Labels) -> None:
            if threading.current_thread() is handover._thread:
                self.may_go.acquire()
            copy(handover, labels)

        def cancelled(handover: Handover) -> None:
            self.given_up.append(handover)
            self.let_go()
            cancel(handover)

        monkeypatch.setattr(Handover, "_copy", waiting)
        monkeypatch.setattr(Handover, "cancel", cancelled)

    def let_go(self, chunks: int = 1_000) -> None:
        self.may_go.release(chunks)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    return Held(monkeypatch)


def grown(n: int, settings: IndexSettings = SETTINGS) -> tuple[AutoIndex, World]:
    """Fill an index in small steps."""
    index, world = AutoIndex(settings, DIM), World()
    for start in range(0, n, 200):
        fill(index, world, range(start, min(n, start + 200)), seed=start)
    return index, world


def shrink(index: AutoIndex, world: World, left: int) -> None:
    gone = sorted(world.vectors)[left:]
    index.remove(gone)
    for label in gone:
        del world.vectors[label]


def test_up_to_the_limit_answers_are_exact_and_beyond_it_a_graph_takes_over() -> None:
    index, world = grown(LIMIT)
    assert isinstance(index.answering, OnnxExactIndex)
    check(index, world, recall=1.0)
    fill(index, world, range(LIMIT, LIMIT + 1), seed=1)
    version = index.version
    assert index.finish_rebuild()
    assert isinstance(index.answering, HnswIndex)
    assert index.version > version
    check(index, world)


def test_it_goes_back_only_at_half_the_limit() -> None:
    index, world = grown(LIMIT + 200)
    index.finish_rebuild()
    shrink(index, world, LIMIT // 2 + 1)
    index.finish_rebuild()
    assert isinstance(index.answering, HnswIndex)
    shrink(index, world, LIMIT // 2)
    index.finish_rebuild()
    assert isinstance(index.answering, OnnxExactIndex)
    check(index, world, recall=1.0)
    fill(index, world, range(5000, 5000 + LIMIT), seed=9)
    index.finish_rebuild()
    assert isinstance(index.answering, HnswIndex)
    check(index, world)


def test_what_changes_while_the_other_index_is_built_is_in_it(held: Held) -> None:
    """Exact answers until then; vectors, removals and blocks of that time afterwards."""
    index, world = grown(LIMIT + 200)
    fill(index, world, range(100, 600), seed=77)
    index.remove(np.arange(40, 80))
    for label in range(40, 80):
        del world.vectors[label]
    index.block([1, 2, 3, 9000])
    world.blocked = {1, 2, 3, 9000}
    check(index, world, recall=1.0)
    assert isinstance(index.answering, OnnxExactIndex)
    held.let_go()
    assert index.finish_rebuild()
    assert isinstance(index.answering, HnswIndex)
    check(index, world)
    assert index.shown([0, 1, 50]).tolist() == [True, False, False]
    index.unblock([1])
    world.blocked -= {1}
    check(index, world)


def test_a_search_takes_what_is_ready_without_being_told() -> None:
    index, world = grown(LIMIT + 200)
    if index._handover is not None:
        index._handover.join()
    check(index, world)
    assert isinstance(index.answering, HnswIndex)


def test_what_is_being_built_is_given_up_where_the_catalogue_is_small_again(held: Held) -> None:
    index, world = grown(LIMIT + 200)
    begun = index._handover
    shrink(index, world, LIMIT)
    assert held.given_up == [begun]
    assert index.finish_rebuild()
    assert isinstance(index.answering, OnnxExactIndex)
    check(index, world, recall=1.0)


def test_vectors_wait_for_the_builder_once_it_is_far_behind(held: Held) -> None:
    """What is beyond twice the limit is not taken before the builder has copied as much."""
    index, world = grown(LIMIT + 200)
    fill(index, world, range(2000, 2700), seed=5)
    behind = threading.Thread(target=fill, args=(index, world, range(6000, 6000 + 2 * LIMIT), 6))
    behind.start()
    handover = index._handover
    assert handover is not None
    with handover._progress:
        assert handover._progress.wait_for(lambda: handover._left() > 2 * LIMIT, timeout=10)
    assert behind.is_alive()
    held.let_go()
    behind.join(30)
    assert not behind.is_alive()
    index.finish_rebuild()
    check(index, world)


def test_a_batch_that_outweighs_all_goes_into_a_graph_at_once() -> None:
    index, world = grown(200)
    fill(index, world, range(200, 200 + 2 * LIMIT), seed=3)
    assert isinstance(index.answering, HnswIndex)
    check(index, world)


def test_a_builder_that_fails_says_so_and_what_answered_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(handover: Handover, labels: Labels) -> None:
        raise MemoryError

    monkeypatch.setattr(Handover, "_copy", fails)
    index, world = grown(LIMIT)
    fill(index, world, range(LIMIT, LIMIT + 5), seed=1)
    with pytest.raises(VectorIndexError, match=r"give the worker more or set index\.kind"):
        index.finish_rebuild()
    check(index, world, recall=1.0)


def test_from_compact_vectors_there_is_no_way_back() -> None:
    """What was cut off is not known any more."""
    index, world = grown(200, SETTINGS.model_copy(update={"compact_from": 1500}))
    fill(index, world, range(200, 3000), seed=3)
    index.finish_rebuild()
    assert index.compact
    shrink(index, world, 100)
    assert index.finish_rebuild()
    assert isinstance(index.answering, HnswIndex)
    assert len(index) == 100


@pytest.mark.parametrize(("n", "kind"), [(LIMIT - 200, OnnxExactIndex), (LIMIT + 200, HnswIndex)])
def test_what_either_kind_saved_is_read_and_handed_over_where_it_is_time(n: int, kind: type, tmp_path: Path) -> None:
    index, world = grown(n)
    index.finish_rebuild()
    assert isinstance(index.answering, kind)
    index.save(tmp_path)
    for limit, expected in ((LIMIT, kind), (100, HnswIndex), (10 * LIMIT, OnnxExactIndex)):
        restored = AutoIndex(SETTINGS.model_copy(update={"exact_up_to": limit}), DIM)
        restored.restore(tmp_path)
        check(restored, world)
        restored.finish_rebuild()
        assert isinstance(restored.answering, expected)
        check(restored, world)


def test_what_a_graph_of_the_other_setting_saved_is_read(tmp_path: Path) -> None:
    graph = build_index(SETTINGS.model_copy(update={"kind": "hnsw"}), DIM)
    graph.upsert(np.arange(300), clustered(300, 1))
    graph.save(tmp_path)
    index = AutoIndex(SETTINGS, DIM)
    index.restore(tmp_path)
    index.finish_rebuild()
    oracle = ExactIndex(DIM)
    oracle.upsert(np.arange(300), clustered(300, 1))
    np.testing.assert_array_equal(index.search(clustered(9, 2), 10)[0], oracle.search(clustered(9, 2), 10)[0])


def test_it_is_what_the_default_settings_build() -> None:
    assert isinstance(build_index(IndexSettings(), DIM), AutoIndex)


def test_with_a_limit_of_nothing_it_is_a_graph_from_the_first_vector() -> None:
    index = AutoIndex(SETTINGS.model_copy(update={"exact_up_to": 0}), DIM)
    index.upsert(np.array([3]), clustered(1, 1))
    assert isinstance(index.answering, HnswIndex)
    assert len(index) == 1


def test_on_a_gpu_the_limit_is_another_until_the_gpu_is_lost() -> None:
    index, world = AutoIndex(SETTINGS.model_copy(update={"exact_up_to_gpu": 10 * LIMIT}), DIM), World()
    exact: Any = index.answering
    exact.provider = "cuda"
    fill(index, world, range(500), seed=1)
    fill(index, world, range(500, 2 * LIMIT), seed=2)
    assert index._handover is None
    exact.provider = "cpu"
    fill(index, world, range(10), seed=3)
    index.finish_rebuild()
    assert isinstance(index.answering, HnswIndex)
    check(index, world)


def test_closing_ends_what_is_being_built_and_answers_go_on(held: Held) -> None:
    index, world = grown(LIMIT + 200)
    handover = index._handover
    index.close()
    assert handover is not None
    assert handover.ready
    assert held.given_up == [handover]
    check(index, world, recall=1.0)
