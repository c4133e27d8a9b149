"""Which labels stand on which node: nearly always one each, which two arrays hold; sets are kept for shared nodes only."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamrec.index.nodes import Nodes
from streamrec.index.port import Labels, Vectors
from streamrec.index.rows import grown

#: In ``of``: no label, several labels.
NOBODY: Final = -1
SEVERAL: Final = -2


class Owners:
    """Joins labels to nodes and takes them off again."""

    def __init__(self, capacity: int) -> None:
        #: Per node its one label, or NOBODY or SEVERAL; per label its node or -1.
        self.of: NDArray[np.int32] = np.full(capacity, NOBODY, np.int32)
        self.node_of: Nodes = np.full(capacity, -1, np.int32)
        self._members: dict[int, set[int]] = {}
        self._sorted: dict[int, Labels] = {}

    @classmethod
    def restored(cls, node_of: Nodes, nodes: int, capacity: int) -> Owners:
        """Return the owners of ``nodes`` nodes from the node of each label."""
        owners = cls(capacity)
        owners.node_of = node_of
        labels = np.flatnonzero(node_of >= 0).astype(np.int32)
        shared = np.bincount(node_of[labels], minlength=nodes) > 1
        owners.of[node_of[labels]] = labels
        owners.of[:nodes][shared] = SEVERAL
        labels = labels[shared[node_of[labels]]]
        labels = labels[np.argsort(node_of[labels], kind="stable")]
        for group in np.split(labels, np.flatnonzero(np.diff(node_of[labels])) + 1) if len(labels) else ():
            owners._members[int(node_of[group[0]])] = set(group.tolist())
        return owners

    def reserve(self, nodes: int) -> None:
        """Make room for ``nodes`` nodes."""
        self.of = grown(self.of, nodes, NOBODY)

    def _know(self, labels: Labels) -> None:
        needed, have = int(labels.max(initial=-1)) + 1, len(self.node_of)
        if needed > have:
            self.node_of = grown(self.node_of, max(needed, have + have // 2), -1)

    def move(self, labels: Labels, nodes: Nodes) -> tuple[Nodes, Nodes]:
        """Set the nodes of distinct labels; return the nodes that had no label before, and those that have none any more."""
        self._know(labels)
        old = self.node_of[labels]
        moving = old != nodes
        labels, nodes, old = labels[moving], nodes[moving], old[moving]
        self.node_of[labels] = nodes
        return self._join(labels, nodes), self._leave(labels[old >= 0], old[old >= 0])

    def drop(self, labels: Labels) -> Nodes:
        """Take distinct labels off their nodes and return the nodes that have none any more; unknown labels are ignored."""
        inside = labels[labels < len(self.node_of)]
        held = inside[self.node_of[inside] >= 0]
        nodes = self.node_of[held]
        self.node_of[held] = -1
        return self._leave(held, nodes)

    def _join(self, labels: Labels, nodes: Nodes) -> Nodes:
        unique, first = np.unique(nodes, return_index=True)
        alone = first[self.of[unique] == NOBODY]
        self.of[nodes[alone]] = labels[alone]
        others = np.delete(np.arange(len(nodes)), alone)
        for label, node in zip(labels[others].tolist(), nodes[others].tolist(), strict=True):
            self._members.setdefault(node, {int(self.of[node])}).add(label)
            self._sorted.pop(node, None)
            self.of[node] = SEVERAL
        first_of: Nodes = nodes[alone]
        return first_of

    def _leave(self, labels: Labels, nodes: Nodes) -> Nodes:
        alone = self.of[nodes] == labels
        self.of[nodes[alone]] = NOBODY
        left = [nodes[alone]]
        for label, node in zip(labels[~alone].tolist(), nodes[~alone].tolist(), strict=True):
            if self.of[node] == label:
                # All others have left it in this very call.
                self.of[node] = NOBODY
                left.append(np.array([node], np.int32))
                continue
            members = self._members[node]
            members.discard(label)
            self._sorted.pop(node, None)
            if len(members) == 1:
                self.of[node] = next(iter(self._members.pop(node)))
        return np.concatenate(left)

    def one(self, nodes: Nodes) -> Labels:
        """Return a label of each of (q, n) nodes, all of which have some."""
        labels = self.of[nodes]
        for i, j in np.argwhere(labels == SEVERAL).tolist():
            labels[i, j] = self.members(int(nodes[i, j]))[0]
        return labels

    def expand(self, nodes: Nodes, scores: Vectors, k: int, allowed: NDArray[np.bool_]) -> tuple[Labels, Vectors]:
        """Return all labels of (n,) nodes in order, each with its node's score, until ``k`` of them are allowed."""
        owners = self.of[nodes]
        alone = (owners != SEVERAL).tolist()
        passes = allowed[owners.clip(min=0)].tolist()
        groups: list[Labels] = []
        missing = k
        for i, node in enumerate(nodes.tolist()):
            group = owners[i : i + 1] if alone[i] else self.members(node)
            groups.append(group)
            missing -= passes[i] if alone[i] else int(np.count_nonzero(allowed[group]))
            if missing <= 0:
                break
        return np.concatenate(groups), np.repeat(scores[: len(groups)], [len(group) for group in groups])

    def members(self, node: int) -> Labels:
        """Return the labels of a shared node, ascending."""
        members = self._sorted.get(node)
        if members is None:
            members = self._sorted[node] = np.array(sorted(self._members[node]), np.int32)
        return members
