"""The engines that are measured, each used as its authors mean it to be, with the same M, ef_construction and ef_search."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from streamrec.bench.index.world import Floats, Labels
from streamrec.config import IndexSettings
from streamrec.index.hnsw import build_hnsw


class Engine(Protocol):
    """An index of labels 0 to n - 1, filled once and then changed in place."""

    def fill(self, labels: Labels, vectors: Floats) -> None:
        """Add labels that are not there yet."""
        ...

    def change(self, labels: Labels, vectors: Floats) -> None:
        """Give labels other vectors."""
        ...

    def hide(self, labels: Labels) -> None:
        """Keep labels out of the answers."""
        ...

    def show(self, labels: Labels, vectors: Floats) -> None:
        """Let labels back, which still have these vectors."""
        ...

    def search(self, queries: Floats, k: int) -> Labels:
        """Return the k nearest labels of each query, (q, k) int, padded with -1."""
        ...

    def settle(self) -> None:
        """Wait for work in the background."""
        ...


class Ours:
    """streamrec.index.HnswIndex."""

    def __init__(self, settings: IndexSettings, dim: int, items: int) -> None:
        self.index = build_hnsw(settings.model_copy(update={"max_items": max(items, 1)}), dim)

    def fill(self, labels: Labels, vectors: Floats) -> None:
        """See the port."""
        self.index.upsert(labels, vectors)

    def change(self, labels: Labels, vectors: Floats) -> None:
        """See the port."""
        self.index.upsert(labels, vectors)

    def hide(self, labels: Labels) -> None:
        """See the port."""
        self.index.block(labels)

    def show(self, labels: Labels, vectors: Floats) -> None:  # noqa: ARG002 - the index has them
        """See the port."""
        self.index.unblock(labels)

    def search(self, queries: Floats, k: int) -> Labels:
        """See the port."""
        return self.index.search(queries, k)[0]

    def settle(self) -> None:
        """See the port."""
        self.index.finish_rebuild()


class _Hnswlib:
    """hnswlib: a changed vector is written over its label's by add_items, sold out is mark_deleted.

    add_items takes the mark of a label away, so a sold-out one is marked again after it changed.
    """

    def __init__(self, settings: IndexSettings, dim: int, items: int) -> None:
        import hnswlib  # noqa: PLC0415 - peers are extras

        self._index: Any = hnswlib.Index(space="ip", dim=dim)
        self._index.init_index(max_elements=items, M=settings.m, ef_construction=settings.ef_construction, random_seed=1)
        self._index.set_ef(settings.ef_search)
        self._hidden: set[int] = set()

    def fill(self, labels: Labels, vectors: Floats) -> None:
        self._index.add_items(vectors, labels)

    def change(self, labels: Labels, vectors: Floats) -> None:
        self._index.add_items(vectors, labels)
        for label in self._hidden.intersection(labels.tolist()):
            self._index.mark_deleted(label)

    def hide(self, labels: Labels) -> None:
        self._hidden.update(labels.tolist())
        for label in labels.tolist():
            self._index.mark_deleted(label)

    def show(self, labels: Labels, vectors: Floats) -> None:  # noqa: ARG002
        self._hidden.difference_update(labels.tolist())
        for label in labels.tolist():
            self._index.unmark_deleted(label)

    def search(self, queries: Floats, k: int) -> Labels:
        try:
            found: Labels = self._index.knn_query(queries, k=k)[0].astype(np.int32)
        except RuntimeError:  # it found fewer than k for one of them, and answers nothing at all
            found = np.full((len(queries), k), -1, np.int32)
        return found

    def settle(self) -> None:
        return


class _Usearch:
    """usearch: a changed vector is removed and added again, sold out is removed, and added when it returns; it has no marks."""

    def __init__(self, settings: IndexSettings, dim: int, items: int) -> None:  # noqa: ARG002 - it grows by itself
        from usearch.index import Index  # noqa: PLC0415

        self._index: Any = Index(
            ndim=dim,
            metric="ip",
            dtype="f32",
            connectivity=settings.m,
            expansion_add=settings.ef_construction,
            expansion_search=settings.ef_search,
        )
        self._hidden: set[int] = set()

    def fill(self, labels: Labels, vectors: Floats) -> None:
        self._index.add(labels.astype(np.uint64), vectors)

    def change(self, labels: Labels, vectors: Floats) -> None:
        there = np.array([label not in self._hidden for label in labels.tolist()])
        if there.any():
            self._index.remove(labels[there].astype(np.uint64))
            self._index.add(labels[there].astype(np.uint64), vectors[there])

    def hide(self, labels: Labels) -> None:
        self._index.remove(labels.astype(np.uint64))
        self._hidden |= set(labels.tolist())

    def show(self, labels: Labels, vectors: Floats) -> None:
        self._hidden -= set(labels.tolist())
        self._index.add(labels.astype(np.uint64), vectors)

    def search(self, queries: Floats, k: int) -> Labels:
        matches = self._index.search(queries, k)
        keys, counts = np.atleast_2d(matches.keys), np.atleast_1d(getattr(matches, "counts", len(matches)))
        found = np.full((len(queries), k), -1, np.int32)
        for i, count in enumerate(counts.tolist()):
            found[i, :count] = keys[i, :count]
        return found

    def settle(self) -> None:
        return


class _Faiss:
    """faiss IndexHNSWFlat, which cannot delete: a changed vector is appended, and a selector passes over old and sold-out ones."""

    def __init__(self, settings: IndexSettings, dim: int, items: int) -> None:
        import faiss  # noqa: PLC0415

        self._faiss: Any = faiss
        self._index: Any = faiss.IndexHNSWFlat(dim, settings.m, faiss.METRIC_INNER_PRODUCT)
        self._index.hnsw.efConstruction, self._index.hnsw.efSearch = settings.ef_construction, settings.ef_search
        self._ef = settings.ef_search
        self._node_of = np.full(items, -1, np.int64)
        self._owner: NDArray[np.int32] = np.empty(0, np.int32)
        self._hidden = np.zeros(items, np.bool_)
        self._bits: NDArray[np.uint8] | None = None

    def fill(self, labels: Labels, vectors: Floats) -> None:
        self._owner[self._node_of[labels][self._node_of[labels] >= 0]] = -1
        self._node_of[labels] = len(self._owner) + np.arange(len(labels))
        self._owner = np.concatenate([self._owner, labels.astype(np.int32)])
        self._index.add(np.ascontiguousarray(vectors))
        self._bits = None

    def change(self, labels: Labels, vectors: Floats) -> None:
        self.fill(labels, vectors)

    def hide(self, labels: Labels) -> None:
        self._hidden[labels] = True
        self._bits = None

    def show(self, labels: Labels, vectors: Floats) -> None:  # noqa: ARG002
        self._hidden[labels] = False
        self._bits = None

    def search(self, queries: Floats, k: int) -> Labels:
        if self._bits is None:
            self._bits = np.packbits((self._owner >= 0) & ~self._hidden[self._owner], bitorder="little")
        chosen = self._faiss.IDSelectorBitmap(self._bits)
        params = self._faiss.SearchParametersHNSW(sel=chosen, efSearch=self._ef)
        nodes = self._index.search(queries, k, params=params)[1]
        return np.where(nodes < 0, -1, self._owner[nodes]).astype(np.int32)

    def settle(self) -> None:
        return


OURS: Final = "streamrec"
ENGINES: Final[dict[str, Callable[[IndexSettings, int, int], Engine]]] = {
    OURS: Ours,
    "hnswlib": _Hnswlib,
    "usearch": _Usearch,
    "faiss": _Faiss,
}
PEERS: Final = tuple(name for name in ENGINES if name != OURS)


def missing_peers(names: tuple[str, ...]) -> dict[str, str]:
    """Return the peers whose package is not installed, each with what to do."""
    return {name: "not installed; run: pip install 'streamrec[bench]'" for name in names if find_spec(name) is None}
