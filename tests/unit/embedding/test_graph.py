"""Matrices in int8: near the float product, alike for a row whatever stands beside it, and not undone by one loud channel."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from streamrec.embedding.graph import Graph, Peaks

CHANNELS, OUT = 64, 32
MATRIX = np.random.default_rng(1).normal(size=(CHANNELS, OUT)).astype(np.float32)
BIAS = np.random.default_rng(2).normal(size=OUT).astype(np.float32)


def values(rows: int, *, loud: bool) -> NDArray[np.float32]:
    found = np.random.default_rng(3).normal(size=(rows, CHANNELS)).astype(np.float32)
    if loud:
        found[:, 7] *= 200
    return found


def product(x: NDArray[np.float32], peaks: NDArray[np.float32] | None, loud: int = 0, bias: Any = None) -> NDArray[np.float32]:
    g = Graph("int8", None if peaks is None else {"here": peaks})
    g.op("Identity", g.multiply(g.site("here", "x", [MATRIX], loud=loud), MATRIX, bias), output="y")
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", width]) for name, width in (("x", CHANNELS), ("y", OUT))]
    versions = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    graph = helper.make_graph(g.nodes, "one", infos[:1], infos[1:], g.constants)
    model = helper.make_model(graph, opset_imports=versions, ir_version=9)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    result: NDArray[np.float32] = session.run(None, {"x": x})[0]
    return result


def cosine(left: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    return float((left * right).sum() / np.sqrt((left**2).sum() * (right**2).sum()))


@pytest.mark.parametrize("bias", [None, BIAS])
def test_int8_is_near_the_float_product(bias: NDArray[np.float32] | None) -> None:
    x = values(50, loud=False)
    exact = x @ MATRIX + (0 if bias is None else bias)
    np.testing.assert_allclose(product(x, None, bias=bias), exact, rtol=1e-4, atol=1e-4)
    assert cosine(product(x, np.abs(x).max(axis=0), bias=bias), exact) > 0.999


def test_a_loud_channel_that_is_multiplied_as_it_is_leaves_the_others_their_numbers() -> None:
    x = values(50, loud=True)
    peaks = np.abs(x).max(axis=0)
    quiet = x.copy()
    quiet[:, 7] = 0
    rest = {loud: product(x, peaks, loud) - np.outer(x[:, 7], MATRIX[7]) for loud in (0, 1)}
    assert cosine(rest[1], quiet @ MATRIX) > 0.999 > cosine(rest[0], quiet @ MATRIX)


def test_a_row_s_product_does_not_depend_on_the_rows_beside_it() -> None:
    x = values(20, loud=False)
    peaks = np.abs(x).max(axis=0)
    np.testing.assert_array_equal(product(x[:1], peaks)[0], product(np.vstack([x, 3 * x]), peaks)[0])


def test_numbers_beyond_what_was_measured_are_cut_and_do_not_wrap_around() -> None:
    x = values(20, loud=False)
    peaks: NDArray[np.float32] = np.abs(x).max(axis=0)
    assert cosine(product(4 * x, peaks), x @ MATRIX) > 0.9


def test_tiny_differences_in_what_was_measured_change_no_scale() -> None:
    x = values(20, loud=False)
    peaks = np.abs(x).max(axis=0)
    np.testing.assert_array_equal(product(x, peaks), product(x, peaks * np.float32(1 + 1e-6)))


def test_a_graph_without_peaks_notes_where_to_measure() -> None:
    g = Graph()
    g.site("here", "x", [MATRIX])
    assert g.sites == {"here": "x"}


def test_peaks_are_asked_for_by_site() -> None:
    peaks: Peaks = {}
    with pytest.raises(KeyError, match="here"):
        Graph("int8", peaks).site("here", "x", [MATRIX])
