"""Exact search by ONNX graphs, on the CPU or a GPU: rows are written in place, so nothing is ever rebuilt or marked deleted."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamrec.config import IndexSettings
from streamrec.errors import ModelError, VectorIndexError
from streamrec.index.codes import Codes
from streamrec.index.exact import ExactIndex
from streamrec.index.port import Labels, Vectors, as_changes, as_vectors, check_k
from streamrec.index.rows import best_places, empty_answer
from streamrec.index.scan_blocks import Blocks, DeviceBlocks, HostBlocks
from streamrec.index.scan_graph import Provider, Storage, on_device, query_range, scan_session, wanted

_log: Final = logging.getLogger(__name__)
#: Scores of a block at once: 64 queries of 16,384 rows are 4 MB, of a GPU's 65,536 rows 64 MB for 256, however many rows there are.
_MAX_SCORES: Final = 1 << 20
_MAX_DEVICE_SCORES: Final = 1 << 24
#: Where fewer rows than one in so many are allowed, numpy scores these alone; on a GPU only few, as it is quick with all.
_SELECTIVE: Final = 8
_FEW_ON_DEVICE: Final = 2048
#: Rows looked at beyond those asked for, for the proof by int8; doubled up to the most where it fails for one query in so many.
_RESERVE: Final = 64
_MOST_RESERVE: Final = 1024
_FAILS: Final = 8
#: Beyond so many looked at for each query, or one row in ``_SELECTIVE``, it is cheaper to score all rows once for all of them.
_MOST_LOOKED_AT: Final = 2048


class OnnxExactIndex(ExactIndex):
    """Scores every row for every query in a graph, see ``scan_graph``; always right, of equal scores the lower label first.

    ``storage`` is what is scanned: float32 (4 × dim bytes an item), float16 (2 × dim: how vectors travel, so nothing is lost), or
    int8 beside float16 (3 × dim), which finds candidates by bounds, scores these by their float16 rows and proves that none is
    missing; for queries where the proof fails more are looked at, at last all. All answers are those of float32 arithmetic on the
    rows: scores that differ by less than 1e-6 count as equal. None is float32 on the CPU and float16 on a GPU; int8 is for the CPU.

    On the CPU graphs read numpy's memory. On a GPU blocks of rows stay there, changed rows are sent before the next search, and the
    rows in memory remain what is saved; when the GPU fails, the CPU goes on.
    """

    def __init__(
        self,
        dim: int,
        max_items: int = 2_000_000,
        *,
        storage: Storage | None = None,
        provider: Provider = "cpu",
        threads: int = 0,
        blocks: Blocks | None = None,
    ) -> None:
        if storage == "int8" and provider == "cuda":
            msg = "int8 rows are scanned on the CPU only; set index.exact_storage to float16 or auto, or index.provider to cpu"
            raise VectorIndexError(msg)
        self._threads = threads
        self.storage, self.provider = _chosen(storage, provider, threads)
        super().__init__(dim, max_items, np.float32 if self.storage == "float32" else np.float16)
        self._codes = Codes(dim) if self.storage == "int8" else None
        self._blocks: Blocks = blocks or (DeviceBlocks(self.storage) if self.provider == "cuda" else HostBlocks())
        self._reserve = _RESERVE

    @property
    def _in_memory(self) -> bool:
        return isinstance(self._blocks, HostBlocks)

    @property
    def nbytes(self) -> int:
        """Bytes of the rows, their codes, and what of them is on a GPU; see the port."""
        codes = self._codes.row_bytes * self._rows.used if self._codes is not None else 0
        return super().nbytes + codes + self._blocks.nbytes

    def upsert(self, labels: ArrayLike, vectors: ArrayLike) -> None:
        """Write the vectors of labels; see the port."""
        rows, values = as_changes(labels, vectors, self.dim, self._rows.max_items)
        written = self._written(rows, values)
        if len(written):
            self._note(written)

    def _note(self, written: Labels) -> None:
        """Bring what is scanned up to date with rows that were written."""
        if self._codes is not None:
            if self._codes.outgrown(self._rows.count):
                self._codes.renew(np.flatnonzero(self._rows.present).astype(np.int32), self._rows.get, len(self._rows.present))
            else:
                self._codes.put(written, self._rows.get(written), len(self._rows.present))
        self._blocks.note(written)

    def search(
        self,
        queries: ArrayLike,
        k: int,
        mask: NDArray[np.bool_] | None = None,
        *,
        blocked: bool = False,
        boost: NDArray[np.float32] | None = None,
    ) -> tuple[Labels, Vectors]:
        """Return the exact ``k`` best for each query, equal scores by label; see the port.

        ``boost`` (n,) float32 multiplies the scores of labels, those beyond its end are left as they are. Raises VectorIndexError
        if one is negative or not finite: a bound would be none.
        """
        check_k(k)
        asked = as_vectors(queries, self.dim)
        allowed, count = self._rows.allowed(mask, blocked=blocked)
        factors = None if boost is None else _factors(boost, len(allowed))
        answer = empty_answer(len(asked), k)
        if not count:
            return answer
        few = self._rows.used // _SELECTIVE
        if count <= (few if self._in_memory else min(few, _FEW_ON_DEVICE)):
            return self._all(asked, k, allowed, factors)
        step = max(1, (_MAX_SCORES if self._in_memory else _MAX_DEVICE_SCORES) // self._blocks.rows)
        for start in range(0, len(asked), step):
            part = slice(start, start + step)
            found = self._found(asked[part], min(k, count), allowed, count, factors)
            answer[0][part, : found[0].shape[1]], answer[1][part, : found[1].shape[1]] = found
        return answer

    def _found(
        self, queries: Vectors, k: int, allowed: NDArray[np.bool_], count: int, factors: Vectors | None
    ) -> tuple[Labels, Vectors]:
        """Return (q, k) labels and scores; at least ``k`` labels are allowed."""
        if self._codes is None:
            return self._scan(queries, k, allowed, factors, {})
        return self._proven(queries, k, allowed, count, factors)

    def _proven(
        self, queries: Vectors, k: int, allowed: NDArray[np.bool_], count: int, factors: Vectors | None
    ) -> tuple[Labels, Vectors]:
        """Take the best by their bounds, score them, and look further where one beyond them may be better."""
        labels, scores = empty_answer(len(queries), k)
        left, fetch = np.arange(len(queries)), k + self._reserve
        while len(left):
            if fetch > min(count // _SELECTIVE, _MOST_LOOKED_AT):
                labels[left], scores[left] = self._all(queries[left], k, allowed, factors)
                return labels, scores
            near, bounds = self._bounds(queries[left], fetch, allowed, factors)
            found, true = self._true(queries[left], near, k, factors)
            # None of the others can have a better score than the last that is taken.
            proven = true[:, -1] >= bounds[:, -1]
            labels[left[proven]], scores[left[proven]] = found[proven], true[proven]
            if (~proven).sum() * _FAILS > len(left):
                self._reserve = min(2 * self._reserve, _MOST_RESERVE)
            left, fetch = left[~proven], 4 * fetch
        return labels, scores

    def _bounds(self, queries: Vectors, k: int, allowed: NDArray[np.bool_], factors: Vectors | None) -> tuple[Labels, Vectors]:
        """Return the ``k`` labels with the greatest bounds, and these."""
        assert self._codes is not None
        codes, slack, worth = self._codes.question(queries, query_range(self._threads))
        labels, bounds = self._scan(codes, k, allowed, factors, {"slack": slack})
        return labels, (bounds * worth).astype(np.float32)

    def _true(self, queries: Vectors, labels: Labels, k: int, factors: Vectors | None) -> tuple[Labels, Vectors]:
        """Return the ``k`` best of each query's labels by their rows, equal ones by label."""
        labels = np.sort(labels, axis=1)
        scores = self._rows.rescore(queries, labels)
        if factors is not None:
            scores *= factors[labels]
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(labels, order, axis=1), np.take_along_axis(scores, order, axis=1)

    def _all(self, queries: Vectors, k: int, allowed: NDArray[np.bool_], factors: Vectors | None) -> tuple[Labels, Vectors]:
        """Score all that is allowed by its rows."""
        labels = np.flatnonzero(allowed)
        return self._rows.nearest(queries, k, labels, None if factors is None else factors[labels])

    def _scan(
        self, queries: NDArray[Any], k: int, allowed: NDArray[np.bool_], factors: Vectors | None, more: dict[str, NDArray[Any]]
    ) -> tuple[Labels, Vectors]:
        """Return the ``k`` best by the graph; at least as many are allowed."""
        feeds = {"allowed": allowed, **more}
        if factors is not None:
            feeds["boost"] = factors[:, None]
        parts: list[tuple[Vectors, NDArray[np.int64]]]
        try:
            parts = list(self._block_bests(queries, k, feeds))
        except Exception as error:  # onnxruntime raises its own types, and a lost device several of them
            if self._in_memory:
                raise
            _log.warning("exact search goes on on the CPU: the GPU failed (%s)", error)
            self.provider, self._blocks = "cpu", HostBlocks()
            parts = list(self._block_bests(queries, k, feeds))
        scores = np.concatenate([part[0] for part in parts], axis=1)
        places = np.concatenate([part[1] for part in parts], axis=1)
        if len(parts) > 1:
            # Blocks come in the order of labels and each has equal scores in it, so equal scores stay in it.
            best = np.array([best_places(row, k) for row in scores])
            scores, places = np.take_along_axis(scores, best, axis=1), np.take_along_axis(places, best, axis=1)
        return places[:, :k].astype(np.int32), scores[:, :k]

    def _block_bests(
        self, queries: NDArray[Any], k: int, feeds: dict[str, NDArray[Any]]
    ) -> Iterator[tuple[Vectors, NDArray[np.int64]]]:
        """Yield scores and labels of the best of each block in which something is allowed, best first."""
        matrix = self._rows.matrix if self._codes is None else self._codes.matrix
        session = scan_session(self.storage, self.provider, self._threads, boosted="boost" in feeds)
        for number, value in enumerate(self._blocks.values(matrix, self._rows.used)):
            start, size = number * self._blocks.rows, value.shape()[0]
            if not feeds["allowed"][start : start + size].any():
                continue
            binding = session.io_binding()
            binding.bind_ortvalue_input("rows", value)
            binding.bind_cpu_input("queries", queries)
            for name, array in feeds.items():
                binding.bind_cpu_input(name, _padded(array[start : start + size], size))
            for name, array in wanted(k, size).items():
                binding.bind_cpu_input(name, array)
            for name in ("scores", "places"):
                binding.bind_output(name, "cpu")
            session.run_with_iobinding(binding)
            scores, places = binding.copy_outputs_to_cpu()
            yield scores, places + start

    def restore(self, folder: Path) -> None:
        """Take what was saved, in whichever precision; see the port."""
        super().restore(folder)
        self._note(np.flatnonzero(self._rows.present).astype(np.int32))


