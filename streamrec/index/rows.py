"""Rows of vectors that grow with the item table, and the exact search over some of them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streamrec.index.port import Labels, Vectors

#: Scores held at once: 16 M float32 are 64 MB, whatever the number of queries.
_MAX_SCORES: Final = 1 << 24
#: Rows converted to float32 at once; with dim 512 they are 2 MB, which stays in the cache.
_CHUNK_ROWS: Final = 1024
_FIRST_ROWS: Final = 1024


class Rows:
    """The vectors of labels 0..n as one matrix, with marks for which labels have one and which are blocked.

    It grows by half as much again, up to ``max_items`` rows.
    """

    def __init__(self, dim: int, max_items: int, dtype: type[np.float16] | type[np.float32]) -> None:
        self.max_items = max_items
        first = min(_FIRST_ROWS, max_items)
        self.matrix: NDArray[Any] = np.zeros((first, dim), dtype)
        self.present = np.zeros(first, np.bool_)
        self.blocked = np.zeros(first, np.bool_)
        self.count = 0
        #: Grows with every change that an answer may show.
        self.version = 0

    def reserve(self, labels: Labels) -> None:
        """Make room for labels."""
        needed = int(labels.max(initial=-1)) + 1
        have = len(self.present)
        if needed <= have:
            return
        size = min(max(needed, have + have // 2), self.max_items)
        self.matrix = grown(self.matrix, size)
        self.present = grown(self.present, size)
        self.blocked = grown(self.blocked, size)

    def holds(self, label: object) -> bool:
        """Tell whether a label has a vector."""
        return isinstance(label, int | np.integer) and 0 <= int(label) < len(self.present) and bool(self.present[int(label)])

    def known(self, labels: Labels) -> Labels:
        """Return those of labels that have a vector."""
        inside = labels[labels < len(self.present)]
        return inside[self.present[inside]]

    def put(self, labels: Labels, vectors: NDArray[Any]) -> None:
        """Set the vectors of distinct labels that were reserved."""
        self.count += len(labels) - int(self.present[labels].sum())
        self.matrix[labels] = vectors
        self.present[labels] = True
        self.version += bool(len(labels))

    def drop(self, labels: Labels) -> None:
        """Forget the vectors of distinct labels that have one."""
        self.matrix[labels] = 0
        self.present[labels] = False
        self.count -= len(labels)
        self.version += bool(len(labels))

    def block(self, labels: Labels) -> Labels:
        """Mark labels as blocked and return those that were not."""
        self.reserve(labels)
        changed = labels[~self.blocked[labels]]
        self.blocked[changed] = True
        self.version += bool(len(changed))
        return changed

    def unblock(self, labels: Labels) -> Labels:
        """Take the marks off and return the labels that had one."""
        inside = labels[labels < len(self.blocked)]
        changed = inside[self.blocked[inside]]
        self.blocked[changed] = False
        self.version += bool(len(changed))
        return changed

    def allowed(self, mask: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
        """Return which labels an answer may hold: present, not blocked, True in the mask."""
        allowed: NDArray[np.bool_] = self.present & ~self.blocked
        if mask is not None:
            shared = min(len(mask), len(allowed))
            allowed[:shared] &= mask[:shared]
            allowed[shared:] = False
        return allowed

    def get(self, labels: Labels) -> Vectors:
        """Return the vectors of labels as float32, zeros where there is none."""
        inside = labels < len(self.present)
        if inside.all():
            return _as_float32(self.matrix[labels])
        found = np.zeros((len(labels), self.matrix.shape[1]), np.float32)
        found[inside] = _as_float32(self.matrix[labels[inside]])
        return found

    def nearest(self, queries: Vectors, k: int, labels: NDArray[np.integer[Any]]) -> tuple[Labels, Vectors]:
        """Return the exact ``k`` best of ``labels`` (ascending) for each query, equal scores by label; padded."""
        best = empty_answer(len(queries), k)
        step = max(1, _MAX_SCORES // max(1, len(labels)))
        for start in range(0, len(queries), step):
            scores = self._scores(queries[start : start + step], labels)
            for i, row in enumerate(scores, start):
                top = _best(row, k)
                best[0][i, : len(top)] = labels[top]
                best[1][i, : len(top)] = row[top]
        return best

    def _scores(self, queries: Vectors, labels: NDArray[np.integer[Any]]) -> Vectors:
        if self.matrix.dtype == np.float32 and len(labels) * 2 > len(self.matrix):
            # Cheaper to score the unused rows too than to copy nearly all of the matrix.
            everything: Vectors = queries @ self.matrix.T
            return everything[:, labels]
        scores = np.empty((len(queries), len(labels)), np.float32)
        for start in range(0, len(labels), _CHUNK_ROWS):
            chunk = _as_float32(self.matrix[labels[start : start + _CHUNK_ROWS]])
            scores[:, start : start + _CHUNK_ROWS] = queries @ chunk.T
        return scores


def empty_answer(n_queries: int, k: int) -> tuple[Labels, Vectors]:
    """Return an answer without a neighbour: labels -1, scores -inf."""
    return np.full((n_queries, k), -1, np.int32), np.full((n_queries, k), -np.inf, np.float32)


def grown(array: NDArray[Any], size: int, fill: int = 0) -> NDArray[Any]:
    """Return a copy of ``size`` rows, the new ones filled with ``fill``."""
    larger = np.full((size, *array.shape[1:]), fill, array.dtype)
    larger[: len(array)] = array
    return larger


def _as_float32(rows: NDArray[Any]) -> Vectors:
    return rows if rows.dtype == np.float32 else _widened(rows)


def _widened(halves: NDArray[Any]) -> Vectors:
    """Return finite float16 as float32, six times as fast as ``astype``, which took most of an exact scan.

    float32 has the same fields in other places: shift exponent and mantissa there, keep the sign, mend the exponent's bias (and
    the subnormals with it) by one multiplication.
    """
    bits = halves.view(np.int16).astype(np.int32)
    bits <<= 13
    bits &= np.int32(-0x7000_0001)
    wide = bits.view(np.float32)
    wide *= np.float32(2.0**112)
    return wide


def _best(scores: Vectors, k: int) -> NDArray[np.intp]:
    """Return the positions of the ``k`` greatest scores, greatest first, equal ones by position."""
    if k >= len(scores):
        return np.argsort(-scores, kind="stable")
    kth = np.partition(scores, len(scores) - k)[len(scores) - k]
    # All that tie with the last place compete for it by position, so that the answer does not depend on how numpy partitions.
    reaching = np.flatnonzero(scores >= kth)
    return reaching[np.argsort(-scores[reaching], kind="stable")][:k]
