"""Vectors and their bytes."""

from __future__ import annotations

import numpy as np
import pytest

from streamrec.embedding import pack_vectors, unpack_vectors
from streamrec.errors import VectorIndexError
from streamrec.events import ItemVector


def message(vector: bytes) -> ItemVector:
    return ItemVector(content_digest="c", model_digest="m", dim=len(vector) // 2, vector=vector, ts=1_767_225_600_000)


def test_bytes_are_little_endian_float16() -> None:
    assert pack_vectors(np.array([[1.0, -2.0]], dtype=np.float32)) == [b"\x00\x3c\x00\xc0"]


def test_nothing_packs_to_nothing_and_back() -> None:
    assert pack_vectors(np.zeros((0, 4), dtype=np.float32)) == []
    assert unpack_vectors([]).shape == (0, 0)


def test_unpacked_vectors_may_be_written_to() -> None:
    unpack_vectors([message(b"\x00\x3c")])[0, 0] = 5.0


def test_two_dimensions_in_one_batch_are_refused() -> None:
    with pytest.raises(VectorIndexError, match=r"\[1, 2\].*model_digest"):
        unpack_vectors([message(b"\x00\x3c"), message(b"\x00\x3c\x00\x3c")])
