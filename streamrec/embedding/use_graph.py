"""Writes Universal Sentence Encoder Multilingual v3 as an ONNX graph, from its weights.

The architecture is Yang et al., "Multilingual Universal Sentence Encoder for Semantic Retrieval" (2019), CNN variant: token
embeddings, three branches of n-gram convolutions over a projection of them, a layer norm over all features, their sum over the
sentence divided by the root of its length, and a residual feed-forward net.

The graph takes what every sentence encoder takes, ``input_ids`` and ``attention_mask`` of shape (batch, length) int64, and
drops the padding at once: all tokens of the batch form one (tokens, features) matrix, so padding costs no arithmetic. A convolution
gathers each token's window; a slot outside the sentence points to a row of zeros behind the last token. The output
``sentence_embedding`` is (batch, 512) float32 with rows of norm 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, external_data_helper, helper, numpy_helper

DIM: Final = 512

_TABLE: Final = "embedding_table"
_CHUNKS: Final = 17  # row i of the embedding table is row i // 17 of chunk i % 17, each quantised by itself
_CHANNELS: Final = 256
_BRANCHES: Final = ((2, 0), (3, 1), (5, 2))  # words in a window, how many of them stand left of the token
_LEFT: Final = 2
_WIDTH: Final = 5  # the widest window; narrower ones are columns of it
_OPSET: Final = 17  # the first with LayerNormalization
_IR_VERSION: Final = 9

Weights = Mapping[str, NDArray[Any]]


def build(weights: Weights, *, half: bool = False) -> onnx.ModelProto:
    """Return the checked model; ``half`` keeps matrices in float16 and multiplies in it.

    The embedding table stays in its quantised form, one byte per number, and is dequantised row by row in the graph: the
    numbers are the package's own at a quarter of the size of float32.
    """
    graph = _Graph(np.float16 if half else np.float32)
    rows, windows, ids = _index(graph)
    embedded = _embed(graph, weights, ids)
    features = _convolve(graph, weights, embedded, windows)
    pooled = _pool(graph, weights, features, rows)
    graph.op("Identity", _feed_forward(graph, weights, pooled), output="sentence_embedding")
    shape = ["batch", "length"]
    proto = helper.make_graph(
        graph.nodes,
        "universal-sentence-encoder-multilingual-3",
        [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name in ("input_ids", "attention_mask")],
        [helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, ["batch", DIM])],
        graph.constants,
    )
    model = helper.make_model(
        proto,
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
        producer_name="streamrec",
    )
    onnx.checker.check_model(model)
    return model


def detach_table(model: onnx.ModelProto, file_name: str) -> bytes:
    """Move the embedding table out of the model to a file beside it, whose content is returned.

    onnxruntime maps that file into memory, so all processes of a machine share one copy, and only the rows in use are read.
    """
    table = next(constant for constant in model.graph.initializer if constant.name == _TABLE)
    content = bytes(table.raw_data)
    external_data_helper.set_external_data(table, file_name, offset=0, length=len(content))
    table.ClearField("raw_data")
    return content


class _Graph:
    """Collects nodes and constants; ``op`` returns the name of its output."""

    def __init__(self, dtype: type[np.floating[Any]]) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._dtype = dtype
        self.onnx_dtype = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))

    def op(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add one node with one output."""
        name = output or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def split(self, value: str, parts: int, axis: int) -> list[str]:
        """Cut a tensor into equal parts."""
        names = [f"split_{len(self.nodes)}_{i}" for i in range(parts)]
        sizes = self.ints([_CHANNELS] * parts)
        self.nodes.append(helper.make_node("Split", [value, sizes], names, axis=axis))
        return names

    def const(self, value: NDArray[Any], name: str = "") -> str:
        """Add a constant as it is."""
        name = name or f"const_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def ints(self, values: int | list[int]) -> str:
        """Add a constant of int64."""
        return self.const(np.array(values, dtype=np.int64))

    def weight(self, value: NDArray[Any]) -> str:
        """Add a constant in the type that is computed with."""
        return self.const(np.asarray(value, dtype=self._dtype))

    def to_compute(self, value: str) -> str:
        """Cast to the type that is computed with."""
        return self.op("Cast", value, to=self.onnx_dtype)

    def to_float(self, value: str) -> str:
        """Cast to float32."""
        return self.op("Cast", value, to=TensorProto.FLOAT)


