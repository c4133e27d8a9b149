"""Settings come from the environment or a file, say what is wrong with them, and keep their secrets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from streamrec import config_reference
from streamrec.config import Settings
from streamrec.errors import ConfigError


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("STREAMREC_"):
            monkeypatch.delenv(name)


def test_the_environment_sets_nested_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMREC_KAFKA__BOOTSTRAP", "broker:1")
    monkeypatch.setenv("STREAMREC_RANKING__LIST_SIZE", "12")
    settings = Settings.load()
    assert (settings.kafka.bootstrap, settings.ranking.list_size) == ("broker:1", 12)


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "streamrec.toml"
    file.write_text('log_level = "DEBUG"\n[kafka]\nbootstrap = "file:1"\ngroup_prefix = "shop"\n', encoding="utf-8")
    monkeypatch.setenv("STREAMREC_CONFIG", str(file))
    monkeypatch.setenv("STREAMREC_KAFKA__BOOTSTRAP", "environment:1")
    settings = Settings.load()
    assert (settings.kafka.bootstrap, settings.kafka.group_prefix, settings.log_level) == ("environment:1", "shop", "DEBUG")


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("STREAMREC_INDEX__KIND", "magic", "index.kind"),
        ("STREAMREC_KAFKA__MAX_BATCH", "0", "kafka.max_batch"),
        ("STREAMREC_KAFKA__NO_SUCH", "1", "kafka.no_such"),
        ("STREAMREC_CONFIG", "/no/such/file.toml", "not a file"),
    ],
)
def test_a_wrong_setting_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch, name: str, value: str, part: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=part) as refused:
        Settings.load()
    assert "correct" in str(refused.value)


def test_settings_are_frozen() -> None:
    settings = Settings.load()
    with pytest.raises(ValidationError):
        settings.log_level = "DEBUG"  # type: ignore[misc]  # the error is the law
    with pytest.raises(ValidationError):
        settings.kafka.bootstrap = "x"  # type: ignore[misc]


def test_the_reference_names_every_setting_once() -> None:
    text = config_reference.render()
    for name, field in Settings.model_fields.items():
        inner = getattr(field.annotation, "model_fields", None)
        variables = [f"STREAMREC_{name}__{part}".upper() for part in inner] if inner else [f"STREAMREC_{name}".upper()]
        for variable in variables:
            assert text.count(f"| `{variable}` |") == 1
