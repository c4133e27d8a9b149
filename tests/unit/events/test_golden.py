"""What stands in somebody's Kafka stays readable: golden messages of every version decode to what they meant."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streamrec.events import TOPICS, decode

GOLDEN = Path(__file__).parents[3] / "schemas" / "golden"
NOW_MS = 1_767_312_000_000


def _lines() -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path.parent.name, path.name.removesuffix(".jsonl"), json.loads(line))
        for path in sorted(GOLDEN.glob("v*/*.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]


def _value(line: dict[str, Any]) -> bytes | None:
    text = line.get("text")
    coded = line.get("base64")
    return text.encode() if text is not None else base64.b64decode(coded) if coded is not None else None


def _known(found: Any, expected: Any) -> Any:
    """Leave out the fields that were added since; they have defaults."""
    if isinstance(found, dict) and isinstance(expected, dict):
        return {name: _known(value, expected[name]) for name, value in found.items() if name in expected}
    if isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        return [_known(*pair) for pair in zip(found, expected, strict=True)]
    return found


@pytest.mark.parametrize(("version", "topic", "line"), _lines())
def test_a_golden_message_means_what_it_meant(version: str, topic: str, line: dict[str, Any]) -> None:
    message = decode(topic, line["key"].encode(), _value(line), NOW_MS)
    assert message.key == line["key"]
    if line["expect"] is None:
        assert message.value is None
        return
    found = {name: getattr(message.value, name) for name in line["expect"]}
    assert _known(msgspec.json.decode(msgspec.json.encode(found)), line["expect"]) == line["expect"]


def test_every_topic_has_golden_messages_of_version_1() -> None:
    described = {name for name, topic in TOPICS.items() if topic.payload is not None}
    assert {topic for version, topic, _ in _lines() if version == "v1"} == described


def test_every_nullable_topic_has_a_golden_tombstone() -> None:
    tombstones = {topic for _, topic, line in _lines() if line["expect"] is None}
    assert tombstones == {name for name, topic in TOPICS.items() if topic.nullable}
