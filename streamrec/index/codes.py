"""Rows as int8 that tell how far they may be off, so that the best by them can be proven to be the best."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streamrec.index.port import Labels, Vectors
from streamrec.index.rows import grown
from streamrec.index.scan_graph import OFFSET

_LARGEST: Final = 127
#: Rows from which the step is learnt, and rows coded at once: 2 MB as float32 with 512 dimensions.
_SAMPLE: Final = 32_768
_CHUNK: Final = 1024
#: The step reaches to the greatest number of such a share of rows; what others have beyond it is cut off, which costs only them.
_REACHED: Final = 0.99
_TINY: Final = 1e-12
#: What float32 arithmetic of hundreds of numbers near 1 may be off by, relative to the vectors' lengths.
_ROUNDING: Final = 1e-5


class Codes:
    """Per row its numbers in steps of one size, (n, dim) uint8 with ``OFFSET`` added, and its distance from what they stand for.

    With ``x`` a row, ``c`` its codes times the step, ``q`` a query and ``p`` what its own codes stand for:
    q·x = p·c + p·(x - c) + (q - p)·x, of which the last two are at most |p| |x - c| + |q - p| |x| (Cauchy and Schwarz). So p·c with
    that added is never less than the true score, and who is not among the best by this bound is not among the best.

    The step is learnt from the rows, and again whenever they have doubled; a step that fits badly makes bounds wider, never wrong.
    """

    def __init__(self, dim: int) -> None:
        self.matrix: NDArray[np.uint8] = np.zeros((0, dim), np.uint8)
        self.off: Vectors = np.zeros(0, np.float32)
        self.step = 0.0
        self._longest = 0.0
        self._learnt_from = 0

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return int(self.matrix.shape[1]) + self.off.itemsize

    def put(self, labels: Labels, vectors: Vectors, size: int) -> None:
        """Code the (n, dim) vectors of labels, all below ``size``, which is how many rows there is room for."""
        if size > len(self.matrix):
            self.matrix, self.off = grown(self.matrix, size), grown(self.off, size)
        if not self.step and len(labels):
            self._learn(vectors)
        for start in range(0, len(labels), _CHUNK):
            self._code(labels[start : start + _CHUNK], vectors[start : start + _CHUNK])

    def outgrown(self, count: int) -> bool:
        """Whether there are so many rows by now that the step should be learnt from them."""
        return count > 2 * max(self._learnt_from, _CHUNK)

    def renew(self, labels: Labels, floats: Any, size: int) -> None:
        """Learn the step from all rows, of which ``floats`` returns those of labels, and code them by it."""
        self.step = 0.0
        self._learn(floats(labels[:: max(1, -(-len(labels) // _SAMPLE))]))
        self._learnt_from = len(labels)
        for start in range(0, len(labels), _CHUNK):
            part = labels[start : start + _CHUNK]
            self.put(part, floats(part), size)

    def _learn(self, vectors: Vectors) -> None:
        greatest = np.abs(vectors).max(axis=1)
        self.step = max(float(np.quantile(greatest, _REACHED)), _TINY) / _LARGEST
        self._learnt_from = len(vectors)

    def _code(self, labels: Labels, vectors: Vectors) -> None:
        codes = np.clip(np.rint(vectors / np.float32(self.step)), -_LARGEST, _LARGEST)
        lengths = np.linalg.norm(vectors, axis=1)
        self._longest = max(self._longest, float(lengths.max(initial=0.0)))
        self.off[labels] = np.linalg.norm(vectors - codes * np.float32(self.step), axis=1) + _ROUNDING * (1 + lengths)
        self.matrix[labels] = codes.astype(np.int16) + OFFSET

    def question(self, queries: Vectors, reach: int) -> tuple[NDArray[np.int8], NDArray[np.int32], float]:
        """Return codes of (q, dim) queries up to ``reach``, (n, 1) int32 to add to rows' products, and what 1 in these is worth.

        Sums of product and addition, times that worth, are bounds of scores from above.
        """
        step = max(float(np.abs(queries).max(initial=0.0)), _TINY) / reach
        codes = np.rint(queries / np.float32(step)).astype(np.int8)
        meant = codes.astype(np.float32) * np.float32(step)
        length = float(np.linalg.norm(meant, axis=1).max(initial=0.0)) + _TINY
        missed = (float(np.linalg.norm(queries - meant, axis=1).max(initial=0.0)) + _ROUNDING * length) * self._longest
        worth = max(step * self.step, _TINY)
        # Beyond the middle of int32's range nothing is a bound any more; that takes vectors that are all zeros but for rounding.
        slack = np.minimum(np.ceil((self.off * np.float32(length) + np.float32(missed)) / worth) + 1, 1 << 28)
        return codes, slack.astype(np.int32)[:, None], worth
