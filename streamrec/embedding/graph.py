"""Writes ONNX graphs node by node, in float32, float16, or with matrices of one byte per number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from streamrec.embedding.model_files import Precision

Peaks = Mapping[str, NDArray[np.float32]]

_OPSET: Final = 17  # the first with LayerNormalization
_IR_VERSION: Final = 9
_CONTRIB: Final = "com.microsoft"
_ZERO: Final = 128  # of a quantised value: unsigned bytes times signed ones is what processors multiply fastest


@dataclass(frozen=True)
class Taken:
    """What matrices multiply: a value as it is, or the levels of one, the step of each channel, and channels that are left out."""

    value: str
    scales: NDArray[np.float32] | None = None
    original: str = ""
    exact: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, dtype=np.intp))


class Graph:
    """Collects nodes and constants; ``op`` returns the name of its output.

    With ``peaks`` matrices are multiplied in int8. ``peaks[site]`` is the largest magnitude that each input channel of the site's
    matrix has, shape (channels,); a graph that is written without them notes in ``sites`` which value to look at for which site.
    The scales are constants, so that a text's vector does not depend on what else is in the batch.
    """

    def __init__(self, precision: Precision = "float32", peaks: Peaks | None = None) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.sites: dict[str, str] = {}
        self.peaks = peaks
        self._dtype = np.float16 if precision == "float16" else np.float32
        self.onnx_dtype = helper.np_dtype_to_tensor_dtype(np.dtype(self._dtype))

    def op(self, kind: str, *inputs: str, output: str = "", domain: str = "", **attributes: Any) -> str:
        """Add one node with one output."""
        name = output or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], domain=domain, **attributes))
        return name

    def contrib(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add one node of onnxruntime's own."""
        return self.op(kind, *inputs, domain=_CONTRIB, **attributes)

    def split(self, value: str, sizes: Sequence[int], axis: int) -> list[str]:
        """Cut a tensor into parts."""
        names = [f"split_{len(self.nodes)}_{i}" for i in range(len(sizes))]
        self.nodes.append(helper.make_node("Split", [value, self.ints(list(sizes))], names, axis=axis))
        return names

    def unique(self, value: str) -> tuple[str, str]:
        """Return the different numbers of a vector, and for each of its numbers the place among them."""
        name = f"unique_{len(self.nodes)}"
        self.nodes.append(helper.make_node("Unique", [value], [name, "", f"{name}_inverse"], sorted=0))
        return name, f"{name}_inverse"

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

    def norm(self, value: str, gain: NDArray[Any], bias: NDArray[Any], epsilon: float) -> str:
        """Add a layer norm over the last axis."""
        return self.op("LayerNormalization", value, self.weight(gain), self.weight(bias), axis=-1, epsilon=epsilon)

    def site(self, name: str, value: str, matrices: Sequence[NDArray[Any]], *, loud: int = 0) -> Taken:
        """Return ``value`` as matrices take it.

        ``matrices`` are all that it will be multiplied with, shape (channels, n) each, or (places * channels, n) for a window. The
        ``loud`` largest channels are multiplied as they are: a step that is wide enough for a channel which is a hundred times
        larger than the others leaves nothing of these.
        """
        self.sites[name] = value
        if self.peaks is None:
            return Taken(value)
        peaks = np.maximum(self.peaks[name], np.float32(1e-6))
        exact = np.sort(np.argsort(-peaks, kind="stable")[:loud])
        peaks[exact] = np.float32(1e-6)
        scales = _channel_scales(peaks, matrices)
        even = self.op("Mul", value, self.const((1 / scales).astype(np.float32)))
        zero = self.const(np.array(_ZERO, dtype=np.uint8))
        levels = self.op("QuantizeLinear", even, self.const(np.array(1.0, dtype=np.float32)), zero)
        return Taken(levels, scales, value, exact)

    def multiply(self, taken: Taken, matrix: NDArray[Any], bias: NDArray[Any] | None = None) -> str:
        """Multiply what ``site`` returned with a (k, n) matrix, add the bias (n,)."""
        if taken.scales is None:
            if bias is not None:
                return self.op("Gemm", taken.value, self.weight(matrix), self.weight(bias))
            return self.op("MatMul", taken.value, self.weight(matrix))
        rows = np.tile(taken.scales, len(matrix) // len(taken.scales))[:, None] * np.asarray(matrix, dtype=np.float32)
        rows[taken.exact] = 0
        columns = np.maximum(np.abs(rows).max(axis=0), np.float32(1e-12)) / np.float32(127)
        levels = self.const(np.rint(rows / columns).astype(np.int8))
        inputs = [taken.value, levels, self.const(np.array(1.0, dtype=np.float32)), self.const(columns.astype(np.float32))]
        inputs += [self.const(np.array(_ZERO, dtype=np.uint8)), self.const(np.array(0, dtype=np.int8))]
        product = self.contrib("MatMulIntegerToFloat", *inputs, *([] if bias is None else [self.weight(bias)]))
        if not len(taken.exact):
            return product
        loud = self.op("Gather", taken.original, self.const(taken.exact.astype(np.int64)), axis=-1)
        return self.op("Add", product, self.op("MatMul", loud, self.weight(matrix[taken.exact])))

    def model(self, name: str, dim: int) -> onnx.ModelProto:
        """Return the checked model.

        Inputs: ``input_ids`` and ``attention_mask``, (batch, length) int64; output: ``sentence_embedding``, (batch, dim) float32.
        """
        proto = helper.make_graph(
            self.nodes,
            name,
            [helper.make_tensor_value_info(one, TensorProto.INT64, ["batch", "length"]) for one in ("input_ids", "attention_mask")],
            [helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, ["batch", dim])],
            self.constants,
        )
        versions = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_CONTRIB, 1)]
        model = helper.make_model(proto, opset_imports=versions, ir_version=_IR_VERSION, producer_name="streamrec")
        onnx.checker.check_model(model)
        return model


def _channel_scales(peaks: NDArray[np.float32], matrices: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
    """Return how much of a channel is one step.

    It is a fourth root of a power of two, so that tiny differences in what was measured change nothing.

    A channel that is large where its weights are small hands part of its size over to them (Xiao et al., "SmoothQuant", 2022):
    one step for all channels would leave the quiet ones without numbers.
    """
    channels = len(peaks)
    heavy = np.max([np.abs(matrix).reshape(-1, channels, matrix.shape[1]).max(axis=(0, 2)) for matrix in matrices], axis=0)
    wanted = np.sqrt(peaks / np.maximum(heavy, 1e-6))  # how much a channel is shrunk, up to a factor for all
    shrunk = (peaks / wanted).max()  # the largest number after that
    scales: NDArray[np.float32] = np.exp2(np.ceil(4 * np.log2(wanted * shrunk / 127)) / 4).astype(np.float32)
    return scales
