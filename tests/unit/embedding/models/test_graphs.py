"""Which graphs and tokenizers are an encoder's, and which last token is the last, whichever side is padded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streamrec.config import ModelSettings
from streamrec.embedding import load_encoder
from streamrec.embedding.models import graphs
from streamrec.embedding.onnx_encoder import pool
from streamrec.errors import ModelError
from tests.unit.embedding.models.toys import write_graph, write_tokenizer


def test_a_graph_of_text_alone_is_an_encoder_s(tmp_path: Path) -> None:
    graphs.examine(write_graph(tmp_path / "a.onnx"))
    graphs.examine(write_graph(tmp_path / "b.onnx", inputs=("input_ids", "attention_mask", "position_ids"), places=True))


def test_a_decoder_s_graph_is_refused_with_what_to_take_instead(tmp_path: Path) -> None:
    inputs = ("input_ids", "attention_mask", "past_key_values.0.key", "past_key_values.0.value")
    with pytest.raises(ModelError, match=r"writing text: it asks for past_key_values\.0\.key and 1 more.*feature extraction"):
        graphs.examine(write_graph(tmp_path / "a.onnx", inputs=inputs))


def test_a_graph_of_something_else_is_refused_with_what_it_asks_for(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="asks for pixel_values, so it is no encoder of text"):
        graphs.examine(write_graph(tmp_path / "a.onnx", inputs=("input_ids", "pixel_values")))
    (tmp_path / "b.onnx").write_bytes(b"<html>not found</html>")
    with pytest.raises(ModelError, match="is no ONNX graph"):
        graphs.examine(tmp_path / "b.onnx")


def test_a_last_token_model_needs_a_tokenizer_that_ends_with_its_token(tmp_path: Path) -> None:
    graphs.ends_with(write_tokenizer(tmp_path / "a.json"), "</s>")
    with pytest.raises(ModelError, match=r"ends a text with '<unk>' and not with '</s>'.*that of its base"):
        graphs.ends_with(write_tokenizer(tmp_path / "b.json", ending=False), "</s>")
    (tmp_path / "c.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelError, match=r"not a tokenizer\.json"):
        graphs.ends_with(tmp_path / "c.json", "</s>")


def test_the_last_token_is_the_last_one_that_counts_whichever_side_is_padded() -> None:
    rows = np.arange(2 * 4 * 2, dtype=np.float32).reshape(2, 4, 2)
    right = pool(rows, np.array([[1, 1, 0, 0], [1, 1, 1, 1]]), "last")
    left = pool(rows, np.array([[0, 0, 1, 1], [1, 1, 1, 1]]), "last")
    np.testing.assert_array_equal(right, [rows[0, 1], rows[1, 3]])
    np.testing.assert_array_equal(left, [rows[0, 3], rows[1, 3]])
    np.testing.assert_array_equal(pool(rows[:1], np.zeros((1, 4), np.int64), "last"), [rows[0, 0]])


def test_position_ids_count_from_0_and_padding_moves_no_vector(tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "a.onnx", inputs=("input_ids", "attention_mask", "position_ids"), places=True)
    tokenizer = write_tokenizer(tmp_path / "a.json")
    settings = ModelSettings(
        name="onnx", onnx_path=graph, tokenizer_path=tokenizer, pooling="last", normalize=False, provider="cpu", batch_tokens=64
    )
    encoder = load_encoder(settings)
    both = encoder.encode(["red", "blue shoe red"])
    np.testing.assert_array_equal(both[0], np.eye(8)[2] + 2)  # </s> stands third, and its place is 2
    np.testing.assert_array_equal(both[1], np.eye(8)[2] + 4)
    np.testing.assert_array_equal(both, np.vstack([encoder.encode(["red"]), encoder.encode(["blue shoe red"])]))
