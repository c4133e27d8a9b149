"""Bytes to structs and back. A bad record is an outcome with a reason, never an exception that stops a stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from streamrec.errors import InvalidMessage
from streamrec.events import messages as m
from streamrec.events.topics import TOPICS, Topic

#: How far ahead of our clock a producer's may run. A fact from the far future would outrank every true one until then.
MAX_FUTURE_MS: Final = 300_000
MAX_KEY_BYTES: Final = 512

_json = msgspec.json.Encoder()
_msgpack = msgspec.msgpack.Encoder()


def _decoder(topic: Topic) -> Any:
    if topic.payload is None:
        return None
    return (msgspec.json if topic.encoding == "json" else msgspec.msgpack).Decoder(topic.payload)


_DECODERS: Final[dict[str, Any]] = {name: _decoder(topic) for name, topic in TOPICS.items()}


@dataclass(frozen=True, slots=True)
class Message:
    """A valid message: its key, and its value or None for a tombstone."""

    key: str
    value: m.Payload | None


def _decode_key(topic: Topic, key: bytes | None) -> str:
    if not key:
        raise InvalidMessage(f"key: missing; produce with the {topic.key} as the message key")
    if len(key) > MAX_KEY_BYTES:
        raise InvalidMessage(f"key: {len(key)} bytes, at most {MAX_KEY_BYTES}")
    try:
        return msgspec.convert(key.decode(), m.Id)
    except (UnicodeDecodeError, msgspec.ValidationError) as error:
        raise InvalidMessage(f"key: {error}") from error


def decode(topic_name: str, key: bytes | None, value: bytes | None, now_ms: int, *, max_future_ms: int = MAX_FUTURE_MS) -> Message:
    """Turn one record's bytes into a valid message.

    ``now_ms`` is the reader's time; a ``ts`` later than ``now_ms + max_future_ms`` is refused.

    Raises InvalidMessage, whose ``reason`` names the field and what is wrong with it.
    """
    topic = TOPICS[topic_name]
    text_key = _decode_key(topic, key)
    if value is None:
        if topic.nullable:
            return Message(text_key, None)
        raise InvalidMessage(f"value: null has no meaning on {topic_name}")
    if len(value) > topic.max_value_bytes:
        raise InvalidMessage(f"value: {len(value)} bytes, at most {topic.max_value_bytes} on {topic_name}")
    try:
        payload = _DECODERS[topic_name].decode(value)
    # msgspec itself lets two poisons through: broken UTF-8 inside a string, and nesting deeper than the interpreter's stack.
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidMessage(f"value: {error}") from error
    ts = getattr(payload, "ts", None)
    if ts is not None and ts > now_ms + max_future_ms:
        ahead_s, limit_s = (ts - now_ms) / 1000, max_future_ms / 1000
        raise InvalidMessage(f"ts: {ts} is {ahead_s:.0f} s in the future, at most {limit_s:.0f} s; mend the producer's clock")
    return Message(text_key, payload)


def encode(payload: m.Payload, topic_name: str) -> bytes:
    """Turn a struct into the bytes of its topic's encoding; ``decode`` gives the same struct back."""
    return (_json if TOPICS[topic_name].encoding == "json" else _msgpack).encode(payload)
