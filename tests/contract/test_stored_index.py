"""What every vector index that is saved keeps when it is restored."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from streamrec.errors import VectorIndexError
from streamrec.index import ExactIndex, HnswIndex, VectorIndex
from streamrec.index.files import kind_of
from tests.contract.vector_indexes import DIM, STORED, Build, World, again, check, clustered, fill


@pytest.fixture(params=STORED, ids=lambda build: build.__name__)
def build(request: pytest.FixtureRequest) -> Build:
    chosen: Build = request.param
    return chosen


@pytest.fixture
def stored(build: Build) -> VectorIndex:
    return build()


def lived_in(index: VectorIndex) -> World:
    """Fill an index with twins, blocks, removals and changed vectors, and return the truth."""
    world = World()
    fill(index, world, range(1800), seed=1)
    fill(index, world, range(600, 900), seed=2)
    twins = np.repeat(clustered(20, seed=3), 10, axis=0)
    index.upsert(np.arange(1800, 2000), twins)
    world.vectors.update(zip(range(1800, 2000), twins, strict=True))
    index.remove(np.arange(100, 160))
    for label in range(100, 160):
        del world.vectors[label]
    index.block([7, 8, 9, 120, 1805, 3000])
    world.blocked = {7, 8, 9, 120, 1805, 3000}
    return world


def test_what_is_saved_answers_after_it_is_restored_as_before(stored: VectorIndex, build: Build, tmp_path: Path) -> None:
    """Vectors, twins, blocks of labels with and without a vector: all as it was."""
    world = lived_in(stored)
    stored.search(clustered(1, 1), 1)
    restored = again(stored, build, tmp_path / "a")
    check(restored, world)
    assert len(restored) == len(stored)
    np.testing.assert_array_equal(restored.vectors(np.arange(2100)), stored.vectors(np.arange(2100)))
    np.testing.assert_array_equal(restored.shown(np.arange(3100)), stored.shown(np.arange(3100)))
    if restored.compact == stored.compact:
        queries = clustered(20, 4)
        np.testing.assert_array_equal(restored.search(queries, 10)[0], stored.search(queries, 10)[0])


def test_changes_after_a_restore_apply_as_if_it_had_never_been_away(stored: VectorIndex, build: Build, tmp_path: Path) -> None:
    world = lived_in(stored)
    restored = again(again(stored, build, tmp_path / "a"), build, tmp_path / "b")
    version = restored.version
    restored.upsert([20], restored.vectors([20]) if not restored.compact else world.vectors[20][None])
    assert restored.version == version or restored.compact
    fill(restored, world, range(300, 400), seed=5)
    fill(restored, world, range(2000, 2600), seed=6)
    restored.unblock([7, 3000])
    world.blocked -= {7, 3000}
    restored.remove(np.arange(1800, 1810))
    for label in range(1800, 1810):
        del world.vectors[label]
    restored.block([400])
    world.blocked.add(400)
    check(restored, world)
    check(restored, world, mask=np.arange(2600) % 3 == 0)
    assert restored.version > version
    assert restored.search(world.vectors[2100], 1)[0].tolist() == [[2100]]


def test_an_empty_index_can_be_saved_and_restored(stored: VectorIndex, build: Build, tmp_path: Path) -> None:
    restored = again(stored, build, tmp_path / "a")
    check(restored, World())
    world = World()
    fill(restored, world, range(700), seed=1)
    check(restored, world)


def test_a_forked_child_saves_what_was_there_at_the_fork(stored: VectorIndex, build: Build, tmp_path: Path) -> None:
    """The parent goes on while the child writes."""
    world = lived_in(stored)
    child = os.fork()
    if child == 0:
        try:
            stored.save(tmp_path)
            os._exit(0)
        finally:
            os._exit(1)
    stored.remove(np.arange(2000))
    assert os.waitpid(child, 0)[1] == 0
    restored = build()
    restored.restore(tmp_path)
    check(restored, world)


@pytest.mark.parametrize("harm", ["torn", "missing", "mixed", "no_about", "scrap"])
def test_damaged_files_are_refused_and_leave_the_index_as_it_was(
    stored: VectorIndex, build: Build, tmp_path: Path, harm: str
) -> None:
    lived_in(stored)
    stored.save(tmp_path)
    rows, about = tmp_path / "matrix.npy", tmp_path / "index.json"
    if harm == "torn":
        rows.write_bytes(rows.read_bytes()[:-100])
    elif harm == "missing":
        rows.unlink()
    elif harm == "mixed":
        rows.write_bytes(b"x" * rows.stat().st_size)
    elif harm == "no_about":
        about.unlink()
    else:
        about.write_text("{}")
    restored = build()
    with pytest.raises(VectorIndexError, match="delete the folder"):
        restored.restore(tmp_path)
    world = World()
    fill(restored, world, range(600), seed=1)
    check(restored, world)


def test_files_of_another_dimension_kind_or_size_are_refused_and_so_is_an_index_that_is_in_use(
    stored: VectorIndex, tmp_path: Path
) -> None:
    lived_in(stored)
    stored.save(tmp_path)
    is_exact = kind_of(tmp_path) == "exact"
    for other in (ExactIndex(DIM + 1), HnswIndex(DIM + 1), HnswIndex(DIM) if is_exact else ExactIndex(DIM)):
        with pytest.raises(VectorIndexError, match="this one has"):
            other.restore(tmp_path)
    small = ExactIndex(DIM, max_items=50) if is_exact else HnswIndex(DIM, max_items=50)
    with pytest.raises(VectorIndexError, match=r"index\.max_items is 50"):
        small.restore(tmp_path)
    with pytest.raises(VectorIndexError, match="just built"):
        stored.restore(tmp_path)
