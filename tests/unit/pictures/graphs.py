"""Small image encoders as ONNX graphs."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, helper


def _save(path: Path, nodes: list[onnx.NodeProto], pixels: list[str | int | None], features: list[str | int | None]) -> Path:
    graph = helper.make_graph(
        nodes,
        "eye",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, pixels)],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, features)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def mean_colour(path: Path) -> Path:
    """Write a graph that gives the mean of each channel, (n, 3)."""
    nodes = [helper.make_node("GlobalAveragePool", ["pixels"], ["mean"]), helper.make_node("Flatten", ["mean"], ["features"])]
    return _save(path, nodes, ["n", 3, "h", "w"], ["n", 3])


def the_pixels(path: Path, shape: list[str | int | None]) -> Path:
    """Write a graph that gives what it is given."""
    return _save(path, [helper.make_node("Identity", ["pixels"], ["features"])], shape, shape)