def _chosen(storage: Storage | None, provider: Provider, threads: int) -> tuple[Storage, Provider]:
    """Return what is scanned and where; raises VectorIndexError where a GPU is demanded and cannot be had."""
    if provider == "cpu" or storage == "int8":
        return storage or "float32", "cpu"
    try:
        session = scan_session(storage or "float16", provider, threads)
    except ModelError as error:
        msg = f"index.provider is cuda, but no scan can be opened on it ({error}); set index.provider to auto or cpu"
        raise VectorIndexError(msg) from error
    return (storage or "float16", "cuda") if on_device(session) else (storage or "float32", "cpu")


def _factors(boost: NDArray[np.float32], n: int) -> Vectors:
    """Return factors for ``n`` labels, 1 beyond those given."""
    given = np.asarray(boost, np.float32)
    if given.ndim != 1 or not np.isfinite(given).all() or (given < 0).any():
        told = f"boosts have shape {given.shape} and run from {given.min(initial=0)} to {given.max(initial=0)}"
        msg = f"{told}; pass one factor of 0 or more per label"
        raise VectorIndexError(msg)
    factors = np.ones(n, np.float32)
    factors[: len(given)] = given[:n]
    return factors


def _padded(array: NDArray[Any], size: int) -> NDArray[Any]:
    """Return the array of ``size`` rows that begins with this one; what is added may not be found, being False in the mask."""
    if len(array) == size:
        return array
    padded = np.zeros((size, *array.shape[1:]), array.dtype)
    padded[: len(array)] = array
    return padded


def build_exact(settings: IndexSettings, dim: int) -> OnnxExactIndex:
    """Return an empty exact index as the settings describe it."""
    storage = None if settings.exact_storage == "auto" else settings.exact_storage
    return OnnxExactIndex(dim, settings.max_items, storage=storage, provider=settings.provider, threads=settings.threads)
