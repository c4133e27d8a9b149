"""Variants are configured by the rules of what they change, and what is wrong with them is told."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from streamrec.config import RankingSettings, Settings
from streamrec.errors import ConfigError


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("STREAMREC_"):
            monkeypatch.delenv(name)


def _load(monkeypatch: pytest.MonkeyPatch, *variants: dict[str, Any], name: str = "tea") -> Settings:
    monkeypatch.setenv("STREAMREC_EXPERIMENT__NAME", name)
    monkeypatch.setenv("STREAMREC_EXPERIMENT__VARIANTS", json.dumps(variants))
    return Settings.load()


def test_without_variants_there_is_no_experiment() -> None:
    experiment = Settings.load().experiment
    assert (experiment.name, experiment.variants, experiment.labels) == ("", (), ())


def test_variants_from_the_environment_override_ranking_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMREC_RANKING__WEIGHT_NEW", "0.5")
    hot = {"name": "hot", "weight": 3, "ranking": {"weight_again": 0, "hide_seen": ["home"], "seed_decay": "0.25"}}
    settings = _load(monkeypatch, {"name": "control"}, hot)
    assert settings.experiment.labels == ("tea:control", "tea:hot")
    assert settings.experiment.weights == (1.0, 3.0)
    control, other = (variant.ranked_by(settings.ranking) for variant in settings.experiment.variants)
    assert control == settings.ranking
    changed = {"weight_again": 0.0, "hide_seen": ("home",), "seed_decay": 0.25}
    assert other == settings.ranking.model_copy(update=changed)
    assert other.weight_new == 0.5


def test_variants_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "streamrec.toml"
    file.write_text(
        '[experiment]\nname = "tea"\n[[experiment.variants]]\nname = "control"\n[[experiment.variants]]\nname = "hot"\n'
        "[experiment.variants.ranking]\nweight_new = 0.25\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("STREAMREC_CONFIG", str(file))
    settings = Settings.load()
    assert settings.experiment.variants[1].ranked_by(settings.ranking) == RankingSettings(weight_new=0.25)


@pytest.mark.parametrize(
    ("variants", "name", "words"),
    [
        ([{"name": "a"}, {"name": "b", "ranking": {"weight_agian": 0}}], "tea", "did you mean weight_again?"),
        ([{"name": "a"}, {"name": "b", "ranking": {"zzz": 0}}], "tea", "zzz is no ranking setting"),
        ([{"name": "a"}, {"name": "b", "ranking": {"weight_again": -1}}], "tea", "weight_again: Input should be greater than"),
        ([{"name": "a"}, {"name": "b", "ranking": {"list_size": 20}}], "tea", "set STREAMREC_RANKING__LIST_SIZE instead"),
        ([{"name": "a"}, {"name": "b", "ranking": {"together_half_life_s": 9}}], "tea", "is the same for all variants"),
        ([{"name": "a"}, {"name": "a"}], "tea", "each needs a name of its own"),
        ([{"name": "a"}, {"name": "b c"}], "tea", "experiment.variants.1.name"),
        ([{"name": "a"}, {"name": "b", "weight": 0}], "tea", "experiment.variants.1.weight"),
        ([{"name": "a"}], "tea", "give a control and at least one other"),
        ([{"name": "a"}, {"name": "b"}], "", "give both name and variants"),
        ([], "tea", "give both name and variants"),
    ],
)
def test_a_wrong_variant_is_told_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, variants: list[dict[str, Any]], name: str, words: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        _load(monkeypatch, *variants, name=name)
    assert words in str(refused.value)
    assert "correct them in the environment" in str(refused.value)
