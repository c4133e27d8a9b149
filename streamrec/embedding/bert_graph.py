"""Writes BERT sentence encoders as an ONNX graph of few nodes, from their weights.

The architecture is Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding" (2019), with
norms behind each residual sum; a sentence is the mean of its tokens. Attention, residual sums with their norms, and GELU with its
bias are one node each (operators of onnxruntime, on the CPU and on CUDA), and pooling is in the graph, so that what comes back is
one row per text and not one per token.

The graph takes ``input_ids`` and ``attention_mask``, (batch, length) int64, and gives ``sentence_embedding``, (batch, dim) float32,
not normalised. Padding costs what a token costs: batches are to be of one length, or nearly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from streamrec.embedding.graph import Graph, Peaks
from streamrec.embedding.model_files import Precision

_EPSILON: Final = 1e-12
#: Channels behind GELU that are multiplied as they are, also in int8: there some are up to a hundred times larger than the rest.
_LOUD: Final = 48

Array = NDArray[Any]


@dataclass(frozen=True)
class Dense:
    """A matrix (inputs, outputs) and a bias (outputs,)."""

    matrix: Array
    bias: Array


@dataclass(frozen=True)
class Norm:
    """A layer norm's gain and bias, (width,) each."""

    gain: Array
    bias: Array


@dataclass(frozen=True)
class Layer:
    """One block: attention and feed-forward net, a norm behind each."""

    query: Dense
    key: Dense
    value: Dense
    out: Dense
    out_norm: Norm
    up: Dense
    down: Dense
    down_norm: Norm


@dataclass(frozen=True)
class Bert:
    """All weights of an encoder; words come as they are stored: levels (words, width) int8 and scales (words, 1) float32."""

    words: Array
    word_scales: Array
    positions: Array
    token_type: Array
    norm: Norm
    layers: Sequence[Layer]
    heads: int


def build(bert: Bert, precision: Precision = "float32", peaks: Peaks | None = None) -> tuple[onnx.ModelProto, dict[str, str]]:
    """Return the checked model, and the value at each site of a matrix; ``int8`` needs the ``peaks`` of these."""
    g = Graph(precision, peaks)
    state = _embed(g, bert)
    mask = g.op("Cast", "attention_mask", to=TensorProto.INT32)
    for i, layer in enumerate(bert.layers):
        state = _block(g, str(i), layer, state, mask=mask, heads=bert.heads)
    _mean(g, g.to_float(state))
    return g.model("bert", bert.words.shape[1]), g.sites


def _embed(g: Graph, bert: Bert) -> str:
    """Return (batch, length, width): word, position and token type, summed and normed."""
    levels = g.to_compute(g.op("Gather", g.const(bert.words), "input_ids"))
    words = g.op("Mul", levels, g.op("Gather", g.weight(bert.word_scales), "input_ids"))
    length = g.op("Gather", g.op("Shape", "input_ids"), g.ints([1]))
    # Of every item the token type is 0, so its row is a part of each position.
    places = g.op("Slice", g.weight(bert.positions + bert.token_type), g.ints([0]), length, g.ints([0]))
    return g.norm(g.op("Add", words, places), bert.norm.gain, bert.norm.bias, _EPSILON)


def _block(g: Graph, name: str, layer: Layer, state: str, *, mask: str, heads: int) -> str:
    parts = (layer.query, layer.key, layer.value)
    taken = g.site(f"attention_{name}", state, [part.matrix for part in parts])
    bias = g.weight(np.concatenate([part.bias for part in parts]))
    seen = [g.multiply(taken, part.matrix) for part in parts]
    context = g.contrib("MultiHeadAttention", *seen, bias, mask, num_heads=heads)
    state = _added(g, f"out_{name}", context, state, dense=layer.out, norm=layer.out_norm)
    taken = g.site(f"up_{name}", state, [layer.up.matrix])
    wide = g.contrib("BiasGelu", g.multiply(taken, layer.up.matrix), g.weight(layer.up.bias))
    return _added(g, f"down_{name}", wide, state, dense=layer.down, norm=layer.down_norm, loud=_LOUD)


def _added(g: Graph, site: str, value: str, state: str, *, dense: Dense, norm: Norm, loud: int = 0) -> str:
    taken = g.site(site, value, [dense.matrix], loud=loud)
    product = g.multiply(taken, dense.matrix)
    gain, shift, bias = g.weight(norm.gain), g.weight(norm.bias), g.weight(dense.bias)
    return g.contrib("SkipLayerNormalization", product, state, gain, shift, bias, epsilon=_EPSILON)


def _mean(g: Graph, state: str) -> None:
    mask = g.to_float("attention_mask")
    count = g.op("Max", g.op("ReduceSum", mask, g.ints([1]), keepdims=1), g.const(np.array([1.0], dtype=np.float32)))
    shares = g.op("Unsqueeze", g.op("Div", mask, count), g.ints([1]))
    g.op("Squeeze", g.op("MatMul", shares, state), g.ints([1]), output="sentence_embedding")
