"""Micro-batches, pooling and prefixes of the general encoder, on a graph small enough to check by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from streamrec.embedding import onnx_encoder
from streamrec.embedding.onnx_encoder import EncoderFiles, SentenceEncoder, pool
from streamrec.errors import ModelError

WORDS = ["?", "red", "blue", "shoes", "find:"]
TABLE = np.random.default_rng(1).normal(size=(len(WORDS), 6)).astype(np.float32)


def small_encoder(
    folder: Path, *, output: str = "tokens", inputs: tuple[str, ...] = ("input_ids",), **settings: Any
) -> SentenceEncoder:
    """Write a graph that looks each token up in a table, and a tokenizer of whole words."""
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="?"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["tokens"])]
    if output == "pooled":
        nodes.append(helper.make_node("ReduceMean", ["tokens"], ["pooled"], axes=[1], keepdims=0))
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "l"]) for name in inputs],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(TABLE, "table")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, folder / "model.onnx")
    files = EncoderFiles("small", folder / "model.onnx", folder / "tokenizer.json", **settings)
    return SentenceEncoder(files, provider="cpu", threads=1)


def unit(vector: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return vector / np.linalg.norm(vector)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [("mean", (TABLE[1] + TABLE[3]) / 2), ("cls", TABLE[1]), ("last", TABLE[3])],
)
def test_pooling_reads_the_real_tokens_and_no_padding(tmp_path: Path, pooling: str, expected: np.ndarray[Any, Any]) -> None:
    vectors = small_encoder(tmp_path, pooling=pooling).encode(["red shoes", "blue blue blue blue shoes"])
    np.testing.assert_allclose(vectors[0], unit(expected), rtol=1e-5)


def test_a_graph_that_pools_by_itself_is_taken_at_its_word(tmp_path: Path) -> None:
    vectors = small_encoder(tmp_path, output="pooled", pooling="none").encode(["red shoes"])
    np.testing.assert_allclose(vectors[0], unit((TABLE[1] + TABLE[3]) / 2), rtol=1e-5)


def test_every_usual_input_is_fed(tmp_path: Path) -> None:
    inputs = ("input_ids", "attention_mask", "token_type_ids", "position_ids")
    assert small_encoder(tmp_path, inputs=inputs).encode(["red shoes"]).shape == (1, 6)


def test_unnormalised_vectors_keep_their_length(tmp_path: Path) -> None:
    vectors = small_encoder(tmp_path, normalize=False).encode(["red"])
    np.testing.assert_allclose(vectors[0], TABLE[1], rtol=1e-6)


def test_queries_and_items_get_their_own_prefix(tmp_path: Path) -> None:
    encoder = small_encoder(tmp_path, query_prefix="blue ", item_prefix="red ", pooling="cls")
    np.testing.assert_allclose(encoder.encode(["shoes"], query=True)[0], unit(TABLE[2]), rtol=1e-5)
    np.testing.assert_allclose(encoder.encode(["shoes"])[0], unit(TABLE[1]), rtol=1e-5)


def test_the_digest_changes_with_everything_that_changes_the_vectors(tmp_path: Path) -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"pooling": "cls"},
        {"query_prefix": "red "},
        {"item_prefix": "red "},
        {"max_tokens": 16},
        {"normalize": False},
        {"split_unknown": True},
    ]
    digests = [small_encoder(tmp_path, **change).digest for change in changes]
    digests.append(small_encoder(tmp_path, inputs=("input_ids", "attention_mask")).digest)
    assert len(set(digests)) == len(digests)
    assert small_encoder(tmp_path).digest == digests[0]


def test_inputs_that_no_sentence_encoder_has_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"pixel_values.*export"):
        small_encoder(tmp_path, inputs=("input_ids", "pixel_values"))


@pytest.mark.parametrize(("output", "pooling"), [("tokens", "none"), ("pooled", "mean")])
def test_pooling_that_does_not_fit_the_graph_is_refused_at_start(tmp_path: Path, output: str, pooling: str) -> None:
    with pytest.raises(ModelError, match=r"correct model\.pooling"):
        small_encoder(tmp_path, output=output, pooling=pooling)


def test_files_that_are_no_model_are_refused_by_name(tmp_path: Path) -> None:
    small_encoder(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    files = EncoderFiles("small", tmp_path / "model.onnx", tmp_path / "tokenizer.json")
    with pytest.raises(ModelError, match=r"model\.onnx_path"):
        SentenceEncoder(files, provider="cpu")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match=r"model\.tokenizer_path"):
        SentenceEncoder(files, provider="cpu")


def test_equal_texts_are_encoded_once_and_found_at_every_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = small_encoder(tmp_path, pooling="cls")
    shapes: list[tuple[int, ...]] = []
    compute = subject._run._compute

    def noted(session: Any, feeds: Any) -> Any:
        shapes.append(feeds["input_ids"].shape)
        return compute(session, feeds)

    monkeypatch.setattr(subject._run, "_compute", noted)
    vectors = subject.encode(["red", "blue shoes", "red", "red"])
    assert sum(rows for rows, _ in shapes) == 2
    np.testing.assert_allclose(vectors[[0, 2, 3]], np.tile(unit(TABLE[1]), (3, 1)), rtol=1e-5)
    np.testing.assert_allclose(vectors[1], unit(TABLE[2]), rtol=1e-5)


def test_many_texts_in_several_chunks_come_back_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokenised ahead, computed on two lanes, more chunks than are held at once."""
    monkeypatch.setattr(onnx_encoder, "_CHUNK", 7)
    monkeypatch.setattr(onnx_encoder, "_FEW", 4)
    subject = small_encoder(tmp_path, pooling="mean")
    words = [" ".join(WORDS[1 + (i >> k) % 3] for k in range(1 + i % 5)) for i in range(200)]
    np.testing.assert_allclose(subject.encode(words), np.vstack([subject.encode([text]) for text in words]), rtol=1e-5)


def test_an_error_in_a_lane_reaches_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_encoder, "_FEW", 1)
    subject = small_encoder(tmp_path)

    def broken(*_: Any) -> Any:
        raise RuntimeError("no power")

    monkeypatch.setattr(subject._run, "_compute", broken)
    with pytest.raises(RuntimeError, match="no power"):
        subject.encode([f"red {i}" for i in range(100)])


def test_mean_pooling_of_nothing_is_zero_and_no_error() -> None:
    result = pool(np.ones((1, 2, 3), dtype=np.float16), np.zeros((1, 2), dtype=np.int64), "mean")
    np.testing.assert_array_equal(result, np.zeros((1, 3), dtype=np.float32))
