"""Approximate search by HNSW that stays whole while vectors change, sell out and come back."""

from __future__ import annotations

from math import ceil
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamrec.config import IndexSettings
from streamrec.index import files
from streamrec.index.codec import SAMPLE, Codec, CompactCodec, CompactOptions, WholeCodec
from streamrec.index.graph import Graph, GraphOptions, Rescore
from streamrec.index.memory import give_back
from streamrec.index.port import Labels, Vectors, as_changes, as_labels, as_vectors, check_k
from streamrec.index.rebuild import Rebuild
from streamrec.index.rows import Rows, empty_answer

#: Microseconds, measured with 512 dimensions; they grow with the dimension, so their proportions hold: fetching one more from the
#: graph, and scoring a row exactly once it is float32, which it becomes once for all queries of a batch.
_FETCH_US: Final = 1.2
_SCORE_US: Final = 0.03
#: What is fetched beyond k / selectivity, because a mask is seldom spread evenly around a query.
_SLACK: Final = 1.25
#: Fewer dead nodes than this are not worth a rebuild, whatever their share.
_MIN_DEAD: Final = 64
#: Rows that are encoded and inserted at once.
_CHUNK: Final = 16_384
#: Effort of the second look by a compact graph. At 200,000 items the first look left 5 queries of 2,000 below half of their ten,
#: 3 without any; this effort for the twentieth with the lowest best scores left 1, which had one of its ten.
_EF_AGAIN: Final = 1024
#: Where changes outrun the rebuild, the caller waits for it once so many nodes are dead: memory stays bounded.
_HARD_RATIO: Final = 0.6


