"""Approximate search by HNSW that stays whole while vectors change, sell out and come back."""

from __future__ import annotations

from math import ceil
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamrec.config import IndexSettings
from streamrec.index.graph import Graph, GraphOptions
from streamrec.index.port import Labels, Vectors, as_changes, as_labels, as_vectors, check_k
from streamrec.index.rebuild import Rebuild
from streamrec.index.rows import Rows

#: Microseconds, measured with 512 dimensions; all three grow with the dimension, so their proportions hold: fetching one more
#: from the graph, scoring a row exactly, and converting a row to float32, once for all queries of a batch.
_FETCH_US: Final = 1.2
_SCORE_US: Final = 0.03
_WIDEN_US: Final = 0.13
#: What is fetched beyond k / selectivity, because a mask is seldom spread evenly around a query.
_SLACK: Final = 1.25
#: Fewer dead nodes than this are not worth a rebuild, whatever their share.
_MIN_DEAD: Final = 64
#: Where changes outrun the rebuild, the caller waits for it once so many nodes are dead: memory stays bounded.
_HARD_RATIO: Final = 0.6


class HnswIndex:
    """A graph for speed, the vectors as float16 rows for truth.

    - Rows are float16, which is how vectors travel, so nothing is lost that had not been before; the graph holds the same values as
      float32. Memory per distinct vector is about 4 × dim + 8 × m bytes in the graph, and 2 × dim per label in the rows.
    - A changed vector is a new node, found before the old one is marked deleted: the item is in every answer all the time.
    - Blocks are marks. Dead nodes are cleared by a rebuild in the background past ``max_tombstone_ratio``.
    - A search answers exactly, from the rows, where few labels are allowed or the graph finds too few of them. hnswlib's own filter
      is not used: called back for each visited node, it took 2.3 times as long as none and needs one thread (measured).
    """

    def __init__(
        self,
        dim: int,
        *,
        m: int = 16,
        ef_construction: int = 100,
        ef_search: int = 64,
        max_tombstone_ratio: float = 0.2,
        max_items: int = 2_000_000,
        threads: int = 0,
    ) -> None:
        self.dim = dim
        self._ef_search = ef_search
        self._max_tombstone_ratio = max_tombstone_ratio
        self._options = GraphOptions(m, ef_construction, threads or -1)
        self._rows = Rows(dim, max_items, np.float16)
        self._graph = Graph(dim, self._options)
        self._rebuild: Rebuild | None = None

    def __len__(self) -> int:
        return self._rows.count

    def __contains__(self, label: object) -> bool:
        return self._rows.holds(label)

    @property
    def version(self) -> int:
        """A number that differs whenever an answer may differ; see the port."""
        return self._rows.version

    @property
    def tombstone_ratio(self) -> float:
        """The share of the graph's nodes that no label has any more."""
        return self._graph.dead / max(1, self._graph.nodes)

    @property
    def rebuilding(self) -> bool:
        """Whether a new graph is being built in the background."""
        return self._rebuild is not None

    def upsert(self, labels: ArrayLike, vectors: ArrayLike) -> None:
        """Set the vectors of labels; see the port. A vector that is the same in float16 changes nothing."""
        rows, values = as_changes(labels, vectors, self.dim, self._rows.max_items)
        self._rows.reserve(rows)
        halves = values.astype(np.float16)
        same = self._rows.present[rows] & (self._rows.matrix[rows] == halves).all(axis=1)
        rows, halves = rows[~same], halves[~same]
        if len(rows):
            self._rows.put(rows, halves)
            self._graph.put(rows, halves)
            self._graph.hide(rows[self._rows.blocked[rows]])
            self._changed(rows)

    def remove(self, labels: ArrayLike) -> None:
        """Forget the vectors of labels; see the port."""
        rows = self._rows.known(np.unique(as_labels(labels, self._rows.max_items)))
        if len(rows):
            self._rows.drop(rows)
            self._graph.drop(rows)
            self._changed(rows)

    def block(self, labels: ArrayLike) -> None:
        """Keep labels out of every answer; see the port."""
        self._graph.hide(self._rows.block(as_labels(labels, self._rows.max_items)))

    def unblock(self, labels: ArrayLike) -> None:
        """Let labels back into the answers; see the port."""
        self._graph.show(self._rows.unblock(as_labels(labels, self._rows.max_items)))

    def vectors(self, labels: ArrayLike) -> Vectors:
        """Return the vectors of labels in float16's precision; see the port."""
        return self._rows.get(as_labels(labels, self._rows.max_items))

    def search(self, queries: ArrayLike, k: int, mask: NDArray[np.bool_] | None = None) -> tuple[Labels, Vectors]:
        """Return about the ``k`` best for each query, always ``k`` where so many are allowed; see the port."""
        check_k(k)
        points = as_vectors(queries, self.dim)
        self._adopt()
        allowed = self._rows.allowed(mask)
        count = int(np.count_nonzero(allowed))
        labels, scores = np.full((len(points), k), -1, np.int32), np.full((len(points), k), -np.inf, np.float32)
        fetch = k if mask is None else self._fetch(k, count)
        short = np.arange(len(points))
        while len(short) and not self._scan_is_cheaper(len(short), fetch, count):
            found = self._graph.search(points[short], k, fetch, self._ef_search, allowed)
            if found is None:
                break
            labels[short], scores[short] = found
            short = short[labels[short, -1] < 0]
            # The mask is thinner around these queries than elsewhere: look further before scanning everything.
            fetch *= 4
        if len(short):
            labels[short], scores[short] = self._rows.nearest(points[short], k, np.flatnonzero(allowed))
        return labels, scores

    def _scan_is_cheaper(self, queries: int, fetch: int, allowed: int) -> bool:
        """Whether scoring all allowed rows, which is also exact, costs less than asking the graph."""
        return allowed * (_SCORE_US + _WIDEN_US / queries) <= _FETCH_US * max(fetch, self._ef_search)

    def _fetch(self, k: int, allowed: int) -> int:
        unblocked = int(np.count_nonzero(self._rows.allowed(None)))
        return ceil(_SLACK * k * unblocked / max(1, allowed))

    def finish_rebuild(self, timeout_s: float | None = None) -> bool:
        """Wait for a rebuild under way and take its graph; True when none is left."""
        if self._rebuild is not None:
            self._rebuild.join(timeout_s)
        self._adopt()
        return self._rebuild is None

    def close(self) -> None:
        """Stop a rebuild under way; the index goes on answering from the graph it has."""
        if self._rebuild is not None:
            self._rebuild.cancel()
            self._rebuild = None

    def _changed(self, rows: Labels) -> None:
        """Tell the rebuild about rows that were written, and start one when it is time."""
        if self._rebuild is not None:
            self._rebuild.note(rows)
            if self.tombstone_ratio > _HARD_RATIO:
                self._rebuild.join()
            self._adopt()
        elif self._graph.dead >= _MIN_DEAD and self.tombstone_ratio > self._max_tombstone_ratio:
            self._rebuild = Rebuild(self._rows, self.dim, self._options)

    def _adopt(self) -> None:
        """Swap in a rebuilt graph that is ready; the old one is freed here."""
        if self._rebuild is not None and self._rebuild.ready:
            rebuild, self._rebuild = self._rebuild, None
            self._graph = rebuild.finish()
            self._rows.version += 1


def build_hnsw(settings: IndexSettings, dim: int) -> HnswIndex:
    """Return an empty HNSW index as the settings describe it."""
    return HnswIndex(
        dim,
        m=settings.m,
        ef_construction=settings.ef_construction,
        ef_search=settings.ef_search,
        max_tombstone_ratio=settings.max_tombstone_ratio,
        max_items=settings.max_items,
        threads=settings.threads,
    )
