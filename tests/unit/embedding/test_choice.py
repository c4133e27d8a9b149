"""A model that is chosen on one machine is the same on every other, or is refused there."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamrec.config import ModelSettings
from streamrec.embedding import HashingEncoder, LazyEncoder, choice_of, opened, settings_of
from streamrec.errors import ConfigError, ModelError
from streamrec.events import ModelChoice


def test_a_choice_carries_what_decides_the_vectors_and_each_worker_adds_its_own_machine() -> None:
    here = ModelSettings(name="onnx", onnx_path=Path("/m/g.onnx"), pooling="cls", query_prefix="q: ", threads=7, provider="cpu")
    choice = choice_of(here, HashingEncoder(8))
    assert choice.settings == {"name": "onnx", "onnx_path": "/m/g.onnx", "pooling": "cls", "query_prefix": "q: "}
    there = settings_of(choice, ModelSettings(name="hashing", threads=2, provider="cuda", max_tokens=32))
    assert (there.name, there.onnx_path, there.pooling, there.threads, there.provider) == (
        "onnx",
        Path("/m/g.onnx"),
        "cls",
        2,
        "cuda",
    )
    assert there.max_tokens == ModelSettings().max_tokens


def test_settings_of_a_later_version_are_refused_by_name() -> None:
    later = ModelChoice(settings={"name": "onnx", "magic": 1}, digest="ab", dim=8)
    with pytest.raises(ConfigError, match="onnx is described by settings that this version cannot read \\(magic\\)"):
        settings_of(later, ModelSettings())


def test_an_encoder_is_opened_once_and_not_before_it_is_needed() -> None:
    asked: list[str] = []

    def load(settings: ModelSettings) -> HashingEncoder:
        asked.append(settings.name)
        return HashingEncoder(8)

    choice = choice_of(ModelSettings(name="hashing"), HashingEncoder(8))
    lazy = LazyEncoder(choice, ModelSettings(), load)
    assert (lazy.name, lazy.dim, lazy.digest, lazy.loaded, asked) == ("hashing", 8, HashingEncoder(8).digest, False, [])
    assert lazy.encode(["a", "b"]).shape == (2, 8)
    assert lazy.encode(["a"]).shape == (1, 8)
    assert (lazy.loaded, asked) == (True, ["hashing"])


def test_another_model_under_the_same_name_is_refused() -> None:
    choice = choice_of(ModelSettings(name="hashing"), HashingEncoder(8))
    with pytest.raises(ModelError, match="give this worker the same files"):
        opened(choice, HashingEncoder(9), ModelSettings()).load()
