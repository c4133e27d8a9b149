"""Rows of vectors that grow with the item table, and the exact search over some of them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streamrec.index.codec import Codec, Stored
from streamrec.index.files import Arrays
from streamrec.index.port import Labels, Vectors

#: Scores held at once: 16 M float32 are 64 MB, whatever the number of queries.
_MAX_SCORES: Final = 1 << 24
#: Rows converted to float32 at once; with dim 512 they are 2 MB, which stays in the cache.
_CHUNK_ROWS: Final = 1024
#: Queries whose finds are scored at once: 16 × 150 rows of 320 float32 are 3 MB.
_CHUNK_QUERIES: Final = 16
_FIRST_ROWS: Final = 1024
#: Rows there is room for are a multiple of this, so that a scan may look at them in groups of as many.
GROUP: Final = 16


class Rows:
    """The vectors of labels 0..n as one matrix, with marks for which labels have one and which are blocked.

    It grows by half as much again, up to ``max_items`` rows and what fills the last group; what is not used yet takes no memory.
    """

    def __init__(self, codec: Codec, max_items: int) -> None:
        self.max_items = max_items
        self.codec = codec
        first = rounded(min(_FIRST_ROWS, max_items))
        self.matrix: Stored = np.zeros((first, codec.width), codec.dtype)
        self.present = np.zeros(first, np.bool_)
        self.blocked = np.zeros(first, np.bool_)
        #: present and not blocked, kept up to date so that a search need not look at every label.
        self.live = np.zeros(first, np.bool_)
        self.used = 0
        self.count = 0
        self.live_count = 0
        #: Grows with every change of a vector that an answer may show.
        self.version = 0

    @property
    def nbytes(self) -> int:
        """Bytes of the rows that are used."""
        return self.used * (self.matrix.itemsize * self.codec.width + 3)

    def reserve(self, labels: Labels) -> None:
        """Make room for labels."""
        needed = int(labels.max(initial=-1)) + 1
        self.used = max(self.used, needed)
        have = len(self.present)
        if needed > have:
            self._resize(min(max(needed, have + have // 2), self.max_items))

    def _resize(self, size: int) -> None:
        size = rounded(size)
        self.matrix = grown(self.matrix, size)
        self.present = grown(self.present, size)
        self.blocked = grown(self.blocked, size)
        self.live = grown(self.live, size)

    def recode(self, codec: Codec, matrix: Stored) -> None:
        """Take the same vectors as another codec has them."""
        self.codec, self.matrix = codec, grown(matrix, len(self.present))
        self.version += 1

    def save(self) -> Arrays:
        """Return what is to be written."""
        return {"matrix": self.matrix[: self.used], "present": self.present[: self.used], "blocked": self.blocked[: self.used]}

    @classmethod
    def restored(cls, codec: Codec, max_items: int, arrays: Arrays) -> Rows:
        """Return the rows that were saved.

        Raises ValueError or KeyError where the arrays do not belong together.
        """
        matrix, present, blocked = arrays["matrix"], arrays["present"], arrays["blocked"]
        if matrix.dtype != codec.dtype or matrix.shape != (len(present), codec.width) or len(blocked) != len(present):
            msg = f"rows are {matrix.dtype} {matrix.shape} for {len(present)} and {len(blocked)} marks"
            raise ValueError(msg)
        if len(present) > max_items:
            msg = f"{len(present)} rows were saved, index.max_items is {max_items}"
            raise ValueError(msg)
        rows = cls(codec, max_items)
        rows.used = len(present)
        rows._resize(max(len(rows.present), rows.used))
        for name, array in arrays.items():
            if name in {"matrix", "present", "blocked"}:
                getattr(rows, name)[: len(array)] = array
        rows.count = int(np.count_nonzero(present))
        rows.version = 1
        rows._relive(np.flatnonzero(present).astype(np.int32))
        return rows

    def holds(self, label: object) -> bool:
        """Tell whether a label has a vector."""
        return isinstance(label, int | np.integer) and 0 <= int(label) < len(self.present) and bool(self.present[int(label)])

    def known(self, labels: Labels) -> Labels:
        """Return those of labels that have a vector."""
        inside = labels[labels < len(self.present)]
        return inside[self.present[inside]]

    def shown(self, labels: Labels) -> NDArray[np.bool_]:
        """Tell which labels have a vector and are not blocked."""
        if int(labels.max(initial=-1)) < len(self.live):
            return self.live[labels]
        inside = labels < len(self.live)
        return inside & self.live[np.where(inside, labels, 0)]

    def has(self, labels: Labels, stored: Stored) -> NDArray[np.bool_]:
        """Tell which reserved labels have exactly this row already."""
        has: NDArray[np.bool_] = self.present[labels]
        has[has] = (self.matrix[labels[has]] == stored[has]).all(axis=1)
        return has

    def put(self, labels: Labels, stored: Stored) -> None:
        """Set the rows of distinct labels that were reserved."""
        self.count += len(labels) - int(self.present[labels].sum())
        self.matrix[labels] = stored
        self.present[labels] = True
        self.version += bool(len(labels))
        self._relive(labels)

    def drop(self, labels: Labels) -> None:
        """Forget the vectors of distinct labels that have one."""
        self.matrix[labels] = 0
        self.present[labels] = False
        self.count -= len(labels)
        self.version += bool(len(labels))
        self._relive(labels)

    def block(self, labels: Labels) -> None:
        """Mark labels as blocked."""
        self.reserve(labels)
        changed = np.unique(labels[~self.blocked[labels]])
        self.blocked[changed] = True
        self._relive(changed)

    def unblock(self, labels: Labels) -> None:
        """Take the marks off."""
        inside = labels[labels < len(self.blocked)]
        changed = np.unique(inside[self.blocked[inside]])
        self.blocked[changed] = False
        self._relive(changed)

    def _relive(self, labels: Labels) -> None:
        """Bring ``live`` up to date for distinct labels."""
        now = self.present[labels] & ~self.blocked[labels]
        self.live_count += int(np.count_nonzero(now)) - int(np.count_nonzero(self.live[labels]))
        self.live[labels] = now

    def allowed(self, mask: NDArray[np.bool_] | None, *, blocked: bool = False) -> tuple[NDArray[np.bool_], int]:
        """Return which labels an answer may hold, to be read only, and how many these are."""
        base, count = (self.present, self.count) if blocked else (self.live, self.live_count)
        if mask is None:
            return base, count
        shared = min(len(mask), len(base))
        allowed = np.zeros(len(base), np.bool_)
        np.logical_and(base[:shared], mask[:shared], out=allowed[:shared])
        return allowed, int(np.count_nonzero(allowed))

    def get(self, labels: Labels) -> Vectors:
        """Return the vectors of labels as float32, zeros where there is none."""
        return self.codec.vectors(self._floats(labels))

    def similarity(self, labels: Labels, queries: Vectors) -> Vectors:
        """Return the (n, q) scores of labels for queries, zeros for labels without a vector."""
        scores: Vectors = self._floats(labels) @ self.codec.turned(queries).T
        return scores

    def _floats(self, labels: Labels) -> Vectors:
        inside = labels < len(self.present)
        if inside.all():
            return self.codec.floats(self.matrix[labels])
        found = np.zeros((len(labels), self.codec.width), np.float32)
        found[inside] = self.codec.floats(self.matrix[labels[inside]])
        return found

    def rescore(self, turned: Vectors, labels: Labels) -> Vectors:
        """Return the scores of each turned query's own (q, n) labels; (q, n) float32."""
        scores = np.empty(labels.shape, np.float32)
        for start in range(0, len(labels), _CHUNK_QUERIES):
            own = labels[start : start + _CHUNK_QUERIES]
            floats = self.codec.floats(self.matrix[own.ravel()]).reshape(*own.shape, -1)
            scores[start : start + _CHUNK_QUERIES] = (floats @ turned[start : start + _CHUNK_QUERIES, :, None])[:, :, 0]
        return scores

    def nearest(
        self, turned: Vectors, k: int, labels: NDArray[np.integer[Any]], factors: Vectors | None = None
    ) -> tuple[Labels, Vectors]:
        """Return the exact ``k`` best of ``labels`` (ascending) for each turned query, equal scores by label; padded.

        Scores are multiplied by the labels' ``factors``, (n,) float32.
        """
        best = empty_answer(len(turned), k)
        step = max(1, _MAX_SCORES // max(1, len(labels)))
        for start in range(0, len(turned), step):
            scores = self._scores(turned[start : start + step], labels)
            if factors is not None:
                scores *= factors
            for i, row in enumerate(scores, start):
                top = best_places(row, k)
                best[0][i, : len(top)] = labels[top]
                best[1][i, : len(top)] = row[top]
        return best

    def _scores(self, turned: Vectors, labels: NDArray[np.integer[Any]]) -> Vectors:
        if self.matrix.dtype == np.float32 and len(labels) * 2 > len(self.matrix):
            # Cheaper to score the unused rows too than to copy nearly all of the matrix.
            everything: Vectors = turned @ self.matrix.T
            return everything[:, labels]
        scores = np.empty((len(turned), len(labels)), np.float32)
        for start in range(0, len(labels), _CHUNK_ROWS):
            chunk = self.codec.floats(self.matrix[labels[start : start + _CHUNK_ROWS]])
            scores[:, start : start + _CHUNK_ROWS] = turned @ chunk.T
        return scores


def empty_answer(n_queries: int, k: int) -> tuple[Labels, Vectors]:
    """Return an answer without a neighbour: labels -1, scores -inf."""
    return np.full((n_queries, k), -1, np.int32), np.full((n_queries, k), -np.inf, np.float32)


def rounded(rows: int) -> int:
    """Return as many rows, or the few more that fill the last group."""
    return -(-rows // GROUP) * GROUP


def grown(array: NDArray[Any], size: int, fill: int = 0) -> NDArray[Any]:
    """Return a copy of ``size`` rows, the new ones filled with ``fill``; the same array where it has as many."""
    if size == len(array):
        return array
    shape = (size, *array.shape[1:])
    # Pages of zeros take no memory before they are written.
    larger = np.full(shape, fill, array.dtype) if fill else np.zeros(shape, array.dtype)
    larger[: len(array)] = array
    return larger


def best_places(scores: Vectors, k: int) -> NDArray[np.intp]:
    """Return the positions of the ``k`` greatest scores, greatest first, equal ones by position."""
    if k >= len(scores):
        return np.argsort(-scores, kind="stable")
    kth = np.partition(scores, len(scores) - k)[len(scores) - k]
    # All that tie with the last place compete for it by position, so that the answer does not depend on how numpy partitions.
    reaching = np.flatnonzero(scores >= kth)
    return reaching[np.argsort(-scores[reaching], kind="stable")][:k]
