"""Writes EfficientNet-Lite0 as an ONNX graph, from its weights.

The architecture is Tan and Le, "EfficientNet" (2019), in its lite variant: no squeeze-and-excitation, ReLU6, and paddings that give
ceil(size / stride). Batch norms are folded into their convolutions. The weights were trained on ImageNet; the last layer, which
names its 1,000 classes, is left out: what is before it describes pictures in general.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from streamrec.pictures.efficientnet import DIM, NAME

_EPSILON: Final = 1e-3
_OPSET: Final = 17
_IR_VERSION: Final = 9
#: How often, kernel, first stride, expansion, channels out.
_STAGES: Final = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM_CHANNELS: Final = 32

Weights = Mapping[str, NDArray[np.float32]]


def build(weights: Weights) -> onnx.ModelProto:
    """Return the checked model: ``pixels`` (batch, 3, height, width) float32 to ``features`` (batch, 1280) float32."""
    graph = _Graph(weights)
    value = graph.conv("pixels", "_conv_stem", "_bn0", stride=2)
    channels, block = _STEM_CHANNELS, 0
    for repeats, kernel, first_stride, expansion, out in _STAGES:
        for repeat in range(repeats):
            stride = first_stride if repeat == 0 else 1
            value = graph.block(
                value, f"_blocks.{block}.", kernel, stride, expand=expansion > 1, skip=stride == 1 and channels == out
            )
            channels, block = out, block + 1
    value = graph.conv(value, "_conv_head", "_bn1")
    pooled = graph.op("GlobalAveragePool", value)
    graph.op("Flatten", pooled, output="features", axis=1)
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, "height", "width"])
    features = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", DIM])
    proto = helper.make_graph(graph.nodes, NAME, [pixels], [features], graph.constants)
    model = helper.make_model(
        proto, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION, producer_name="streamrec"
    )
    onnx.checker.check_model(model)
    return model


class _Graph:
    """Collects nodes and constants; ``op`` and ``conv`` return the name of their output."""

    def __init__(self, weights: Weights) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._weights = weights
        self._limits = (self._const(np.float32(0.0)), self._const(np.float32(6.0)))

    def op(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add one node."""
        name = output or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def conv(self, value: str, layer: str, norm: str, *, stride: int = 1, depthwise: bool = False, active: bool = True) -> str:
        """Add a convolution with its batch norm, and ReLU6 behind it where ``active``."""
        kernel = self._weights[f"{layer}.weight"]
        scale = self._weights[f"{norm}.weight"] / np.sqrt(self._weights[f"{norm}.running_var"] + np.float32(_EPSILON))
        bias = self._weights[f"{norm}.bias"] - self._weights[f"{norm}.running_mean"] * scale
        folded = kernel * scale[:, None, None, None]
        out = self.op(
            "Conv",
            value,
            self._const(folded.astype(np.float32)),
            self._const(bias.astype(np.float32)),
            strides=[stride, stride],
            group=len(kernel) if depthwise else 1,
            auto_pad="SAME_UPPER",
        )
        return self.op("Clip", out, *self._limits) if active else out

    def block(self, value: str, name: str, kernel: int, stride: int, *, expand: bool, skip: bool) -> str:
        """Add an inverted bottleneck: widen, filter each channel by itself, narrow."""
        inner = self.conv(value, f"{name}_expand_conv", f"{name}_bn0") if expand else value
        depthwise = f"{name}_depthwise_conv"
        assert self._weights[f"{depthwise}.weight"].shape[-1] == kernel
        inner = self.conv(inner, depthwise, f"{name}_bn1", stride=stride, depthwise=True)
        narrow = self.conv(inner, f"{name}_project_conv", f"{name}_bn2", active=False)
        return self.op("Add", narrow, value) if skip else narrow

    def _const(self, value: NDArray[np.float32] | np.float32) -> str:
        name = f"const_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value) if np.ndim(value) else np.asarray(value), name))
        return name
