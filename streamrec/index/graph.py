"""One HNSW graph over distinct vectors, and which labels share each of its nodes.

Catalogues repeat themselves: a hundred sizes of one cable have one text and so one vector. A graph with a node per label links such
twins to each other only and loses the rest of the catalogue (at 300 twins recall fell to 0.75 and single queries to 0), so a node
stands for one distinct vector and carries all labels that have it.

Algorithm: Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using hierarchical navigable small world
graphs", 2016, by hnswlib.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import hnswlib
import numpy as np
from numpy.typing import NDArray

from streamrec.index.codec import Codec, Stored
from streamrec.index.files import Arrays
from streamrec.index.nodes import NodeMap, Nodes, digests
from streamrec.index.owners import NOBODY, SEVERAL, Owners
from streamrec.index.port import Labels, Vectors
from streamrec.index.rows import empty_answer, grown

#: Below so many vectors starting threads costs more than it brings.
_SMALL_BATCH: Final = 32
#: Vectors inserted at once: as float32 they are 8 MB with 512 dimensions.
_CHUNK: Final = 4096
_FIRST_NODES: Final = 1024
#: Effort of the search by which a new node is to be found.
_STRAY_EF: Final = 32
#: Scores closer than this are the same; float16 vectors of equal texts may differ by as much.
_SAME_SCORE: Final = 1e-4
#: Scoring strays of so many numbers together takes about 0.1 ms per batch of queries: 512 of 512 dimensions, 4,096 of 64.
_MAX_STRAY_NUMBERS: Final = 1 << 18
#: What hnswlib 0.8 keeps per node beside vector and links: label, pointer, level, lock, visit mark; an entry of its label map
#: (32 in the heap, its bucket); links above the bottom layer, of which one node in m has some.
_NODE_BYTES: Final = 8 + 8 + 4 + 40 + 2 + 32 + 9 + 4

_FILE: Final = "graph.hnsw"

#: From (q, n) labels to their (q, n) scores.
Rescore = Callable[[Labels], Vectors]


@dataclass(frozen=True, slots=True)
class GraphOptions:
    """How graphs are built: links per node, effort while building, threads (-1: one per core)."""

    m: int
    ef_construction: int
    threads: int


class Graph:
    """Nodes of distinct vectors with their labels. A node is found while it has a label.

    A node is never changed and never taken out, only marked; ``dead`` counts those that no label has any more. Not thread-safe.
    """

    def __init__(self, codec: Codec, options: GraphOptions, capacity: int = _FIRST_NODES) -> None:
        self._codec = codec
        self._options = options
        self._index: Any = hnswlib.Index(space="ip", dim=codec.graph_dim)
        self._index.init_index(max_elements=capacity, M=options.m, ef_construction=options.ef_construction, random_seed=1)
        self._ef = 0
        self._map = NodeMap()
        self._owners = Owners(capacity)
        #: Per node whether the graph is told not to find it.
        self._marked: NDArray[np.bool_] = np.zeros(capacity, np.bool_)
        #: Nodes that the graph has no way to, with what it sees of them: scored one by one for each query, and always marked,
        #: because where a search does happen to reach one it would be answered twice.
        self._strays: dict[int, Vectors] = {}
        self._living_strays: tuple[Nodes, Vectors] | None = None
        self.dead = 0
        self.findable = 0

    @property
    def nodes(self) -> int:
        """How many nodes there are, dead ones included."""
        return self._map.count

    @property
    def nbytes(self) -> int:
        """Bytes of the graph and of what is kept beside it; hnswlib's part is counted, as it does not tell its own."""
        node = 4 * self._codec.graph_dim + 8 * self._options.m + 4 + _NODE_BYTES + 5
        return self.nodes * node + self._map.nbytes + self._owners.node_of.nbytes

    def put(self, labels: Labels, stored: Stored) -> None:
        """Give distinct labels these stored vectors; each is first joined to its new node and only then leaves the old one."""
        for start in range(0, len(labels), _CHUNK):
            nodes = self._found_or_new(stored[start : start + _CHUNK])
            joined, left = self._owners.move(labels[start : start + _CHUNK], nodes)
            self._revive(joined)
            self._abandon(left)

    def drop(self, labels: Labels) -> None:
        """Take distinct labels off their nodes; unknown labels are ignored."""
        self._abandon(self._owners.drop(labels))

    def _found_or_new(self, stored: Stored) -> Nodes:
        """Return the node of each stored vector; those that have none get one."""
        keys = digests(stored)
        nodes = self._map.find(keys)
        unknown = np.flatnonzero(nodes < 0)
        if len(unknown):
            distinct, first, which = np.unique(keys[unknown], return_index=True, return_inverse=True)
            nodes[unknown] = self.nodes + which
            self._insert(distinct, self._codec.points(stored[unknown[first]]))
        return nodes

    def _insert(self, keys: NDArray[np.uint64], points: Vectors) -> None:
        """Add a node for each new vector."""
        first, count = self.nodes, len(points)
        self._reserve(first + count)
        threads = 1 if count < _SMALL_BATCH else self._options.threads
        self._index.add_items(points, np.arange(first, first + count), num_threads=threads)
        self._map.add(keys)
        self.dead += count
        self.findable += count
        self._find_strays(first, points, threads)

    def _find_strays(self, first: int, points: Vectors, threads: int) -> None:
        """Set aside the new nodes that a search for their own vector does not find.

        Where a neighbourhood's links are full, HNSW can leave a node without a way to it: about one in 6,000 of 512 dimensions, one
        in 700 of 64 with 12 links. Without this its item would be in nobody's answers. The search costs a fifth of the insert.
        """
        self._set_ef(_STRAY_EF)
        own = 1.0 - np.einsum("nd,nd->n", points, points)
        try:
            distances = self._index.knn_query(points, k=1, num_threads=threads)[1][:, 0]
        except RuntimeError:
            # Nothing but deleted nodes within reach of one of them.
            distances = np.full(len(points), np.inf)
        room = max(0, _MAX_STRAY_NUMBERS // self._codec.graph_dim - len(self._strays))
        for i in np.flatnonzero(distances > own + _SAME_SCORE)[:room].tolist():
            self._mark(first + i)
            self._strays[first + i] = points[i].copy()

    def _reserve(self, nodes: int) -> None:
        have = len(self._marked)
        if nodes > have:
            size = max(nodes, have + have // 2)
            self._index.resize_index(size)
            self._owners.reserve(size)
            self._marked = grown(self._marked, size)

    def _revive(self, nodes: Nodes) -> None:
        """Let the graph find nodes that have a label again, or for the first time."""
        self.dead -= len(nodes)
        self._living_strays = None
        for node in nodes[self._marked[nodes]].tolist():
            if node not in self._strays:
                self._index.unmark_deleted(node)
                self._marked[node] = False
                self.findable += 1

    def _abandon(self, nodes: Nodes) -> None:
        """Let the graph find nodes no more that have no label."""
        self.dead += len(nodes)
        self._living_strays = None
        for node in nodes[~self._marked[nodes]].tolist():
            self._mark(node)

    def _mark(self, node: int) -> None:
        self._index.mark_deleted(node)
        self._marked[node] = True
        self.findable -= 1

    def search(
        self, points: Vectors, k: int, fetch: int, ef: int, allowed: NDArray[np.bool_], *, rescore: Rescore | None = None
    ) -> tuple[Labels, Vectors] | None:
        """Return up to ``k`` allowed labels per query out of its ``fetch`` nearest nodes, padded; None if hnswlib finds too few.

        With ``rescore`` the nodes are scored and ordered again by what it says of one label of each.
        """
        fetch = min(fetch, self.findable)
        # With ef equal to fetch the last of the fetched are often not the right ones.
        self._set_ef(max(ef, fetch + ef // 2))
        try:
            found, distances = self._index.knn_query(points, k=fetch, num_threads=self._options.threads)
        except RuntimeError:
            # hnswlib raises when a part of the graph that the search cannot leave holds fewer than it was asked for.
            return None
        nodes, scores = self._with_strays(points, found.astype(np.int32), (1.0 - distances).astype(np.float32))
        if rescore is not None:
            nodes, scores = _ordered(nodes, rescore(self._owners.one(nodes)))
        return self._labels(nodes, scores, k, allowed)

    def _labels(self, nodes: Nodes, scores: Vectors, k: int, allowed: NDArray[np.bool_]) -> tuple[Labels, Vectors]:
        """Return the ``k`` best allowed labels of nodes, which are best first."""
        owners = self._owners.of[nodes]
        if nodes.shape[1] >= k and (owners >= 0).all() and allowed[owners].all():
            return owners[:, :k], scores[:, :k]
        best = empty_answer(len(nodes), k)
        for i in range(len(nodes)):
            labels, label_scores = owners[i], scores[i]
            if (labels == SEVERAL).any():
                labels, label_scores = self._owners.expand(nodes[i], label_scores, k, allowed)
            passing = np.flatnonzero(allowed[labels])[:k]
            best[0][i, : len(passing)] = labels[passing]
            best[1][i, : len(passing)] = label_scores[passing]
        return best

    def _set_ef(self, ef: int) -> None:
        if ef != self._ef:
            self._index.set_ef(ef)
            self._ef = ef

    def _with_strays(self, points: Vectors, nodes: Nodes, scores: Vectors) -> tuple[Nodes, Vectors]:
        """Merge the living strays, scored exactly, into what the graph found; as many per query as before."""
        if self._living_strays is None:
            living = [node for node in self._strays if self._owners.of[node] != NOBODY]
            vectors = np.array([self._strays[node] for node in living], np.float32).reshape(-1, self._codec.graph_dim)
            self._living_strays = np.array(living, np.int32), vectors
        strays, vectors = self._living_strays
        if not len(strays):
            return nodes, scores
        stray_scores = points @ vectors.T
        all_nodes = np.hstack([nodes, np.broadcast_to(strays, stray_scores.shape)])
        return _ordered(all_nodes, np.hstack([scores, stray_scores]), nodes.shape[1])

    def save(self, folder: Path) -> Arrays:
        """Write hnswlib's file and return what else is to be written."""
        self._index.save_index(str(folder / _FILE))
        return {
            "node_of": self._owners.node_of,
            "digests": self._map.digests,
            "stray_nodes": np.array(list(self._strays), np.int32),
            "stray_points": np.array(list(self._strays.values()), np.float32).reshape(-1, self._codec.graph_dim),
        }

    @classmethod
    def restored(cls, codec: Codec, options: GraphOptions, folder: Path, arrays: Arrays) -> Graph:
        """Return the graph that was saved; links per node stay as they were.

        Raises RuntimeError, ValueError, IndexError or KeyError where the files do not belong together.
        """
        graph, nodes = cls(codec, options, 1), len(arrays["digests"])
        capacity = nodes + nodes // 8 + _FIRST_NODES
        graph._index = hnswlib.Index(space="ip", dim=codec.graph_dim)
        graph._index.load_index(str(folder / _FILE), max_elements=capacity)
        if graph._index.get_current_count() != nodes:
            msg = f"the graph has {graph._index.get_current_count()} nodes instead of {nodes}"
            raise ValueError(msg)
        graph._map.add(arrays["digests"])
        graph._owners = Owners.restored(arrays["node_of"], nodes, capacity)
        graph._strays = dict(zip(arrays["stray_nodes"].tolist(), arrays["stray_points"], strict=True))
        graph._marked = np.zeros(capacity, np.bool_)
        gone = graph._owners.of[:nodes] == NOBODY
        graph._marked[:nodes] = gone
        graph._marked[arrays["stray_nodes"]] = True
        graph.dead = int(np.count_nonzero(gone))
        graph.findable = nodes - int(np.count_nonzero(graph._marked))
        return graph


def _ordered(nodes: Nodes, scores: Vectors, keep: int | None = None) -> tuple[Nodes, Vectors]:
    """Return nodes and scores of each query best first, at most ``keep``."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :keep]
    return np.take_along_axis(nodes, order, axis=1), np.take_along_axis(scores, order, axis=1)
