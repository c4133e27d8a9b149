"""Exact search in ONNX gives what float64 gives, whatever is stored, changed, hidden and asked.

Vectors of small whole numbers have sums that no precision rounds, so answers must be equal to the last place, ties by label too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from streamrec.index import OnnxExactIndex
from streamrec.index.scan_blocks import DeviceBlocks, HostBlocks
from streamrec.index.scan_graph import Storage

DIM = 6
N = 400
Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


def built(storage: Storage, *, device: bool = False, dim: int = DIM) -> OnnxExactIndex:
    """With blocks, and a margin of the proof, that are small enough for small worlds to need several."""
    blocks = DeviceBlocks(storage, "cpu", 64) if device else HostBlocks(64)
    index = OnnxExactIndex(dim, max_items=N, storage=storage, threads=1, blocks=blocks)
    index._reserve = 3
    return index


BUILDS: dict[str, Callable[[], OnnxExactIndex]] = {
    "float32": lambda: built("float32"),
    "float16": lambda: built("float16"),
    "int8": lambda: built("int8"),
    "on a device": lambda: built("float16", device=True),
}


class Truth:
    """A matrix of float64 with what may be found of it."""

    def __init__(self, dim: int = DIM) -> None:
        self.vectors = np.zeros((N, dim))
        self.present = np.zeros(N, np.bool_)
        self.blocked = np.zeros(N, np.bool_)

    def best(
        self, queries: Floats, k: int, mask: Mask | None, boost: Floats | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Sort all scores, equal ones by label."""
        allowed = self.present & ~self.blocked
        if mask is not None:
            allowed[: len(mask)] &= mask
            allowed[len(mask) :] = False
        scores = queries.astype(np.float64) @ self.vectors.T
        if boost is not None:
            scores[:, : len(boost)] *= boost
        scores[:, ~allowed] = -np.inf
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        found = np.take_along_axis(scores, order, axis=1)
        labels = np.where(np.isneginf(found), -1, order)
        missing = ((0, 0), (0, max(0, k - N)))
        return np.pad(labels, missing, constant_values=-1), np.pad(found, missing, constant_values=-np.inf)


CHANGES = st.tuples(
    st.sampled_from(["upsert", "upsert", "upsert", "remove", "block", "unblock"]),
    st.integers(0, N - 1),
    st.integers(1, N),
    st.integers(0, 2**32 - 1),
)
QUESTIONS = st.tuples(
    st.integers(1, 20), st.integers(1, N + 20), st.none() | st.floats(0, 1), st.none() | st.integers(0, N), st.integers(0, 99)
)


def apply(change: tuple[str, int, int, int], index: OnnxExactIndex, truth: Truth) -> None:
    """Do to both what a change says, to ``n`` labels that are spread from the first on."""
    what, first, n, seed = change
    rng = np.random.default_rng(seed)
    labels = np.unique(rng.integers(first, N, n))
    if what == "upsert":
        vectors = rng.integers(-2, 3, (len(labels), DIM))
        index.upsert(labels, vectors)
        truth.vectors[labels], truth.present[labels] = vectors, True
    elif what == "remove":
        index.remove(labels)
        truth.vectors[labels], truth.present[labels] = 0, False
    else:
        getattr(index, what)(labels)
        truth.blocked[labels] = what == "block"


@pytest.mark.parametrize("kind", BUILDS)
@settings(max_examples=40, deadline=None)
@given(changes=st.lists(st.tuples(CHANGES, QUESTIONS), min_size=1, max_size=5))
def test_answers_are_those_of_float64_to_the_last_place(
    kind: str, changes: list[tuple[tuple[str, int, int, int], tuple[int, int, float | None, int | None, int]]]
) -> None:
    """Through growth, removal and blocks; masks of any selectivity and length; boosts; k beyond what there is."""
    index, truth = BUILDS[kind](), Truth()
    for change, (q, k, share, boosted, seed) in changes:
        apply(change, index, truth)
        rng = np.random.default_rng(seed)
        queries = rng.integers(-2, 3, (q, DIM)).astype(np.float32)
        mask = None if share is None else rng.random(rng.integers(0, N + 1)) < share
        boost = None if boosted is None else rng.choice([0.0, 0.5, 1.0, 2.0], boosted).astype(np.float32)
        labels, scores = index.search(queries, k, mask, boost=boost)
        expected, exact = truth.best(queries, k, mask, boost)
        np.testing.assert_array_equal(labels, expected)
        np.testing.assert_array_equal(scores, exact)
    assert len(index) == truth.present.sum()


@pytest.mark.parametrize("kind", ["float32", "float16", "int8"])
@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(1, N),
    scale=st.sampled_from([1e-3, 1.0, 30.0]),
    outlier=st.booleans(),
    k=st.integers(1, 40),
    seed=st.integers(0, 999),
)
def test_scores_of_any_vectors_are_those_of_float64_up_to_rounding(
    kind: Storage, n: int, scale: float, outlier: bool, k: int, seed: int
) -> None:
    """Lengths other than 1, a vector far out of the others' range, queries of zeros: nothing that is better is missed."""
    rng = np.random.default_rng(seed)
    index, truth = built(kind, dim=33), Truth(33)
    vectors = (scale * rng.standard_normal((n, 33))).astype(np.float16)
    if outlier:
        vectors[rng.integers(0, n)] *= 100
    index.upsert(np.arange(n), vectors)
    truth.vectors[:n], truth.present[:n] = vectors, True
    queries = rng.standard_normal((4, 33)).astype(np.float32)
    queries[3] = 0
    labels, scores = index.search(queries, k)
    _, exact = truth.best(queries, k, None, None)
    finite = np.isfinite(exact)
    assert (np.isfinite(scores) == finite).all()
    rounding = 1e-6 * np.abs(vectors.astype(np.float64)).max() * 33
    np.testing.assert_allclose(scores[finite], exact[finite], atol=rounding)
    true = np.einsum("qd,qkd->qk", queries.astype(np.float64), truth.vectors[labels])
    np.testing.assert_allclose(true[finite], exact[finite], atol=rounding)
    assert all(len(set(row[row >= 0].tolist())) == (row >= 0).sum() for row in labels)


def test_the_proof_is_what_answers_by_int8(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a world like a catalogue next to nothing is scored beside the candidates."""
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((50, 64))
    vectors = centres[rng.integers(0, 50, 4000)] + rng.standard_normal((4000, 64))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = OnnxExactIndex(64, storage="int8", threads=1)
    index.upsert(np.arange(4000), vectors)
    scanned: list[int] = []
    whole = index._all

    def counted(queries: Floats, *rest: Any) -> Any:
        scanned.append(len(queries))
        return whole(queries, *rest)

    monkeypatch.setattr(index, "_all", counted)
    index.search(vectors[:200], 10)
    assert sum(scanned) < 20
