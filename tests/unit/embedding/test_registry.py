"""Which name builds which encoder, and what is said when it cannot."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from streamrec.config import ModelSettings
from streamrec.embedding import HashingEncoder, load_encoder, minilm, runtime
from streamrec.embedding.runtime import open_session
from streamrec.errors import ConfigError, ModelError
from tests.encoders import MULTILINGUAL, cosines, encoder, model_cache


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"nonsense.*bge-m3, hashing, minilm-int8, .*onnx, .*use-multilingual-v3"):
        load_encoder(ModelSettings(name="nonsense"))


def test_the_hashing_encoder_is_never_the_default() -> None:
    assert ModelSettings().name == "use-multilingual-v3"
    assert isinstance(load_encoder(ModelSettings(name="hashing")), HashingEncoder)


def test_onnx_needs_both_paths(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"model\.onnx_path and model\.tokenizer_path"):
        load_encoder(ModelSettings(name="onnx", onnx_path=tmp_path / "model.onnx"))
    with pytest.raises(ConfigError, match=r"model\.onnx_path.*not a file"):
        load_encoder(ModelSettings(name="onnx", onnx_path=tmp_path / "a", tokenizer_path=tmp_path / "b"))


def test_any_onnx_encoder_is_a_matter_of_settings() -> None:
    """MiniLM as its package exports it, by two paths, gives the vectors of the graph that is written here."""
    ours = encoder("minilm-int8")
    graph, tokenizer = minilm.packaged()
    by_path = load_encoder(ModelSettings(name="onnx", onnx_path=graph, tokenizer_path=tokenizer, provider="cpu"))
    assert by_path.digest != ours.digest
    assert cosines(by_path.encode(MULTILINGUAL), ours.encode(MULTILINGUAL)).min() >= 0.9999


def test_int8_is_for_processors_and_says_what_a_gpu_takes() -> None:
    settings = ModelSettings(name="minilm-int8", precision="int8", provider="cuda", cache_dir=model_cache())
    with pytest.raises(ModelError, match="float16 for a GPU"):
        load_encoder(settings)


def test_auto_without_a_usable_gpu_says_why_once_and_runs_on_the_cpu(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(runtime, "cuda_problem", lambda _: "there is no device")
    caplog.set_level(logging.INFO, logger="streamrec.embedding.runtime")
    encoder("use-multilingual-v3")
    graph = next((model_cache() / "models").glob("*float32*.onnx"))
    assert open_session(graph, provider="auto").get_providers() == ["CPUExecutionProvider"]
    assert [record.getMessage() for record in caplog.records] == ["encoder runs on the CPU: there is no device"]


def test_cuda_on_demand_is_refused_where_it_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "cuda_problem", lambda _: "there is no device")
    with pytest.raises(ModelError, match=r"there is no device.*model\.provider to auto"):
        open_session(Path("any.onnx"), provider="cuda")


def test_a_device_without_its_libraries_is_found_out_in_a_process_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The trial's graph is no graph, so it must fail wherever the test runs; this process prints nothing and lives on."""
    monkeypatch.setattr(runtime, "_driver_problem", lambda: None)
    problem = runtime.cuda_problem(Path(__file__))
    assert problem is not None
    assert "is missing" in problem or "a trial session failed with status" in problem
    assert capfd.readouterr() == ("", "")
