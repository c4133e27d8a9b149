"""Vectors cut to their first numbers (Matryoshka), for models that were trained so that these carry the most."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamrec.embedding.encoder import Encoder, unit_rows
from streamrec.errors import ConfigError


class TruncatedEncoder:
    """The first ``dim`` numbers of another encoder's vectors, scaled to norm 1 again unless ``normalize`` is false.

    Kusupati et al., "Matryoshka Representation Learning" (NeurIPS 2022). Raises ConfigError where the encoder has fewer numbers.
    """

    def __init__(self, encoder: Encoder, dim: int, *, normalize: bool = True) -> None:
        if not 1 <= dim <= encoder.dim:
            msg = f"model.dim is {dim}, but {encoder.name} has {encoder.dim} numbers per vector; choose from 1 to {encoder.dim}"
            raise ConfigError(msg)
        self._encoder = encoder
        self._normalize = normalize
        self.name = encoder.name
        self.dim = dim
        self.digest = hashlib.sha256(f"{encoder.digest} first {dim}".encode()).hexdigest()[:16]

    def encode(self, texts: Sequence[str], *, query: bool = False) -> NDArray[np.float32]:
        """Return (n, dim) float32 rows; see ``Encoder.encode``."""
        cut: NDArray[np.float32] = np.ascontiguousarray(self._encoder.encode(texts, query=query)[:, : self.dim])
        return unit_rows(cut) if self._normalize else cut
