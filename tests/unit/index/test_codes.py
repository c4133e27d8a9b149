"""Bounds by int8 codes are bounds, and narrow where vectors are as they mostly are."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from streamrec.index.codes import Codes
from streamrec.index.scan_graph import OFFSET, query_range

DIM = 32
Floats = NDArray[np.float32]


def unit(n: int, seed: int) -> Floats:
    vectors = np.random.default_rng(seed).standard_normal((n, DIM))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32)


def coded(vectors: Floats) -> Codes:
    codes = Codes(DIM)
    codes.put(np.arange(len(vectors), dtype=np.int32), vectors, len(vectors))
    return codes


def bounds(codes: Codes, queries: Floats, reach: int) -> NDArray[np.float64]:
    asked, slack, worth = codes.question(queries, reach)
    products = (codes.matrix.astype(np.int64) - OFFSET) @ asked.astype(np.int64).T
    return ((products + slack) * worth).astype(np.float64)


def meant(codes: Codes) -> Floats:
    return (codes.matrix.astype(np.float32) - OFFSET) * np.float32(codes.step)


@pytest.mark.parametrize("reach", [127, 63])
@pytest.mark.parametrize("scale", [1.0, 1e-3, 50.0])
def test_no_score_is_above_its_bound_even_for_queries_along_what_the_codes_miss(reach: int, scale: float) -> None:
    vectors = unit(200, 1) * np.float32(scale)
    vectors[7] *= 30  # beyond the reach of the step
    codes = coded(vectors)
    missed = vectors - meant(codes)
    worst = missed / np.linalg.norm(missed, axis=1, keepdims=True)
    for queries in (worst, unit(100, 2), -vectors):
        true = vectors.astype(np.float64) @ queries.astype(np.float64).T
        assert (bounds(codes, queries, reach) >= true).all()


def test_a_bound_is_about_as_far_above_its_score_as_the_codes_are_coarse() -> None:
    vectors, queries = unit(500, 1), unit(50, 2)
    above = bounds(coded(vectors), queries, 127) - vectors.astype(np.float64) @ queries.astype(np.float64).T
    assert above.mean() < 3 * np.sqrt(DIM / 12) * (0.6 / 127)


def test_a_step_is_learnt_anew_from_what_there_is_once_it_has_doubled() -> None:
    codes = coded(unit(3, 1) * np.float32(0.01))
    coarse = codes.step
    later = unit(4000, 2)
    labels = np.arange(4000, dtype=np.int32)
    assert not codes.outgrown(1000)
    assert codes.outgrown(4000)
    codes.renew(labels, lambda wanted: later[wanted], 4000)
    assert codes.step > 10 * coarse
    assert not codes.outgrown(8000)
    assert codes.outgrown(8001)
    np.testing.assert_allclose(meant(codes), later, atol=0.2)
    assert np.median(codes.off) < 0.02


def test_queries_reach_so_far_that_no_product_is_cut_off() -> None:
    """63 on processors that add byte products in 16 bits."""
    assert query_range(1) in (127, 63)