class HnswIndex:
    """A graph for speed, rows for truth.

    - Rows are float16, which is how vectors travel, so nothing is lost that had not been before; the graph holds the same values as
      float32. Memory per distinct vector is about 4 × dim + 8 × m bytes in the graph, and 2 × dim per label in the rows.
    - From ``compact_from`` vectors on, rows and graph are compact (see the codec): about 0.82 KB per item of 512 dimensions. The
      codec is learnt from the catalogue and everything is built anew beside the old in the background, then swapped in.
    - A changed vector is a new node, found before the old one is marked deleted: the item is in every answer all the time.
    - Blocks are masks. Dead nodes are cleared by a rebuild in the background past ``max_tombstone_ratio``.
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
        compact_from: int = 0,
        compact: CompactOptions | None = None,
    ) -> None:
        self.dim = dim
        self._ef_search = ef_search
        self._max_tombstone_ratio = max_tombstone_ratio
        self._compact_from = compact_from
        self._compact = compact or CompactOptions()
        self._whole_options = GraphOptions(m, ef_construction, threads or -1)
        self._compact_options = GraphOptions(self._compact.m, ef_construction, threads or -1)
        self._rows = Rows(WholeCodec(dim, np.float16), max_items)
        self._graph = Graph(self._rows.codec, self._whole_options)
        self._rebuild: Rebuild | None = None

    def __len__(self) -> int:
        return self._rows.count

    def __contains__(self, label: object) -> bool:
        return self._rows.holds(label)

    @property
    def rows(self) -> Rows:
        """The vectors, to be read only."""
        return self._rows

    @property
    def version(self) -> int:
        """A number that differs whenever an answer may differ; see the port."""
        return self._rows.version

    @property
    def compact(self) -> bool:
        """Whether rows and graph are compact; see the port."""
        return self._rows.codec.reserve > 0

    @property
    def nbytes(self) -> int:
        """Bytes of graph and rows; see the port."""
        return self._graph.nbytes + self._rows.nbytes

    @property
    def tombstone_ratio(self) -> float:
        """The share of the graph's nodes that no label has any more."""
        return self._graph.dead / max(1, self._graph.nodes)

    @property
    def rebuilding(self) -> bool:
        """Whether a new graph is being built in the background."""
        return self._rebuild is not None

    def upsert(self, labels: ArrayLike, vectors: ArrayLike) -> None:
        """Set the vectors of labels; see the port. A vector that is stored as the same changes nothing."""
        rows, values = as_changes(labels, vectors, self.dim, self._rows.max_items)
        self._rows.reserve(rows)
        if self._compacts_at_once(len(rows)):
            self._start_compacting(values)
            self.finish_rebuild()
        for start in range(0, len(rows), _CHUNK):
            self._adopt()
            self._set(rows[start : start + _CHUNK], values[start : start + _CHUNK])

    def _set(self, rows: Labels, values: Vectors) -> None:
        stored = self._rows.codec.encode(values)
        new = ~self._rows.has(rows, stored)
        rows, stored = rows[new], stored[new]
        if len(rows):
            self._rows.put(rows, stored)
            self._graph.put(rows, stored)
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
        self._rows.block(as_labels(labels, self._rows.max_items))

    def unblock(self, labels: ArrayLike) -> None:
        """Let labels back into the answers; see the port."""
        self._rows.unblock(as_labels(labels, self._rows.max_items))

    def shown(self, labels: ArrayLike) -> NDArray[np.bool_]:
        """Tell which labels an answer may hold; see the port."""
        return self._rows.shown(as_labels(labels, self._rows.max_items))

    def vectors(self, labels: ArrayLike) -> Vectors:
        """Return the vectors of labels in the precision of the rows; see the port."""
        return self._rows.get(as_labels(labels, self._rows.max_items))

    def similarity(self, labels: ArrayLike, queries: ArrayLike) -> Vectors:
        """Return the cosines of labels with queries; see the port."""
        return self._rows.similarity(as_labels(labels, self._rows.max_items), as_vectors(queries, self.dim))

    def search(
        self, queries: ArrayLike, k: int, mask: NDArray[np.bool_] | None = None, *, blocked: bool = False
    ) -> tuple[Labels, Vectors]:
        """Return about the ``k`` best for each query, always ``k`` where so many are allowed; see the port."""
        check_k(k)
        points = as_vectors(queries, self.dim)
        self._adopt()
        codec = self._rows.codec
        allowed, count = self._rows.allowed(mask, blocked=blocked)
        turned = codec.turned(points)
        labels, scores = empty_answer(len(points), k)
        fetch = self._fetch(k, count)
        short = np.arange(len(points))
        while len(short) and not self._scan_is_cheaper(len(short), fetch, count):
            found = self._from_graph(turned[short], k, fetch, allowed)
            if found is None:
                break
            labels[short], scores[short] = found
            short = short[labels[short, -1] < 0]
            # The mask is thinner around these queries than elsewhere: look further before scanning everything.
            fetch *= 4
        if len(short):
            labels[short], scores[short] = self._rows.nearest(turned[short], k, np.flatnonzero(allowed))
        return labels, scores

    def _from_graph(self, turned: Vectors, k: int, fetch: int, allowed: NDArray[np.bool_]) -> tuple[Labels, Vectors] | None:
        """Ask the graph, and with more effort once more for queries whose answer is so far that it may have missed their region."""
        found = self._from_graph_at(turned, k, fetch, self._ef_search, allowed)
        if found is None:
            return None
        far = np.flatnonzero(found[1][:, 0] < self._rows.codec.far)
        if len(far):
            again = self._from_graph_at(turned[far], k, fetch, max(self._ef_search, _EF_AGAIN), allowed)
            if again is not None:
                found[0][far], found[1][far] = again
        return found

    def _from_graph_at(
        self, turned: Vectors, k: int, fetch: int, ef: int, allowed: NDArray[np.bool_]
    ) -> tuple[Labels, Vectors] | None:
        rescore: Rescore | None = (lambda labels: self._rows.rescore(turned, labels)) if self.compact else None
        return self._graph.search(self._rows.codec.heads(turned), k, fetch, ef, allowed, rescore=rescore)

    def _scan_is_cheaper(self, queries: int, fetch: int, allowed: int) -> bool:
        """Whether scoring all allowed rows, which is also exact, costs less than asking the graph."""
        return allowed * (_SCORE_US + self._rows.codec.scan_us / queries) <= _FETCH_US * max(fetch, self._ef_search)

    def _fetch(self, k: int, allowed: int) -> int:
        """Return how many nodes to ask for, so that ``k`` of them are probably allowed and good."""
        wanted = k + self._rows.codec.reserve
        return wanted if allowed == self._rows.count else ceil(_SLACK * wanted * self._rows.count / max(1, allowed))

    def finish_rebuild(self, timeout_s: float | None = None) -> bool:
        """Wait for a rebuild under way and take its graph; True when none is left."""
        if self._rebuild is not None:
            self._rebuild.join(timeout_s)
        self._adopt()
        return self._rebuild is None

    def save(self, folder: Path) -> None:
        """Write the index into an empty folder; see the port. What is being rebuilt is left out."""
        codec = self._rows.codec
        about = {"kind": "hnsw", "dim": self.dim, "codec": codec.kind, "reserve": codec.reserve, "graph_dim": codec.graph_dim}
        arrays = {**self._rows.save(), **self._graph.save(folder)}
        if isinstance(codec, CompactCodec):
            arrays |= {"rotation": codec.rotation, "scale": codec.scale, "far": np.array(codec.far)}
        files.write(folder, about, arrays)

    def restore(self, folder: Path) -> None:
        """Take what was saved, compact or not; see the port."""
        files.expect_empty(len(self))
        about, arrays = files.read(folder, "hnsw", self.dim)
        try:
            codec = self._codec(about, arrays)
            rows = Rows.restored(codec, self._rows.max_items, arrays)
            options = self._whole_options if codec.kind == "whole" else self._compact_options
            graph = Graph.restored(codec, options, folder, arrays)
        except (ValueError, KeyError, IndexError, RuntimeError) as error:
            raise files.torn(folder, error) from error
        self.close()
        rows.version += self._rows.version
        self._rows, self._graph = rows, graph
        self._changed(np.empty(0, np.int32))

    def _codec(self, about: dict[str, Any], arrays: files.Arrays) -> Codec:
        if about["codec"] == "whole":
            return WholeCodec(self.dim, np.float16)
        options = CompactOptions(graph_dim=about["graph_dim"], width=len(arrays["scale"]), reserve=about["reserve"])
        # Snapshots of before there was a second look are read; they have none until the codec is learnt again.
        return CompactCodec(arrays["rotation"], arrays["scale"], options, float(arrays.get("far", -np.inf)))

    def close(self) -> None:
        """Stop a rebuild under way; the index goes on answering from the graph it has."""
        if self._rebuild is not None:
            self._rebuild.cancel()
            self._rebuild = None

    def _changed(self, rows: Labels) -> None:
        """Tell the rebuild about rows that were written, and start one when it is time."""
        if self._rebuild is not None:
            self._rebuild.note(rows)
            if self.tombstone_ratio > _HARD_RATIO or (self._rebuild.compacting and self._rows.count > 2 * self._compact_from):
                self._rebuild.join()
            self._adopt()
        elif self._is_large(self._rows.count):
            self._start_compacting()
        elif self._graph.dead >= _MIN_DEAD and self.tombstone_ratio > self._max_tombstone_ratio:
            self._rebuild = Rebuild(self._rows, self._options)

    @property
    def _options(self) -> GraphOptions:
        return self._compact_options if self.compact else self._whole_options

    def _is_large(self, count: int) -> bool:
        """Whether so many vectors should be compact, and are not."""
        return 0 < self._compact_from <= count and not self.compact

    def _compacts_at_once(self, n: int) -> bool:
        """Whether a batch is to wait: it outweighs all that is there, so building that anew costs less than inserting it twice."""
        return self._rebuild is None and n >= self._rows.count and self._is_large(n + self._rows.count)

    def _start_compacting(self, sample: Vectors | None = None) -> None:
        """Learn a codec from ``sample``, or from what is there, and write everything anew by it in the background."""
        rows, options = self._rows, self._compact

        def learn() -> Codec:
            vectors = (
                _spread(sample) if sample is not None else rows.codec.floats(rows.matrix[_spread(np.flatnonzero(rows.present))])
            )
            return CompactCodec.learn(vectors, options)

        self._rebuild = Rebuild(rows, self._compact_options, learn)

    def _adopt(self) -> None:
        """Swap in what is rebuilt and ready; the old is freed here."""
        if self._rebuild is not None and self._rebuild.ready:
            rebuild, self._rebuild = self._rebuild, None
            self._graph, fresh = rebuild.finish()
            if fresh is not None:
                self._rows.recode(fresh.codec, fresh.matrix)
            self._rows.version += 1
            del rebuild, fresh
            give_back()


def _spread(values: NDArray[Any]) -> NDArray[Any]:
    """Return at most ``SAMPLE`` of the values, evenly from the first to the last."""
    return values[:: max(1, -(-len(values) // SAMPLE))]


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
        compact_from=settings.compact_from,
    )
