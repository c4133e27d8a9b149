"""Writes Universal Sentence Encoder Multilingual v3 as an ONNX graph, from its weights.

The architecture is Yang et al., "Multilingual Universal Sentence Encoder for Semantic Retrieval" (2019), CNN variant: token
embeddings, three branches of n-gram convolutions over a projection of them, a layer norm over all features, their sum over the
sentence divided by the root of its length, and a residual feed-forward net.

The graph takes what every sentence encoder takes, ``input_ids`` and ``attention_mask`` of shape (batch, length) int64, and
drops the padding at once: all tokens of the batch form one (tokens, features) matrix, so padding costs no arithmetic. What depends
on a token alone, its embedding, projection and norm, is computed once for each different token of the batch; so are its products
with the matrices of the first convolution, of which a window is then the sum. A second convolution gathers each token's window; a
slot outside the sentence points to a row of zeros behind the last token. The output ``sentence_embedding`` is (batch, 512) float32
with rows of norm 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, external_data_helper

from streamrec.embedding.graph import Graph, Peaks
from streamrec.embedding.model_files import Precision

DIM: Final = 512

_TABLE: Final = "embedding_table"
_CHUNKS: Final = 17  # row i of the embedding table is row i // 17 of chunk i % 17, each quantised by itself
_CHANNELS: Final = 256
_BRANCHES: Final = ((2, 0), (3, 1), (5, 2))  # words in a window, how many of them stand left of the token
_LEFT: Final = 2
_WIDTH: Final = 5  # the widest window; narrower ones are columns of it

Weights = Mapping[str, NDArray[Any]]


def build(weights: Weights, precision: Precision = "float32", peaks: Peaks | None = None) -> tuple[onnx.ModelProto, dict[str, str]]:
    """Return the checked model, and the value at each site of a matrix; ``int8`` needs the ``peaks`` of these.

    The embedding table stays in its quantised form, one byte per number, and is dequantised row by row in the graph: the
    numbers are the package's own at a quarter of the size of float32.
    """
    graph = Graph(precision, peaks)
    rows, windows, ids = _index(graph)
    # CUDA has no Unique: the graph for GPUs computes each token by itself, which costs it less than a way to the CPU and back.
    tokens, inverse = (ids, "") if precision == "float16" else graph.unique(ids)
    features = _convolve(graph, weights, _embed(graph, weights, tokens), windows, inverse)
    pooled = _pool(graph, weights, features, rows)
    graph.op("Identity", _feed_forward(graph, weights, pooled), output="sentence_embedding")
    return graph.model("universal-sentence-encoder-multilingual-3", DIM), graph.sites


def detach_table(model: onnx.ModelProto, file_name: str) -> bytes:
    """Move the embedding table out of the model to a file beside it, whose content is returned.

    onnxruntime maps that file into memory, so all processes of a machine share one copy, and only the rows in use are read.
    """
    table = next(constant for constant in model.graph.initializer if constant.name == _TABLE)
    content = bytes(table.raw_data)
    external_data_helper.set_external_data(table, file_name, offset=0, length=len(content))
    table.ClearField("raw_data")
    return content


def _index(g: Graph) -> tuple[str, str, str]:
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


def _embed(g: Graph, weights: Weights, ids: str) -> str:
    """Return (tokens, 512): rows of the table, dequantised with the scale and offset of their chunk."""
    chunks = [weights[f"q{i + 1}"] for i in range(_CHUNKS)]
    table = np.empty((_CHUNKS * len(chunks[0]), DIM), dtype=np.uint8)
    for i, chunk in enumerate(chunks):
        table[i::_CHUNKS] = chunk
    chunk_of = g.op("Mod", ids, g.ints(_CHUNKS))
    scale, offset = (g.op("Gather", g.weight(weights[name][:, None]), chunk_of) for name in ("scale", "lo"))
    levels = g.to_compute(g.op("Gather", g.const(table, _TABLE), ids))
    return g.op("Add", g.op("Mul", levels, scale), offset)


def _convolve(g: Graph, weights: Weights, embedded: str, windows: str, inverse: str) -> str:
    """Return (tokens, 1280): the embedding beside two residual convolutions for each of the three window widths.

    ``embedded`` has a row per token of the batch, or per different one where ``inverse`` (tokens,) says which is whose.
    """
    orders = [order for order, _ in _BRANCHES]

    def joined(name: str) -> NDArray[Any]:
        return np.concatenate([weights[f"{name}{order}"] for order in orders], axis=-1)

    def spread(value: str) -> str:
        return g.op("Gather", value, inverse) if inverse else value

    projection = joined("proj")
    taken = g.site("projection", embedded, [projection])
    projected = g.multiply(taken, projection, joined("proj_b"))
    normed = g.norm(projected, joined("ln_g"), joined("ln_b"), float(weights["eps"]))
    branches = g.split(normed, [_CHANNELS] * len(_BRANCHES), 1)
    slots = _slots(g, windows, inverse)
    outputs = [spread(embedded)]
    for (order, left), branch in zip(_BRANCHES, branches, strict=True):
        near = _columns(g, windows, left, order)
        first, second = ((weights[f"w{layer}_{order}"], weights[f"b{layer}_{order}"]) for layer in "12")
        if g.peaks is None and inverse:
            product = _summed(g, f"first_{order}", branch, _columns(g, slots, left, order), first)
        else:
            near_first = _columns(g, slots, left, order) if inverse else near
            product = _windowed(g, f"first_{order}", branch, near_first, first)
        value = g.op("Add", g.op("Relu", product), spread(branch))
        product = _windowed(g, f"second_{order}", value, near, second)
        outputs.append(g.op("Add", g.op("Relu", product), value))
    return g.norm(g.op("Concat", *outputs, axis=1), weights["ln_g"], weights["ln_b"], float(weights["eps"]))


def _slots(g: Graph, windows: str, inverse: str) -> str:
    """Return the window rows among the different tokens; a slot outside the sentence points behind the last of them."""
    if not inverse:
        return windows
    behind = g.op("Add", g.op("ReduceMax", inverse, keepdims=1), g.ints([1]))
    return g.op("Gather", g.op("Concat", inverse, behind, axis=0), windows)


def _columns(g: Graph, windows: str, left: int, order: int) -> str:
    first = _LEFT - left
    return g.op("Slice", windows, g.ints([first]), g.ints([first + order]), g.ints([1]))


def _summed(g: Graph, site: str, branch: str, near: str, layer: tuple[NDArray[Any], NDArray[Any]]) -> str:
    """Return (tokens, 256): each place of a window has its own matrix, so each different token is multiplied once with each."""
    matrix, bias = layer
    g.sites[site] = branch
    order = len(matrix) // _CHANNELS
    side_by_side = matrix.reshape(order, _CHANNELS, _CHANNELS).transpose(1, 0, 2).reshape(_CHANNELS, -1)
    products = g.op("Reshape", g.op("MatMul", branch, g.weight(side_by_side)), g.ints([-1, _CHANNELS]))
    products = g.op("Concat", products, g.weight(np.zeros((order, _CHANNELS))), axis=0)
    places = g.op("Add", g.op("Mul", near, g.ints(order)), g.ints(list(range(order))))
    return g.op("Add", g.op("ReduceSum", g.op("Gather", products, places), g.ints([1]), keepdims=0), g.weight(bias))


def _windowed(g: Graph, site: str, value: str, near: str, layer: tuple[NDArray[Any], NDArray[Any]]) -> str:
    """Return (tokens, 256): the windows of ``value`` times the matrix."""
    matrix, bias = layer
    padded = g.op("Concat", value, g.weight(np.zeros((1, _CHANNELS))), axis=0)
    taken = g.site(site, padded, [matrix])
    flat = g.op("Reshape", g.op("Gather", taken.value, near), g.ints([-1, len(matrix)]))
    return g.multiply(replace(taken, value=flat), matrix, bias)


def _pool(g: Graph, weights: Weights, features: str, rows: str) -> str:
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


def _feed_forward(g: Graph, weights: Weights, pooled: str) -> str:
    """Return (batch, 512) float32 rows of norm 1."""

    def dense(value: str, name: str) -> str:
        return g.op("MatMul", value, g.weight(weights[name]))

    first = g.op("Relu", dense(pooled, "d0"))
    second = g.op("Relu", g.op("Add", dense(pooled, "p1"), dense(first, "d1")))
    third = g.op("Relu", dense(second, "d2"))
    last = g.to_float(g.op("Tanh", g.op("Add", dense(second, "p3"), dense(third, "d3"))))
    squares = g.op("ReduceSumSquare", last, axes=[1], keepdims=1)
    return g.op("Div", last, g.op("Sqrt", g.op("Max", squares, g.const(weights["eps"].astype(np.float32)))))
