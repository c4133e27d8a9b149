"""The bench of the encoders measures the real thing."""

from __future__ import annotations

import pytest

from streamrec.bench.catalogue.titles import Title
from streamrec.bench.embed import Options, gpu, run, run_gpu, texts
from streamrec.config import ModelSettings
from streamrec.errors import DataError
from tests.encoders import MULTILINGUAL, model_cache

SETTINGS = ModelSettings(cache_dir=model_cache(), provider="cpu")
NAMES = {"use_numpy", "use_float32", "use_int8", "minilm_plain", "minilm_float32", "minilm_int8"}


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Titles that need not be read from 92,331 products."""
    titles = [Title(f"{text} {i}") for i in range(2) for text in MULTILINGUAL]
    monkeypatch.setattr(texts, "titles_by_source", lambda _: {"a": titles[::2], "b": titles[1::2]})


@pytest.mark.usefixtures("few")
def test_the_bench_reports_rates_ratios_latencies_and_the_agreement() -> None:
    steps: list[tuple[str, int, int]] = []
    options = Options(texts=40, rounds=1, singles=3, batch=16, threads=1)
    result = run(options, SETTINGS, lambda *step: steps.append(step))
    assert result["texts"] == sum(result["sources"].values()) == 40
    for measure in ("rates", "cpu_rates", "tokens_per_s", "latency_ms"):
        assert set(result[measure]) == NAMES, measure
    assert all(rate > 0 for rate in result["rates"].values())
    assert set(result["ratios"]) == {"use_vs_numpy", "use_vs_numpy_int8", "minilm_vs_plain", "minilm_vs_plain_int8"}
    for late in result["latency_ms"].values():
        assert 0 < late["single_p50"] <= late["single_p99"]
        assert 0 < late["full_p50"] <= late["full_p99"]
    assert min(result["cosine"][name]["min"] for name in ("use_float32", "minilm_float32")) >= 0.999
    assert min(result["cosine"][name]["min"] for name in ("use_int8", "minilm_int8")) >= 0.98
    for what in ("warm up", "rounds", "one by one"):
        taken = [(step, total) for name, step, total in steps if name == what]
        assert sum(step for step, _ in taken) == taken[0][1], what


@pytest.mark.usefixtures("few")
def test_where_no_gpu_is_the_cpu_is_measured_and_the_report_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "cuda_problem", lambda _: "there is no device")
    result = run_gpu(32, settings=SETTINGS, peak_tflops=0.5)
    assert result["provider"] == "cpu"
    assert result["notes"] == ["measured on the CPU: there is no device"]
    minilm = result["models"]["minilm-int8"]
    # 2 · (4·384² + 2·384·1536) · 6 layers for each place, and attention besides, a few hundredths of it.
    places = minilm["tokens_per_title"] / (1 - minilm["padding"])
    assert 1.0 < minilm["mflops_per_title"] / (21.23 * places) < 1.3
    for one in result["models"].values():
        assert one["titles_per_s"] > 0
        assert one["gpu_busy"] is None
        assert one["share_of_peak"] == pytest.approx(
            one["session_titles_per_s"] * one["mflops_per_title"] / 0.5e6, rel=0.02, abs=2e-3
        )


def test_texts_are_distinct_the_same_each_time_and_evenly_of_the_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"small": [Title(f"s{i}") for i in range(10)], "large": [Title(f"l{i % 90}") for i in range(100)]}
    monkeypatch.setattr(texts, "titles_by_source", lambda _: found)
    drawn = texts.draw(50, None)
    assert {name: len(part) for name, part in drawn.items()} == {"small": 10, "large": 40}
    assert len(set(texts.mixed(drawn))) == 50
    assert texts.draw(50, None) == drawn


def test_no_titles_at_all_are_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "titles_by_source", lambda _: {})
    with pytest.raises(DataError, match="--data"):
        texts.draw(5, None)