def _index(g: _Graph) -> tuple[str, str, str]:
    """Return the token row of each place (batch, length), the window rows of each token (tokens, 5), and the ids (tokens,).

    Both kinds of rows count real tokens only; a place without a token has the number of tokens, which is the row of zeros.
    """
    flat = g.ints([-1])
    mask = g.op("Reshape", "attention_mask", flat)
    places = g.op("Reshape", g.op("NonZero", mask), flat)
    ids = g.op("Gather", g.op("Reshape", "input_ids", flat), places)
    sentinel = g.op("ReduceSum", mask, keepdims=0)
    rank = g.op("Sub", g.op("CumSum", mask, g.ints(0)), g.ints(1))
    shape = g.op("Shape", "input_ids")
    rows = g.op("Reshape", g.op("Where", g.op("Cast", mask, to=TensorProto.BOOL), rank, sentinel), shape)
    right = _WIDTH - 1 - _LEFT
    padded = g.op("Pad", rows, g.ints([0, _LEFT, 0, right]), sentinel)
    length = g.op("Gather", shape, g.ints([1]))
    columns = []
    for i in range(_WIDTH):
        start = g.ints([i])
        column = g.op("Slice", padded, start, g.op("Add", length, start), g.ints([1]))
        columns.append(g.op("Reshape", column, g.ints([-1, 1])))
    windows = g.op("Gather", g.op("Concat", *columns, axis=1), places)
    return rows, windows, ids


def _embed(g: _Graph, weights: Weights, ids: str) -> str:
    """Return (tokens, 512): rows of the table, dequantised with the scale and offset of their chunk."""
    chunks = [weights[f"q{i + 1}"] for i in range(_CHUNKS)]
    table = np.empty((_CHUNKS * len(chunks[0]), DIM), dtype=np.uint8)
    for i, chunk in enumerate(chunks):
        table[i::_CHUNKS] = chunk
    chunk_of = g.op("Mod", ids, g.ints(_CHUNKS))
    scale, offset = (g.op("Gather", g.weight(weights[name][:, None]), chunk_of) for name in ("scale", "lo"))
    levels = g.to_compute(g.op("Gather", g.const(table, _TABLE), ids))
    return g.op("Add", g.op("Mul", levels, scale), offset)


def _convolve(g: _Graph, weights: Weights, embedded: str, windows: str) -> str:
    """Return (tokens, 1280): the embedding beside two residual convolutions for each of the three window widths."""
    orders = [order for order, _ in _BRANCHES]

    def joined(name: str) -> str:
        return g.weight(np.concatenate([weights[f"{name}{order}"] for order in orders], axis=-1))

    projected = g.op("Gemm", embedded, joined("proj"), joined("proj_b"))
    normed = g.op("LayerNormalization", projected, joined("ln_g"), joined("ln_b"), axis=-1, epsilon=float(weights["eps"]))
    zeros = g.weight(np.zeros((1, _CHANNELS)))
    outputs = [embedded]
    for (order, left), branch in zip(_BRANCHES, g.split(normed, len(_BRANCHES), 1), strict=True):
        first = _LEFT - left
        near = g.op("Slice", windows, g.ints([first]), g.ints([first + order]), g.ints([1]))
        value = branch
        for layer in ("1", "2"):
            gathered = g.op("Gather", g.op("Concat", value, zeros, axis=0), near)
            flat = g.op("Reshape", gathered, g.ints([-1, order * _CHANNELS]))
            product = g.op("Gemm", flat, g.weight(weights[f"w{layer}_{order}"]), g.weight(weights[f"b{layer}_{order}"]))
            value = g.op("Add", g.op("Relu", product), value)
        outputs.append(value)
    features = g.op("Concat", *outputs, axis=1)
    gain, bias = g.weight(weights["ln_g"]), g.weight(weights["ln_b"])
    return g.op("LayerNormalization", features, gain, bias, axis=-1, epsilon=float(weights["eps"]))


def _pool(g: _Graph, weights: Weights, features: str, rows: str) -> str:
    """Return (batch, 512): the sum of the projected features divided by the root of the length.

    Summing first and projecting after is the same, the projection being linear, and multiplies one row per sentence.
    """
    width = len(weights["ln_g"])
    places = g.op("Gather", g.op("Concat", features, g.weight(np.zeros((1, width))), axis=0), rows)
    total = g.op("ReduceSum", g.to_float(places), g.ints([1]), keepdims=0)
    length = g.to_float(g.op("ReduceSum", "attention_mask", g.ints([1]), keepdims=1))
    root = g.op("Sqrt", g.op("Max", length, g.const(np.array([1.0], dtype=np.float32))))
    mean = g.to_compute(g.op("Div", total, root))  # divided before the cast: a long text's sum is past what float16 holds
    bias = g.op("Mul", g.to_compute(g.op("Div", length, root)), g.weight(weights["cnn_b"]))
    return g.op("Add", g.op("MatMul", mean, g.weight(weights["cnn_W"])), bias)


def _feed_forward(g: _Graph, weights: Weights, pooled: str) -> str:
    """Return (batch, 512) float32 rows of norm 1."""

    def dense(value: str, name: str) -> str:
        return g.op("MatMul", value, g.weight(weights[name]))

    first = g.op("Relu", dense(pooled, "d0"))
    second = g.op("Relu", g.op("Add", dense(pooled, "p1"), dense(first, "d1")))
    third = g.op("Relu", dense(second, "d2"))
    last = g.to_float(g.op("Tanh", g.op("Add", dense(second, "p3"), dense(third, "d3"))))
    squares = g.op("ReduceSumSquare", last, axes=[1], keepdims=1)
    return g.op("Div", last, g.op("Sqrt", g.op("Max", squares, g.const(weights["eps"].astype(np.float32)))))
