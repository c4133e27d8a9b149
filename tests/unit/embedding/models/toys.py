"""Graphs and tokenizers of a few numbers, whose right vectors can be told by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, pre_tokenizers, processors
from tokenizers.models import WordLevel

#: Width of the toys' vectors; the token of id i is the row i of the identity.
WIDTH = 8
WORDS = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "red": 4, "blue": 5, "shoe": 6, "query:": 7}


def write_graph(path: Path, *, inputs: tuple[str, ...] = ("input_ids", "attention_mask"), places: bool = False) -> Path:
    """Write a graph that gives each token its row of the identity; with ``places`` plus its position id."""
    table = numpy_helper.from_array(np.eye(WIDTH, dtype=np.float32), "table")
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["rows"])]
    if places:
        nodes += [
            helper.make_node("Cast", ["position_ids"], ["float_places"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["float_places", "axes"], ["columns"]),
            helper.make_node("Add", ["rows", "columns"], ["last_hidden_state"]),
        ]
    else:
        nodes.append(helper.make_node("Identity", ["rows"], ["last_hidden_state"]))
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"]) for name in inputs],
        [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "length", WIDTH])],
        [table, numpy_helper.from_array(np.array([2], np.int64), "axes")] if places else [table],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    assert onnx.load(str(path)).graph.name == "toy"
    return path


def write_tokenizer(path: Path, *, ending: bool = True) -> Path:
    """Write a tokenizer of whole words; ``</s>`` stands behind each text unless ``ending`` is false."""
    tokenizer = Tokenizer(WordLevel(WORDS, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if ending:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    path.parent.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(path))
    return path
