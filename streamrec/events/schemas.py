"""The contracts for other languages, written from the structs: a JSON Schema per topic and one AsyncAPI document.

``python -m streamrec.events.schemas FOLDER`` writes them; a test fails when the folder differs from what this module renders.
"""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from streamrec import __version__
from streamrec.events.topics import DEAD_LETTERS, TOPICS, Topic

Document = dict[str, Any]

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_CONTENT_TYPES: Final = {"json": "application/json", "msgpack": "application/vnd.msgpack", "bytes": "application/octet-stream"}
_ARRAY_NOTE: Final = "On the wire: a MessagePack array of the fields in this order; base64 strings stand for MessagePack binary."

#: What a dead letter's headers hold, as `workers.transport.dead_letters` writes them.
DEAD_LETTER_HEADERS: Final = {
    "source-topic": "topic that the message came from",
    "source-partition": "its partition, decimal",
    "source-offset": "its offset, decimal",
    "reason": "what is wrong with the message, and what to do",
    "time": "when it was refused, ms since the epoch, UTC, decimal",
}


def render() -> dict[str, str]:
    """Return every generated file: name inside the folder → its text."""
    files = {f"{name}.schema.json": _text(json_schema(topic)) for name, topic in TOPICS.items() if topic.payload is not None}
    files["asyncapi.json"] = _text(asyncapi())
    return files


def json_schema(topic: Topic) -> Document:
    """Return the JSON Schema (2020-12) of a topic's value."""
    assert topic.payload is not None, f"{topic.name} carries other topics' bytes"
    schema: Document = _tidy(msgspec.json.schema(topic.payload))
    head: Document = {"$schema": _DIALECT, "title": topic.name}
    if topic.encoding == "msgpack":
        head["$comment"] = _ARRAY_NOTE
    return head | schema


def asyncapi() -> Document:
    """Return the AsyncAPI 3.0 document: channels, keys, cleanup and retention of every topic."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "streamrec",
            "version": __version__,
            "description": "What streamrec reads from Kafka and writes to it. Values are UTF-8 JSON except on internal topics. "
            "Unknown fields are ignored; new fields have defaults; `ts` is event time in ms since the epoch, UTC.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {_id(topic): _channel(topic) for topic in TOPICS.values()},
        "operations": dict(operation for topic in TOPICS.values() for operation in _operations(topic)),
        "components": {
            "messages": {name: body for topic in TOPICS.values() for name, body in _messages(topic).items()},
            "schemas": _components(),
        },
    }


def _id(topic: Topic) -> str:
    """Turn ``items.catalog`` into ``itemsCatalog``: AsyncAPI's ids take no dots inside references of some tools."""
    first, *rest = topic.name.replace(".", "-").split("-")
    return first + "".join(word.capitalize() for word in rest)


def _channel(topic: Topic) -> Document:
    configuration: Document = {
        "cleanup.policy": [topic.cleanup],
        "max.message.bytes": int(topic.kafka_config()["max.message.bytes"]),
    }
    if topic.retention_ms is not None:
        configuration["retention.ms"] = topic.retention_ms
    return {
        "address": topic.name,
        "title": topic.name,
        "description": _description(topic),
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _messages(topic)},
        "bindings": {
            "kafka": {
                "partitions": topic.partitions,
                "replicas": topic.replication_factor,
                "topicConfiguration": configuration,
                "bindingVersion": "0.5.0",
            }
        },
    }


def _description(topic: Topic) -> str:
    kept = "the newest value per key" if topic.cleanup == "compact" else f"{(topic.retention_ms or 0) // 86_400_000} days"
    whose = "Internal to streamrec. " if topic.internal else ""
    return f"{whose}Key: {topic.key}. Keeps {kept}. Values of at most {topic.max_value_bytes} bytes."


def _operations(topic: Topic) -> list[tuple[str, Document]]:
    """Return what streamrec does with the topic: it receives what the shop sends, and sends and receives what is internal."""
    actions = ["receive"] if not topic.internal else ["send"] if topic.name == DEAD_LETTERS else ["send", "receive"]
    channel = f"#/channels/{_id(topic)}"
    messages = [{"$ref": f"{channel}/messages/{name}"} for name in _messages(topic)]
    named = (f"{action}{_id(topic)[0].upper()}{_id(topic)[1:]}" for action in actions)
    return [
        (name, {"action": action, "channel": {"$ref": channel}, "messages": messages})
        for name, action in zip(named, actions, strict=True)
    ]


def _messages(topic: Topic) -> dict[str, Document]:
    if topic.payload is None:
        return {"DeadLetter": _dead_letter(topic)}
    name = topic.payload.__name__
    messages = {name: _message(topic, {"$ref": f"#/components/schemas/{name}"}, f"The value of {topic.name}.")}
    if topic.nullable:
        messages[f"{name}Removed"] = _message(topic, {"type": "null"}, f"A null value: the {topic.key}'s fact is taken back.")
    return messages


def _message(topic: Topic, payload: Document, summary: str) -> Document:
    key = {"type": "string", "minLength": 1, "maxLength": 128, "description": f"the {topic.key}"}
    return {
        "title": topic.name,
        "summary": summary,
        "contentType": _CONTENT_TYPES[topic.encoding],
        "payload": payload,
        "bindings": {"kafka": {"key": key, "bindingVersion": "0.5.0"}},
    }


def _dead_letter(topic: Topic) -> Document:
    headers = {name: {"type": "string", "description": text} for name, text in DEAD_LETTER_HEADERS.items()}
    message = _message(
        topic, {"description": "the refused message's bytes, as they came"}, "A message that was refused, as it came."
    )
    message["bindings"]["kafka"]["key"] = {"type": "string", "description": "the refused message's key, as it came"}
    return message | {"headers": {"type": "object", "properties": headers, "required": list(headers)}}


def _components() -> dict[str, Document]:
    types = [topic.payload for topic in TOPICS.values() if topic.payload is not None]
    _, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    return {name: _draft_07(_tidy(schema)) for name, schema in sorted(components.items())}


def _draft_07(schema: Any) -> Any:
    """Rewrite tuples: AsyncAPI's own schema dialect is draft-07, where ``prefixItems`` is called ``items``."""
    if isinstance(schema, list):
        return [_draft_07(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    parts = {("items" if key == "prefixItems" else key): _draft_07(value) for key, value in schema.items()}
    return parts | {"description": f"{schema['description']}\n\n{_ARRAY_NOTE}"} if "prefixItems" in schema else parts


def _tidy(schema: Any) -> Any:
    """Take the source's indentation out of descriptions."""
    if isinstance(schema, list):
        return [_tidy(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    tidy = {key: _tidy(value) for key, value in schema.items()}
    if isinstance(tidy.get("description"), str):
        tidy["description"] = inspect.cleandoc(tidy["description"])
    return tidy


def _text(document: Document) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def write(folder: Path, files: dict[str, str]) -> None:
    """Write each file of ``files`` into ``folder``, which is made when it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


def drift(folder: Path, files: dict[str, str]) -> list[str]:
    """Return the names of files in ``folder`` that are missing, differ from ``files``, or are schemas of no topic any more."""
    expected = {name for name, text in files.items() if _read(folder / name) != text}
    forgotten = {path.name for path in folder.glob("*.schema.json")} - files.keys()
    return sorted(expected | forgotten)


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "schemas"), render())
