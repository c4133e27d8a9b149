"""Every verb explains itself, and an expected error is one line with what to do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from streamrec.cli.app import root
from streamrec.cli.moments import parse
from streamrec.cli.output import safe
from streamrec.config import Settings
from tests.unit.cli.fakes import NOW_MS, FakeParts, run


def _verbs() -> list[tuple[str, ...]]:
    context = click.Context(root)
    found: list[tuple[str, ...]] = []
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        assert command is not None
        found.append((name,))
        if isinstance(command, click.Group):
            found += [(name, inner) for inner in command.list_commands(context)]
    return found


@pytest.mark.parametrize("verb", _verbs(), ids=" ".join)
def test_every_verb_has_help_that_says_what_it_is_for(parts: FakeParts, verb: tuple[str, ...]) -> None:
    result = run(parts, *verb, "--help")
    assert result.exit_code == 0
    paragraph = result.stdout.split("\n\n")[1].strip()
    assert len(paragraph) > 15


def test_an_unknown_verb_is_refused(parts: FakeParts) -> None:
    result = run(parts, "recommend")
    assert result.exit_code == 2
    assert "No such command" in result.stderr


def test_an_expected_error_is_one_line_on_stderr_and_exit_code_2(parts: FakeParts) -> None:
    parts.memory_broker.away = True
    result = run(parts, "topics", "list")
    assert result.exit_code == 2
    assert result.stderr == "streamrec: Kafka at memory: nobody answers; check the address\n"
    assert result.stdout == ""


def test_a_wrong_setting_is_one_line_too() -> None:
    command = [sys.executable, "-m", "streamrec", "config"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env={"STREAMREC_KAFKA__NO_SUCH": "1"})
    assert result.returncode == 2
    assert result.stderr.startswith("streamrec: settings: kafka.no_such")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("now", NOW_MS),
        ("+2h", NOW_MS + 7_200_000),
        ("-30m", NOW_MS - 1_800_000),
        ("+1d", NOW_MS + 86_400_000),
        ("-5ms", NOW_MS - 5),
        ("1767225600001", 1_767_225_600_001),
        ("2026-01-01T00:00:00Z", 1_767_225_600_000),
        ("2026-01-01T01:00:00+01:00", 1_767_225_600_000),
        ("2026-01-01", 1_767_225_600_000),
    ],
)
def test_moments_are_read_as_people_write_them(text: str, ms: int) -> None:
    assert parse(NOW_MS, text) == ms


@pytest.mark.parametrize("text", ["", "tomorrow", "+2", "2h", "+2y"])
def test_what_is_no_moment_is_refused(parts: FakeParts, text: str) -> None:
    result = run(parts, "publish", "stock", "sku-1", "0", "--ts", text)
    assert result.exit_code == 2
    assert "is no moment" in result.stderr


def test_text_from_outside_cannot_steer_a_terminal() -> None:
    assert safe(b"\x1b[31mred\x1b[0m\nnext\x00\xff", 60) == r"\x1b[31mred\x1b[0m\nnext\x00\xff"
    assert safe("a" * 100, 10) == "a" * 9 + "…"
    assert safe(None) == "(null)"


def test_config_masks_what_is_secret(parts: FakeParts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMREC_REDIS__URL", "redis://shop:swordfish@redis:6379/0")
    monkeypatch.setenv("STREAMREC_KAFKA__SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("STREAMREC_KAFKA__SASL_MECHANISM", "PLAIN")
    monkeypatch.setenv("STREAMREC_KAFKA__SASL_USERNAME", "shop")
    monkeypatch.setenv("STREAMREC_KAFKA__SASL_PASSWORD", "hunter2")
    monkeypatch.setenv("STREAMREC_KAFKA__EXTRA", '{"ssl.key.password": "open-sesame", "client.id": "shop"}')
    parts.settings = Settings.load()
    for arguments in (["config"], ["config", "--json"]):
        text = run(parts, *arguments).stdout
        assert "redis:6379" in text
        assert "shop" in text
        for secret in ("swordfish", "hunter2", "open-sesame"):
            assert secret not in text


def test_schemas_prints_one_topics_schema_or_the_whole_document(parts: FakeParts) -> None:
    assert json.loads(run(parts, "schemas", "items.stock").stdout)["title"] == "items.stock"
    assert json.loads(run(parts, "schemas").stdout)["asyncapi"] == "3.0.0"
    assert "one of" in run(parts, "schemas", "no.such").stderr


def test_schemas_writes_what_it_then_finds_equal(parts: FakeParts, tmp_path: Path) -> None:
    assert run(parts, "schemas", "--write", str(tmp_path)).exit_code == 0
    assert run(parts, "schemas", "--check", str(tmp_path)).exit_code == 0
    (tmp_path / "items.stock.schema.json").write_text("{}", encoding="utf-8")
    result = run(parts, "schemas", "--check", str(tmp_path))
    assert result.exit_code == 1
    assert "different: items.stock.schema.json" in result.stderr


def test_a_worker_takes_roles_in_any_order_and_refuses_others(parts: FakeParts) -> None:
    assert "oracle is no role" in run(parts, "worker", "--roles", "oracle,embedder").stderr
    assert "nothing is no role" in run(parts, "worker", "--roles", ",").stderr


def test_topics_are_created_once(parts: FakeParts) -> None:
    parts.memory_broker.topics.clear()
    assert run(parts, "topics", "list").exit_code == 1
    assert set(json.loads(run(parts, "topics", "create", "--json").stdout).values()) == {"created"}
    assert set(json.loads(run(parts, "topics", "create", "--json").stdout).values()) == {"exists"}
    listed = json.loads(run(parts, "topics", "list", "--json").stdout)
    assert {name: listed[2][name] for name in ("topic", "partitions")} == {"topic": "items.stock", "partitions": 4}
