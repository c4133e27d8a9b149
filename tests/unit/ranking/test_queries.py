"""Laws of the query cache."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamrec.index import ExactIndex
from streamrec.ranking.queries import QueryVectors


class Encoder:
    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, queries: Sequence[str]) -> NDArray[np.float32]:
        self.asked += queries
        return np.array([[len(query), 1] for query in queries], np.float32)


def test_equal_queries_are_encoded_once() -> None:
    encoder = Encoder()
    vectors = QueryVectors(encoder, ExactIndex(2), 10)
    answers = vectors.get(["tea", "", "tea", "milk"])
    assert [a.shape for a in answers] == [(1, 2), (0, 2), (1, 2), (1, 2)]
    assert answers[0][0, 0] == 3
    vectors.get(["milk", "tea"])
    assert encoder.asked == ["milk", "tea"]


def test_the_cache_is_bounded_and_forgets_what_was_asked_longest_ago() -> None:
    encoder = Encoder()
    vectors = QueryVectors(encoder, ExactIndex(2), 2)
    for query in ("a", "b", "a", "c", "a"):
        vectors.get([query])
    assert encoder.asked == ["a", "b", "c"]
    assert len(vectors.get([f"q{i}" for i in range(50)])) == 50
    assert len(vectors._vectors) == 2


def test_without_an_encoder_queries_have_no_vector() -> None:
    assert [a.shape for a in QueryVectors(None, ExactIndex(2), 2).get(["tea"])] == [(0, 2)]


def test_no_vector_of_one_model_is_kept_for_another() -> None:
    """Two models may have one dimension: nothing but the name would tell their vectors apart."""
    model = ["m1"]
    sides = {"m1": [1.0, 0.0], "m2": [0.0, 1.0]}
    vectors = QueryVectors(
        lambda texts: np.array([sides[model[0]]] * len(texts), np.float32), ExactIndex(2), 10, model=lambda: model[0]
    )
    assert vectors.get(["tea"])[0].tolist() == [[1, 0]]
    model[0] = "m2"
    assert vectors.get(["tea"])[0].tolist() == [[0, 1]]
