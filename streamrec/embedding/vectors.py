"""Vectors to the bytes that travel in item-vectors, and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamrec.errors import VectorIndexError
from streamrec.events import ItemVector


def pack_vectors(vectors: NDArray[np.float32]) -> list[bytes]:
    """Turn (n, dim) float32 rows into n little-endian float16 strings of 2·dim bytes each.

    Unit rows lose at most 2⁻¹¹ of each number; their cosine with the original stays above 0.99999.
    """
    half = np.ascontiguousarray(vectors, dtype="<f2")
    return [row.tobytes() for row in half]


def unpack_vectors(messages: Sequence[ItemVector]) -> NDArray[np.float32]:
    """Turn n messages of one dimension into (n, dim) float32 rows; no message gives shape (0, 0).

    Raises VectorIndexError when the messages do not share one dimension.
    """
    if not messages:
        return np.zeros((0, 0), dtype=np.float32)
    dim = messages[0].dim
    if any(message.dim != dim for message in messages):
        found = sorted({message.dim for message in messages})
        msg = f"vectors of dimensions {found} in one batch; split the batch by model_digest"
        raise VectorIndexError(msg)
    flat = np.frombuffer(b"".join(message.vector for message in messages), dtype="<f2")
    return flat.reshape(len(messages), dim).astype(np.float32)
