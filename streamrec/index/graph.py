"""One HNSW graph over distinct vectors, and which labels share each of its nodes.

Catalogues repeat themselves: a hundred sizes of one cable have one text and so one vector. A graph with a node per label links such
twins to each other only and loses the rest of the catalogue (at 300 twins recall fell to 0.75 and single queries to 0), so a node
stands for one distinct vector and carries all labels that have it.

Algorithm: Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using hierarchical navigable small world
graphs", 2016, by hnswlib.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

import hnswlib
import numpy as np
from numpy.typing import NDArray

from streamrec.index.port import Labels, Vectors
from streamrec.index.rows import empty_answer, grown

#: Below so many vectors starting threads costs more than it brings.
_SMALL_BATCH: Final = 32
_FIRST_NODES: Final = 1024
#: Effort of the search by which a new node is to be found.
_STRAY_EF: Final = 32
#: Scores closer than this are the same; float16 vectors of equal texts may differ by as much.
_SAME_SCORE: Final = 1e-4
#: Scoring so many strays takes about 0.1 ms per batch of queries.
_MAX_STRAYS: Final = 512
#: In ``_owner``: no label, several labels.
_NOBODY: Final = -1
_SEVERAL: Final = -2


@dataclass(frozen=True, slots=True)
class GraphOptions:
    """How graphs are built: links per node, effort while building, threads (-1: one per core)."""

    m: int
    ef_construction: int
    threads: int


class Graph:
    """Nodes of distinct vectors with their labels. A node is found while at least one of its labels is not hidden.

    A node is never changed and never taken out, only marked; ``dead`` counts those that no label has any more. Not thread-safe.
    """

    def __init__(self, dim: int, options: GraphOptions, capacity: int = _FIRST_NODES) -> None:
        self._options = options
        self._index: Any = hnswlib.Index(space="ip", dim=dim)
        self._index.init_index(max_elements=capacity, M=options.m, ef_construction=options.ef_construction, random_seed=1)
        self._ef = 0
        self._by_vector: dict[bytes, int] = {}
        #: Per node: its one label, or _NOBODY or _SEVERAL; how many of its labels are not hidden.
        self._owner: NDArray[np.int32] = np.full(capacity, _NOBODY, np.int32)
        self._visible: NDArray[np.int32] = np.zeros(capacity, np.int32)
        self._members: dict[int, set[int]] = {}
        self._sorted: dict[int, Labels] = {}
        #: Nodes that the graph has no way to, with their vectors: scored one by one for each query.
        self._strays: dict[int, Vectors] = {}
        #: Per label: its node or -1, and whether it is hidden.
        self._node_of: NDArray[np.int32] = np.full(capacity, -1, np.int32)
        self._hidden: NDArray[np.bool_] = np.zeros(capacity, np.bool_)
        self.nodes = 0
        self.dead = 0
        self.findable = 0

    def put(self, labels: Labels, vectors: NDArray[np.float16]) -> None:
        """Give distinct labels these vectors; each label is first joined to its new node and only then leaves the old one."""
        self._know(labels)
        keys = [_digest(vector) for vector in vectors]
        fresh: dict[bytes, int] = {}
        for position, key in enumerate(keys):
            if key not in self._by_vector:
                fresh.setdefault(key, position)
        self._insert(fresh, vectors)
        for label, key in zip(labels.tolist(), keys, strict=True):
            self._move(label, self._by_vector[key])

    def _insert(self, fresh: dict[bytes, int], vectors: NDArray[np.float16]) -> None:
        """Add a node for each new vector, marked until a visible label joins it."""
        if not fresh:
            return
        first, count = self.nodes, len(fresh)
        self._reserve(first + count)
        threads = 1 if count < _SMALL_BATCH else self._options.threads
        rows = vectors[list(fresh.values())].astype(np.float32)
        self._index.add_items(rows, np.arange(first, first + count), num_threads=threads)
        self.nodes += count
        self.dead += count
        self._find_strays(first, rows, threads)
        for node, key in enumerate(fresh, first):
            self._by_vector[key] = node
            self._index.mark_deleted(node)

    def _find_strays(self, first: int, rows: Vectors, threads: int) -> None:
        """Set aside the new nodes that a search for their own vector does not find.

        Where a neighbourhood's links are full, HNSW can leave a node without a way to it: about one in 6,000 of 512 dimensions,
        and without this its item would be in nobody's answers. The search for them costs a fifth of the insert.
        """
        self._set_ef(_STRAY_EF)
        own = 1.0 - np.einsum("nd,nd->n", rows, rows)
        try:
            distances = self._index.knn_query(rows, k=1, num_threads=threads)[1][:, 0]
        except RuntimeError:
            # Nothing but deleted nodes within reach of one of them.
            distances = np.full(len(rows), np.inf)
        lost = np.flatnonzero(distances > own + _SAME_SCORE)
        for i in lost[: max(0, _MAX_STRAYS - len(self._strays))].tolist():
            self._strays[first + i] = rows[i]

    def _know(self, labels: Labels) -> None:
        """Make room for labels."""
        needed, have = int(labels.max(initial=-1)) + 1, len(self._node_of)
        if needed > have:
            size = max(needed, have + have // 2)
            self._node_of = grown(self._node_of, size, -1)
            self._hidden = grown(self._hidden, size)

    def _held(self, labels: Labels) -> list[tuple[int, int]]:
        """Return (label, node) of those labels that have one."""
        inside = labels[labels < len(self._node_of)]
        nodes = self._node_of[inside]
        return list(zip(inside[nodes >= 0].tolist(), nodes[nodes >= 0].tolist(), strict=True))

    def _reserve(self, nodes: int) -> None:
        if nodes <= len(self._owner):
            return
        size = max(nodes, len(self._owner) + len(self._owner) // 2)
        self._index.resize_index(size)
        self._owner = grown(self._owner, size, _NOBODY)
        self._visible = grown(self._visible, size)

    def drop(self, labels: Labels) -> None:
        """Take labels off their nodes; unknown labels are ignored."""
        for label, node in self._held(labels):
            self._leave(label, node)
            self._node_of[label] = -1
            self._hidden[label] = False

    def hide(self, labels: Labels) -> None:
        """Keep labels out of the answers; a node whose labels are all hidden is not found."""
        for label, node in self._held(labels):
            if not self._hidden[label]:
                self._hidden[label] = True
                self._see(node, -1)

    def show(self, labels: Labels) -> None:
        """Let hidden labels back in."""
        for label, node in self._held(labels):
            if self._hidden[label]:
                self._hidden[label] = False
                self._see(node, +1)

    def _move(self, label: int, node: int) -> None:
        old = int(self._node_of[label])
        if old == node:
            return
        self._node_of[label] = node
        self._join(label, node)
        if old >= 0:
            self._leave(label, old)

    def _join(self, label: int, node: int) -> None:
        owner = int(self._owner[node])
        if owner == _NOBODY:
            self._owner[node] = label
            self.dead -= 1
        else:
            self._members.setdefault(node, {owner}).add(label)
            self._sorted.pop(node, None)
            self._owner[node] = _SEVERAL
        if not self._hidden[label]:
            self._see(node, +1)

    def _leave(self, label: int, node: int) -> None:
        if not self._hidden[label]:
            self._see(node, -1)
        if self._owner[node] == label:
            self._owner[node] = _NOBODY
            self.dead += 1
            return
        members = self._members[node]
        members.discard(label)
        self._sorted.pop(node, None)
        if len(members) == 1:
            self._owner[node] = next(iter(self._members.pop(node)))

    def _see(self, node: int, change: int) -> None:
        """Count a label in or out of sight and mark the node when the first comes or the last goes."""
        before = int(self._visible[node])
        self._visible[node] = before + change
        if node in self._strays:
            # Stays marked in the graph: where a search does happen to reach it, it would be answered twice.
            return
        if before == 0:
            self._index.unmark_deleted(node)
            self.findable += 1
        elif before + change == 0:
            self._index.mark_deleted(node)
            self.findable -= 1

    def search(self, queries: Vectors, k: int, fetch: int, ef: int, allowed: NDArray[np.bool_]) -> tuple[Labels, Vectors] | None:
        """Return up to ``k`` allowed labels per query out of its ``fetch`` nearest nodes, padded; None if hnswlib finds too few."""
        fetch = min(fetch, self.findable)
        # With ef equal to fetch the last of the fetched are often not the right ones.
        self._set_ef(max(ef, fetch + ef // 2))
        try:
            nodes, distances = self._index.knn_query(queries, k=fetch, num_threads=self._options.threads)
        except RuntimeError:
            # hnswlib raises when a part of the graph that the search cannot leave holds fewer than it was asked for.
            return None
        nodes, scores = self._with_strays(queries, nodes, (1.0 - distances).astype(np.float32))
        owners = self._owner[nodes]
        if fetch == k and (owners >= 0).all() and allowed[owners].all():
            return owners, scores
        best = empty_answer(len(queries), k)
        for i in range(len(queries)):
            found, found_scores = owners[i], scores[i]
            if (found == _SEVERAL).any():
                found, found_scores = self._expand(nodes[i], found, found_scores, k, allowed)
            passing = np.flatnonzero(allowed[found])[:k]
            best[0][i, : len(passing)] = found[passing]
            best[1][i, : len(passing)] = found_scores[passing]
        return best

    def _set_ef(self, ef: int) -> None:
        if ef != self._ef:
            self._index.set_ef(ef)
            self._ef = ef

    def _with_strays(self, queries: Vectors, nodes: NDArray[Any], scores: Vectors) -> tuple[NDArray[Any], Vectors]:
        """Merge the visible strays, scored exactly, into what the graph found; as many per query as before."""
        visible = [node for node in self._strays if self._visible[node]]
        if not visible:
            return nodes, scores
        stray_scores = queries @ np.array([self._strays[node] for node in visible]).T
        all_nodes = np.hstack([nodes, np.broadcast_to(np.array(visible, nodes.dtype), stray_scores.shape)])
        all_scores = np.hstack([scores, stray_scores])
        order = np.argsort(-all_scores, axis=1, kind="stable")[:, : nodes.shape[1]]
        return np.take_along_axis(all_nodes, order, axis=1), np.take_along_axis(all_scores, order, axis=1)

    def _expand(
        self, nodes: NDArray[Any], owners: Labels, scores: Vectors, k: int, allowed: NDArray[np.bool_]
    ) -> tuple[Labels, Vectors]:
        """Replace shared nodes by all their labels, each with the node's score, until ``k`` labels are allowed."""
        alone = (owners != _SEVERAL).tolist()
        passes = allowed[owners.clip(min=0)].tolist()
        groups: list[Labels] = []
        missing = k
        for i, node in enumerate(nodes.tolist()):
            group = owners[i : i + 1] if alone[i] else self._sorted_members(node)
            groups.append(group)
            missing -= passes[i] if alone[i] else int(np.count_nonzero(allowed[group]))
            if missing <= 0:
                break
        return np.concatenate(groups), np.repeat(scores[: len(groups)], [len(group) for group in groups])

    def _sorted_members(self, node: int) -> Labels:
        members = self._sorted.get(node)
        if members is None:
            members = self._sorted[node] = np.array(sorted(self._members[node]), np.int32)
        return members


def _digest(vector: NDArray[np.float16]) -> bytes:
    return blake2b(vector.tobytes(), digest_size=16).digest()
