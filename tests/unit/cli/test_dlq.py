"""Dead letters are shown with their reason, brought in once mended, and not shown again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streamrec.events import decode
from streamrec.events import messages as m
from tests.unit.cli.fakes import NOW_MS, FakeLetter, FakeParts, run

GOOD = b'{"quantity": 0, "ts": 1767225600000}'
FUTURE = b'{"quantity": 5, "ts": 1893456000000}'
BROKEN = b'{"quantity": \x1b[31m'


@pytest.fixture
def parts() -> FakeParts:
    made = FakeParts()
    made.memory_broker.letters = [
        FakeLetter(0, GOOD, reason="handler: Redis was away"),
        FakeLetter(1, FUTURE, reason="ts: in the future"),
        FakeLetter(2, BROKEN, reason="value: JSON is malformed"),
        FakeLetter(3, None, reason="value: null has no meaning"),
        FakeLetter(4, GOOD, reason="key: missing", key=b""),
        FakeLetter(5, GOOD, source_topic="someone.elses"),
    ]
    return made


def _ids(parts: FakeParts, *options: str) -> list[str]:
    return [letter["id"] for letter in json.loads(run(parts, "dlq", "list", "--json", *options).stdout)]


def test_each_letter_is_listed_with_source_reason_time_and_a_harmless_preview(parts: FakeParts) -> None:
    text = run(parts, "dlq", "list").stdout
    for part in ("0:2", "items.stock[2]@7", "value: JSON is malformed", "2026-01-01 00:00:00", r'{"quantity": \x1b[31m'):
        assert part in text
    assert "\x1b[31m" not in text


def test_json_holds_the_bytes(parts: FakeParts) -> None:
    [letter] = json.loads(run(parts, "dlq", "list", "--json", "--reason", "null").stdout)
    assert letter == {
        "id": "0:3",
        "source": {"topic": "items.stock", "partition": 2, "offset": 7},
        "reason": "value: null has no meaning",
        "time_ms": NOW_MS,
        "key": "sku-1",
        "preview": "(null)",
        "value_base64": None,
        "redriven": False,
    }


def test_letters_are_chosen_by_reason_topic_and_number(parts: FakeParts) -> None:
    assert _ids(parts) == ["0:0", "0:1", "0:2", "0:3", "0:4", "0:5"]
    assert _ids(parts, "--reason", "future") == ["0:1"]
    assert _ids(parts, "--topic", "someone.elses") == ["0:5"]
    assert _ids(parts, "--limit", "2") == ["0:4", "0:5"]
    assert "4 older ones are not shown" in run(parts, "dlq", "list", "--limit", "2").stdout


def test_an_empty_topic_is_said(parts: FakeParts) -> None:
    parts.memory_broker.letters = []
    assert run(parts, "dlq", "list").stdout.startswith("no dead letters")


def test_all_sends_what_is_valid_now_and_tells_why_the_rest_is_not(parts: FakeParts) -> None:
    result = run(parts, "dlq", "redrive", "--all")
    assert result.exit_code == 1
    assert parts.memory_broker.sent == [("items.stock", b"sku-1", GOOD)]
    assert "re-driven: 1, refused: 5" in result.stdout
    for part in ("0:1 not sent to items.stock: ts:", "0:2", "null has no meaning", "key: missing", "'someone.elses' is none of"):
        assert part in result.stderr


def test_what_was_redriven_is_not_listed_or_sent_again_unless_named(parts: FakeParts) -> None:
    run(parts, "dlq", "redrive", "--id", "0:0")
    assert "0:0" not in _ids(parts)
    assert "0:0" in _ids(parts, "--all")
    run(parts, "dlq", "redrive", "--reason", "Redis was away")
    assert len(parts.memory_broker.sent) == 1
    run(parts, "dlq", "redrive", "--id", "0:0")
    assert len(parts.memory_broker.sent) == 2


def test_restamp_mends_an_impossible_time(parts: FakeParts) -> None:
    result = run(parts, "dlq", "redrive", "--reason", "future", "--restamp")
    assert result.exit_code == 0, result.stderr
    [(topic, key, value)] = parts.memory_broker.sent
    assert isinstance(key, bytes)
    assert decode(topic, key, value, NOW_MS).value == m.Stock(quantity=5, ts=NOW_MS)


def test_restamp_refuses_what_is_no_json_object(parts: FakeParts) -> None:
    result = run(parts, "dlq", "redrive", "--id", "0:2", "--restamp")
    assert result.exit_code == 1
    assert "--restamp needs a JSON value" in result.stderr


def test_a_value_or_a_key_can_be_replaced(parts: FakeParts, tmp_path: Path) -> None:
    file = tmp_path / "mended.json"
    file.write_bytes(GOOD)
    assert run(parts, "dlq", "redrive", "--id", "0:2", "--value", str(file)).exit_code == 0
    assert run(parts, "dlq", "redrive", "--id", "0:4", "--key", "sku-4").exit_code == 0
    assert parts.memory_broker.sent == [("items.stock", b"sku-1", GOOD), ("items.stock", b"sku-4", GOOD)]


def test_replacing_needs_one_named_letter(parts: FakeParts) -> None:
    assert "name it by --id" in run(parts, "dlq", "redrive", "--all", "--key", "x").stderr
    assert "say which" in run(parts, "dlq", "redrive").stderr
    assert "no dead letter is called 0:99" in run(parts, "dlq", "redrive", "--id", "0:99").stderr
    assert parts.memory_broker.sent == []


def test_force_sends_what_would_be_refused_but_never_to_a_foreign_topic(parts: FakeParts) -> None:
    result = run(parts, "dlq", "redrive", "--all", "--force", "--json")
    sent = {entry["id"]: entry["sent"] for entry in json.loads(result.stdout)}
    assert sent == {"0:0": True, "0:1": True, "0:2": True, "0:3": True, "0:4": True, "0:5": False}


def test_a_dry_run_sends_and_marks_nothing(parts: FakeParts) -> None:
    assert "would be re-driven: 1, refused: 0" in run(parts, "dlq", "redrive", "--id", "0:0", "--dry-run").stdout
    assert parts.memory_broker.sent == []
    assert "0:0" in _ids(parts)


def test_what_was_not_acknowledged_is_not_marked(parts: FakeParts) -> None:
    parts.memory_broker.refuses_messages = True
    assert run(parts, "dlq", "redrive", "--id", "0:0").exit_code == 2
    assert "0:0" in _ids(parts)


def test_marks_end_with_their_letters_and_do_not_hide_a_new_letter_at_the_same_place(parts: FakeParts) -> None:
    run(parts, "dlq", "redrive", "--id", "0:0")
    parts.memory_broker.letters = [FakeLetter(0, GOOD, at_ms=NOW_MS + 1)]
    assert _ids(parts) == ["0:0"]
    assert parts.fake_redis.sets["streamrec:redriven"] == set()
