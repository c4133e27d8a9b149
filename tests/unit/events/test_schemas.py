"""The generated contracts are what the code says, and hold the golden messages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from streamrec import config_reference
from streamrec.events import TOPICS, schemas
from workers.transport import dead_letters

FOLDER = Path(__file__).parents[3] / "schemas"
JSON_TOPICS = sorted(name for name, topic in TOPICS.items() if topic.encoding == "json")


def test_the_committed_schemas_are_what_the_code_renders() -> None:
    assert schemas.drift(FOLDER, schemas.render()) == [], "run `make schemas` and commit the result"


def test_the_committed_settings_reference_is_what_the_code_renders() -> None:
    assert schemas.drift(FOLDER, {**schemas.render(), "config.md": config_reference.render()}) == [], "run `make schemas`"


def test_drift_names_what_is_missing_changed_or_forgotten(tmp_path: Path) -> None:
    schemas.write(tmp_path, {"a.schema.json": "1", "b.schema.json": "2", "old.schema.json": "3"})
    assert schemas.drift(tmp_path, {"a.schema.json": "1", "b.schema.json": "new", "c.schema.json": "4"}) == [
        "b.schema.json",
        "c.schema.json",
        "old.schema.json",
    ]


@pytest.mark.parametrize("topic", JSON_TOPICS)
def test_a_golden_message_satisfies_its_topics_schema(topic: str) -> None:
    schema = json.loads((FOLDER / f"{topic}.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    for line in (FOLDER / "golden" / "v1" / f"{topic}.jsonl").read_text(encoding="utf-8").splitlines():
        value = json.loads(line)["text"]
        if value is not None:
            jsonschema.Draft202012Validator(schema).validate(json.loads(value))


@pytest.mark.parametrize(
    ("topic", "value"),
    [
        ("items.stock", {"quantity": -1, "ts": 1_767_225_600_000}),
        ("items.price", {"price": "1", "ts": 1_767_225_600_000}),
        ("events.clicks", {"item_id": "", "ts": 1_767_225_600_000}),
        ("events.orders", {"lines": [], "ts": 1_767_225_600_000}),
        ("events.carts", {"item_id": "a", "op": "steal", "ts": 1_767_225_600_000}),
    ],
)
def test_a_schema_refuses_what_the_codec_refuses(topic: str, value: dict[str, Any]) -> None:
    schema = schemas.json_schema(TOPICS[topic])
    assert not jsonschema.Draft202012Validator(schema).is_valid(value)


def test_every_topic_is_a_channel_with_its_key_cleanup_and_retention() -> None:
    channels = {channel["address"]: channel for channel in schemas.asyncapi()["channels"].values()}
    assert channels.keys() == TOPICS.keys()
    for name, topic in TOPICS.items():
        kafka = channels[name]["bindings"]["kafka"]
        assert kafka["partitions"] == topic.partitions
        assert kafka["topicConfiguration"]["cleanup.policy"] == [topic.cleanup]
        assert kafka["topicConfiguration"].get("retention.ms") == topic.retention_ms
        assert f"Key: {topic.key}." in channels[name]["description"]


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    document = schemas.asyncapi()
    references = list(_references(document))
    assert references
    for reference in references:
        place: Any = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def _references(part: Any) -> Any:
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"]
        for value in part.values():
            yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)


def test_a_dead_letters_headers_are_those_that_are_written() -> None:
    written = [name for name, _ in dead_letters.headers("items.stock", 0, 1, "why", 2)]
    assert list(schemas.DEAD_LETTER_HEADERS) == written
