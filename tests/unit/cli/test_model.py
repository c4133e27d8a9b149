"""``streamrec model list|build|check`` from a fresh cache."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from streamrec.cli.app import root
from tests.encoders import model_cache
from tests.unit.embedding.models.toys import write_graph, write_tokenizer


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own = {
        "toy": {"paths": {"graph": str(write_graph(tmp_path / "g.onnx")), "tokenizer": str(write_tokenizer(tmp_path / "t.json"))}},
        "decoder": {
            "paths": {
                "graph": str(write_graph(tmp_path / "d.onnx", inputs=("input_ids", "past_key_values.0.key"))),
                "tokenizer": str(tmp_path / "t.json"),
            }
        },
    }
    own["toy"] |= {"check_vectors": str(tmp_path / "toy.npy")}  # type: ignore[dict-item]
    monkeypatch.setenv("STREAMREC_MODEL__OWN", json.dumps(own))
    monkeypatch.setenv("STREAMREC_MODEL__CACHE_DIR", str(model_cache()))
    monkeypatch.setenv("STREAMREC_MODEL__PROVIDER", "cpu")


def asked(*arguments: str) -> Result:
    return CliRunner().invoke(root, ["model", *arguments])


def answered(*arguments: str) -> Any:
    result = asked(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_the_list_shows_the_package_s_models_and_one_s_own() -> None:
    rows = {row["name"]: row for row in answered("list")["models"]}
    assert {"use-multilingual-v3", "minilm-int8", "multilingual-e5-small", "bge-m3", "toy"} <= set(rows)
    assert rows["use-multilingual-v3"]["configured"]
    assert rows["toy"]["state"] == "ready"
    assert rows["bge-m3"]["state"].startswith("not pinned: revision")
    shown = asked("list")
    assert (shown.exit_code, "use-multilingual-v3 *" in shown.output) == (0, True)


def test_a_model_is_built_and_checked_and_the_list_knows() -> None:
    built = answered("build", "multilingual-e5-small")
    assert Path(built["graph"]).is_file()
    assert built["licence"] == "MIT"
    found = answered("check", "multilingual-e5-small")
    assert (found["ok"], found["compared"], found["dim"]) == (True, True, 384)
    rows = {row["name"]: row["state"] for row in answered("list")["models"]}
    assert rows["multilingual-e5-small"] == "ready"


def test_vectors_of_one_s_own_model_are_stored_and_then_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert answered("check", "toy", "--write", str(tmp_path / "toy.npy"))["written"] == str(tmp_path / "toy.npy")
    assert answered("check", "toy")["cosine_min"] == pytest.approx(1.0)
    assert "cosine to the stored vectors 1.0000" in asked("check", "toy").output
    write_tokenizer(tmp_path / "t.json", ending=False)
    result = asked("check", "toy")
    assert result.exit_code == 1
    assert "BAD toy" in result.output


def test_a_graph_that_is_no_encoder_s_is_refused_by_build() -> None:
    result = asked("build", "decoder")
    assert result.exit_code == 2
    assert "exported for feature extraction" in result.output


def test_a_model_that_is_not_pinned_is_refused_with_what_to_give() -> None:
    result = asked("build", "bge-m3")
    assert result.exit_code == 2
    assert 'give revision, sha256."onnx/model.onnx"' in result.output


def test_a_name_that_is_none_is_refused() -> None:
    result = asked("check", "nonsense")
    assert result.exit_code == 2
    assert "it must be one of bge-m3" in result.output
