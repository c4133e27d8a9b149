"""The port of everything that turns text into vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Encoder(Protocol):
    """Turns texts into vectors of unit length; the same text always gives the same vector.

    Every implementation passes ``tests/contract/test_encoders.py``.
    """

    @property
    def name(self) -> str:
        """The registered name, for people."""
        ...

    @property
    def dim(self) -> int:
        """Numbers per vector."""
        ...

    @property
    def digest(self) -> str:
        """16 hex characters that change with whatever changes the vectors: weights, tokenizer, pooling, prefixes, lengths."""
        ...

    def encode(self, texts: Sequence[str], *, query: bool = False) -> NDArray[np.float32]:
        """Return one row per text, shape (n, dim) float32, each row of L2 norm 1.

        ``query`` tells that the texts are searches and not items: some models put another prefix before them.
        A batch gives what its texts give one by one (cosine 0.9999 or better). An empty text has a vector, too.
        """
        ...


def unit_rows(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale each row of (n, dim) float32 to L2 norm 1; a row of zeros stays zeros."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: NDArray[np.float32] = vectors / np.maximum(norms, np.float32(1e-12))
    return scaled
