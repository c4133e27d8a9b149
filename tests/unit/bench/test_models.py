"""Models side by side: the same texts for each, and the first one's rate is what the others' are shares of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from streamrec.bench import models
from streamrec.cli.app import root
from streamrec.config import ModelSettings
from streamrec.errors import DataError, ModelError
from tests.unit.evaluate.relevance.toys import write_own


def test_texts_are_drawn_from_every_set_in_turn(tmp_path: Path) -> None:
    write_own(tmp_path / "shop")
    write_own(tmp_path / "other")
    drawn = models.titles(tmp_path, 7)
    assert len(drawn) == 7
    assert drawn == models.titles(tmp_path, 7)
    with pytest.raises(DataError):
        models.titles(tmp_path / "nowhere", 7)


def test_the_verb_measures_what_is_named_and_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_own(tmp_path / "shop")
    monkeypatch.setenv("STREAMREC_MODEL__CACHE_DIR", str(tmp_path / "cache"))
    arguments = ["model", "speed", "hashing", "bge-m3", "--data", str(tmp_path), "--texts", "5", "--rounds", "2", "--json"]
    result = CliRunner().invoke(root, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["models"]["hashing"]["of_hashing"] == 1.0
    assert found["models"]["hashing"]["texts_per_s"] > 0
    assert (found["texts"], found["rounds"], set(found["missing"])) == (5, 2, {"bge-m3"})


def test_no_model_at_all_is_an_error() -> None:
    with pytest.raises(ModelError, match="not pinned"):
        models.run(["a"], ModelSettings(), ["bge-m3"])
