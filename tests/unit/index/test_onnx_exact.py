"""Exact search in ONNX: what it shares, writes, holds and falls back to."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from streamrec.config import IndexSettings
from streamrec.errors import ModelError, VectorIndexError
from streamrec.index import ExactIndex, OnnxExactIndex, build_index, onnx_exact, scan_graph
from streamrec.index.onnx_exact import build_exact
from streamrec.index.port import Labels
from streamrec.index.scan_blocks import DeviceBlocks, HostBlocks
from streamrec.index.scan_graph import Storage, wanted
from tests.contract.vector_indexes import DIM, clustered

STORAGES: list[Storage] = ["float32", "float16", "int8"]


def filled(n: int, storage: Storage = "float32", **more: Any) -> OnnxExactIndex:
    index = OnnxExactIndex(DIM, storage=storage, threads=1, **more)
    index.upsert(np.arange(n), clustered(n, 1))
    return index


def oracle(n: int) -> ExactIndex:
    index = ExactIndex(DIM)
    index.upsert(np.arange(n), clustered(n, 1))
    return index


def test_on_the_cpu_a_graph_reads_the_memory_that_numpy_writes() -> None:
    blocks, matrix = HostBlocks(64), np.zeros((160, 4), np.float32)
    values = blocks.values(matrix, 100)
    assert [value.shape()[0] for value in values] == [64, 48]
    assert [value.data_ptr() - matrix.ctypes.data for value in values] == [0, 64 * 16]
    assert blocks.values(matrix, 100)[0] is values[0]
    assert [value.shape()[0] for value in blocks.values(matrix, 160)] == [64, 64, 32]
    assert [value.shape()[0] for value in blocks.values(matrix.copy(), 40)] == [48]


def test_on_a_device_changed_rows_are_written_where_they_are_and_growth_moves_nothing() -> None:
    blocks, matrix = DeviceBlocks("float32", "cpu", 64), np.random.default_rng(1).random((300, 4), np.float32)
    before = [value.data_ptr() for value in blocks.values(matrix, 100)]
    matrix[[3, 70, 200]] = 7
    blocks.note(np.array([3, 70], np.int32))
    blocks.note(np.array([3, 200], np.int32))
    values = blocks.values(matrix, 250)
    assert [value.data_ptr() for value in values][:2] == before
    assert len(values) == 4
    np.testing.assert_array_equal(np.concatenate([value.numpy() for value in values])[:250], matrix[:250])
    matrix[5] = 8
    assert not (blocks.values(matrix, 250)[0].numpy()[5] == 8).any(), "what nobody noted is not sent"


@pytest.mark.parametrize("storage", STORAGES)
def test_a_batch_answers_as_its_queries_do_alone(storage: Storage) -> None:
    index, queries = filled(3000, storage, blocks=HostBlocks(512)), clustered(40, 2)
    labels, scores = index.search(queries, 20)
    for i in range(40):
        alone = index.search(queries[i : i + 1], 20)
        np.testing.assert_array_equal(alone[0][0], labels[i])
        np.testing.assert_allclose(alone[1][0], scores[i], atol=1e-6)


def test_scores_held_at_once_are_bounded_whatever_the_number_of_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_exact, "_MAX_SCORES", 512 * 8)
    index, held = filled(3000, blocks=HostBlocks(512)), []
    scan = index._block_bests

    def counted(queries: NDArray[Any], *rest: Any) -> Any:
        held.append(len(queries) * 512)
        return scan(queries, *rest)

    monkeypatch.setattr(index, "_block_bests", counted)
    queries = clustered(50, 2)
    np.testing.assert_array_equal(index.search(queries, 9)[0], oracle(3000).search(queries, 9)[0])
    assert max(held) == 512 * 8


class Lost(DeviceBlocks):
    """A device that fails after a while."""

    works = True

    def values(self, matrix: NDArray[Any], used: int) -> list[Any]:
        if not self.works:
            msg = "CUDA failure 700: an illegal memory access was encountered"
            raise RuntimeError(msg)
        return super().values(matrix, used)


def test_where_the_gpu_is_lost_the_cpu_goes_on_with_the_same_answers(caplog: pytest.LogCaptureFixture) -> None:
    blocks = Lost("float16", "cpu", 512)
    index, queries = filled(2000, "float16", blocks=blocks), clustered(5, 2)
    before = index.search(queries, 10)
    blocks.works = False
    index.upsert([2000], queries[:1])
    with caplog.at_level(logging.WARNING):
        labels, _ = index.search(queries, 10)
    assert "goes on on the CPU" in caplog.text
    assert "illegal memory access" in caplog.text
    assert labels[0, 0] == 2000
    np.testing.assert_array_equal(labels[1:], before[0][1:])
    assert index.provider == "cpu"
    caplog.clear()
    index.search(queries, 10)
    assert not caplog.text


def test_a_failure_on_the_cpu_is_none_that_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    index = filled(100)

    def fails(matrix: NDArray[Any], used: int) -> list[Any]:
        raise RuntimeError("broken")

    monkeypatch.setattr(index._blocks, "values", fails)
    with pytest.raises(RuntimeError, match="broken"):
        index.search(clustered(1, 2), 3)


def test_a_gpu_that_is_demanded_and_cannot_be_had_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> Any:
        raise ModelError("no NVIDIA driver is installed")

    monkeypatch.setattr(onnx_exact, "scan_session", refused)
    with pytest.raises(VectorIndexError, match=r"set index\.provider to auto or cpu"):
        build_exact(IndexSettings(kind="exact", provider="cuda"), DIM)
    with pytest.raises(VectorIndexError, match=r"set index\.exact_storage"):
        build_exact(IndexSettings(kind="exact", provider="cuda", exact_storage="int8"), DIM)


def test_without_a_gpu_auto_takes_the_cpu_and_with_one_float16_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_exact, "scan_session", lambda *_, **__: None)
    for gpu, expected in ((False, ("float32", "cpu")), (True, ("float16", "cuda"))):
        monkeypatch.setattr(onnx_exact, "on_device", lambda _, gpu=gpu: gpu)
        index = build_exact(IndexSettings(kind="exact", provider="auto"), DIM)
        assert (index.storage, index.provider) == expected
        assert isinstance(index._blocks, DeviceBlocks) == gpu
    assert build_exact(IndexSettings(kind="exact", provider="auto", exact_storage="int8"), DIM).provider == "cpu"


def test_on_a_gpu_products_are_not_rounded_to_ten_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    class Session:
        """One on a GPU."""

        told: tuple[Any, ...] = ()

        def __init__(self, path: Path) -> None:
            self.path = path

        def get_providers(self) -> list[str]:
            return ["CUDAExecutionProvider", "CPUExecutionProvider"]

        def set_providers(self, *told: Any) -> None:
            assert self.path.is_file(), "the session is made anew from its file"
            self.told = told

    monkeypatch.setattr(scan_graph, "open_session", lambda path, **_: Session(path))
    opened: Any = scan_graph._opened(scan_graph.scan_model("float16"), "auto", 1)
    names, (options, _) = opened.told
    assert names == ["CUDAExecutionProvider", "CPUExecutionProvider"]
    assert options["use_tf32"] == "0"


def test_a_session_is_opened_once_for_all_indexes_of_a_kind() -> None:
    assert scan_graph.scan_session("float32", "cpu", 1) is scan_graph.scan_session("float32", "cpu", 1)


@pytest.mark.parametrize("boost", [[-1.0], [np.nan], [[1.0]]])
def test_a_boost_that_would_make_no_bound_is_refused(boost: list[Any]) -> None:
    with pytest.raises(VectorIndexError, match="factor of 0 or more"):
        filled(10).search(clustered(1, 2), 3, boost=np.array(boost, np.float32))


@pytest.mark.parametrize("storage", STORAGES)
def test_boosts_and_masks_decide_inside_the_graph(storage: Storage) -> None:
    """An item far down comes first by its factor, and is out again by the mask."""
    index, query = filled(2000, storage), clustered(1, 2)
    last = int(index.search(query, 2000)[0][0, 800])
    boost = np.ones(2000, np.float32)
    boost[last] = 50
    allowed = np.ones(2000, np.bool_)
    assert index.search(query, 5, boost=boost)[0][0, 0] == last
    allowed[last] = False
    np.testing.assert_array_equal(index.search(query, 5, allowed, boost=boost)[0], index.search(query, 5)[0])


@pytest.mark.parametrize("saved", STORAGES)
@pytest.mark.parametrize("read", STORAGES)
def test_what_one_storage_saved_another_reads(saved: Storage, read: Storage, tmp_path: Path) -> None:
    filled(1500, saved).save(tmp_path)
    index = OnnxExactIndex(DIM, storage=read, threads=1)
    index.restore(tmp_path)
    queries = clustered(10, 2)
    np.testing.assert_array_equal(index.search(queries, 10)[0], oracle(1500).search(queries, 10)[0])
    numpy = ExactIndex(DIM)
    numpy.restore(tmp_path)
    assert len(numpy) == 1500


def test_memory_is_told_by_storage_and_what_lies_on_a_device_counts() -> None:
    sizes = {storage: filled(4096, storage).nbytes / 4096 for storage in STORAGES}
    assert sizes == {"float32": 4 * DIM + 3, "float16": 2 * DIM + 3, "int8": 3 * DIM + 4 + 3}
    index = filled(1000, "float16", blocks=DeviceBlocks("float16", "cpu", 512))
    index.search(clustered(1, 2), 1)
    assert index.nbytes == 1000 * (2 * DIM + 3) + 1024 * 2 * DIM


@pytest.mark.parametrize(("k", "rows"), [(1, 16), (10, 512), (90, 16_384), (600, 16_384), (50_000, 16_384)])
def test_every_step_takes_as_many_as_are_asked_for_or_all(k: int, rows: int) -> None:
    groups, fours, taken = (int(wanted(k, rows)[name][0]) for name in ("groups", "fours", "k"))
    assert groups == rows // 16 or groups >= k
    assert fours == groups * 4 or fours >= k
    assert taken == min(k, rows) <= fours * 4


def test_settings_build_it() -> None:
    index = build_index(IndexSettings(kind="exact", exact_storage="int8", max_items=100), 8)
    assert isinstance(index, OnnxExactIndex)
    assert index.storage == "int8"
    with pytest.raises(VectorIndexError, match="0 to 99"):
        index.upsert(np.array([100], np.int32), np.ones((1, 8)))


def test_a_removed_row_is_in_no_answer_though_its_numbers_are_still_scanned() -> None:
    for storage in STORAGES:
        index, gone = filled(600, storage), np.arange(0, 600, 2)
        index.search(clustered(1, 2), 1)
        index.remove(gone)
        found: Labels = index.search(clustered(8, 2), 600)[0]
        assert set(found[0].tolist()) == {-1, *range(1, 600, 2)}
