"""The verbs that run for long hand on exactly what was asked for."""

from __future__ import annotations

import json
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from streamrec.bench import embed
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


@pytest.mark.parametrize("name", ["lists", "rank"])
def test_a_bench_is_printed_as_a_table_or_as_json(parts: FakeParts, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    result: dict[str, Any] = {"machine": {"cores": 2}, "per_s": 1234.5, "what": "texts"}
    monkeypatch.setattr(import_module(f"streamrec.bench.{name}"), "run", lambda: result)
    assert json.loads(run(parts, "bench", name, "--json").stdout) == result
    text = run(parts, "bench", name).stdout
    assert "machine cores" in text
    assert "1,234" in text or "1,235" in text


def test_the_bench_of_the_encoders_hands_on_what_was_asked_for(parts: FakeParts, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    late = {"single_p50": 1.0, "single_p99": 2.0, "full_p50": 0.1, "full_p99": 0.2}
    cosine = {"use_int8": {"min": 0.99, "mean": 0.999}}
    names = ("use_numpy", "use_int8")
    result = {
        "texts": 40,
        "sources": {"completejourney": 40},
        "threads": 2,
        "cores": 2,
        **{measure: dict.fromkeys(names, 1234.5) for measure in ("rates", "cpu_rates", "tokens_per_s")},
        "latency_ms": dict.fromkeys(names, late),
        "cosine": cosine,
        "ratios": {"use_vs_numpy_int8": 4.25},
        "cpu_ratios": {"use_vs_numpy_int8": 5.25},
        "notes": ["a note"],
    }

    def measured(options: Any, progress: Any) -> dict[str, Any]:
        asked.append(options)
        progress("rounds", 1, 2)
        return result

    monkeypatch.setattr(embed, "run", measured)
    assert json.loads(run(parts, "bench", "embed", "--json", "--texts", "40", "--rounds", "1").stdout) == result
    assert (asked[0].texts, asked[0].rounds, asked[0].batch) == (40, 1, 256)
    text = run(parts, "bench", "embed").stdout
    for what in ("use_int8", "0.9900", "4.25", "5.25", "40 completejourney", "a note"):
        assert what in text


def test_the_bench_of_a_gpu_says_on_what_it_ran(parts: FakeParts, monkeypatch: pytest.MonkeyPatch) -> None:
    models = {"minilm-int8": {"titles_per_s": 400.0, "gpu_busy": None, "trouble": ""}}
    result = {"provider": "cpu", "texts": 32, "cores": 2, "peak_tflops": 0.5, "models": models, "notes": ["measured on the CPU"]}
    asked: dict[str, Any] = {}

    def measured(texts: int, **choices: Any) -> dict[str, Any]:
        asked.update(choices, texts=texts)
        return result

    monkeypatch.setattr(embed, "run_gpu", measured)
    assert json.loads(run(parts, "bench", "embed", "--gpu", "--json", "--texts", "32", "--peak-tflops", "0.5").stdout) == result
    assert (asked["texts"], asked["peak_tflops"]) == (32, 0.5)
    text = run(parts, "bench", "embed", "--gpu").stdout
    assert "minilm-int8" in text
    assert "measured on the CPU" in text


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
