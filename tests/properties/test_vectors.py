"""Packing vectors loses nothing that matters, whatever the vectors are."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from streamrec.embedding import pack_vectors, unpack_vectors
from streamrec.embedding.encoder import unit_rows
from streamrec.events import ItemVector, decode, encode
from streamrec.events.topics import VECTORS

TS = 1_767_225_600_000
ROWS = arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=40), elements=st.floats(-10, 10, width=32))


def through_the_topic(vectors: NDArray[np.float32]) -> list[ItemVector]:
    messages = []
    for vector in pack_vectors(vectors):
        sent = ItemVector(content_digest="c", model_digest="m", dim=vectors.shape[1], vector=vector, ts=TS)
        received = decode(VECTORS, b"item", encode(sent, VECTORS), TS).value
        assert isinstance(received, ItemVector)
        messages.append(received)
    return messages


@given(ROWS)
def test_a_round_trip_is_close_and_a_second_one_changes_nothing(rows: NDArray[np.float32]) -> None:
    vectors = unit_rows(rows)
    once = unpack_vectors(through_the_topic(vectors))
    assert once.dtype == np.float32
    np.testing.assert_allclose(once, vectors, rtol=2**-11, atol=2**-24)
    np.testing.assert_array_equal(unpack_vectors(through_the_topic(once)), once)
