"""The verbs that run for long hand on exactly what was asked for."""

from __future__ import annotations

import json
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from streamrec.cli import run as verbs
from streamrec.demo import DemoOptions
from tests.unit.cli.fakes import FakeParts, run


def test_every_flag_of_the_demo_is_one_of_its_options_with_the_same_default() -> None:
    options = {field.name: field for field in fields(DemoOptions)}
    for parameter in verbs.demo.params:
        assert parameter.name in options
    by_name = {parameter.name: parameter.default for parameter in verbs.demo.params}
    assert (by_name["seconds"], by_name["broker"]) == (options["seconds"].default, options["broker"].default)


def test_data_that_is_not_there_or_not_known_is_refused(parts: FakeParts, tmp_path: Path) -> None:
    assert "does not exist" in run(parts, "replay", "--data", str(tmp_path / "none")).stderr
    result = run(parts, "replay", "--data", str(tmp_path))
    assert result.exit_code == 2
    assert "catalogue.jsonl" in result.stderr


@pytest.mark.parametrize("name", ["embed", "lists"])
def test_a_bench_is_printed_as_a_table_or_as_json(parts: FakeParts, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    result: dict[str, Any] = {"machine": {"cores": 2}, "per_s": 1234.5, "what": "texts"}
    monkeypatch.setattr(import_module(f"streamrec.bench.{name}"), "run", lambda: result)
    assert json.loads(run(parts, "bench", name, "--json").stdout) == result
    text = run(parts, "bench", name).stdout
    assert "machine cores" in text
    assert "1,234" in text or "1,235" in text


def test_the_bench_of_the_index_hands_on_what_was_asked_for(parts: FakeParts, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def measured(**choices: Any) -> dict[str, Any]:
        asked.update(choices)
        choices["say"]("exact answers")
        return {"items": choices["items"]}

    monkeypatch.setattr(import_module("streamrec.bench.index"), "run", measured)
    result = run(parts, "bench", "index", "--json", "--items", "300", "--peer", "faiss", "--tier-items", "400", "--seed", "1")
    assert json.loads(result.stdout) == {"items": 300}
    assert "exact answers" in result.stderr
    assert (asked["peers"], asked["tier_items"], asked["cycles"], asked["seed"]) == (("faiss",), 400, 10, 1)
    run(parts, "bench", "index", "--json", "--no-peers")
    assert asked["peers"] == ()
