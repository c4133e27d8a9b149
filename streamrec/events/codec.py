"""Bytes to structs and back. A bad record is an outcome with a reason, never an exception that stops a stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from operator import attrgetter
from typing import Final, cast

import msgspec

from streamrec.errors import InvalidMessage
from streamrec.events import messages as m
from streamrec.events.slots import slot_key, split_slot
from streamrec.events.topics import TOPICS, VECTORS, Topic

#: How far ahead of our clock a producer's may run. A fact from the far future would outrank every true one until then.
MAX_FUTURE_MS: Final = 300_000
MAX_KEY_BYTES: Final = 512

#: msgspec itself lets two poisons through: broken UTF-8 inside a string, and nesting deeper than the interpreter's stack.
_POISONS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_json = msgspec.json.Encoder()
_msgpack = msgspec.msgpack.Encoder()
_ts = attrgetter("ts")


class Message(msgspec.Struct, frozen=True):
    """A valid message: its key, and its value or None for a tombstone."""

    key: str
    value: m.Payload | None


class _Codec:
    """What of a topic's contract is asked for every message, looked up once."""

    def __init__(self, topic: Topic) -> None:
        assert topic.payload is not None
        self.decode: Callable[[bytes], m.Payload] = (
            (msgspec.json if topic.encoding == "json" else msgspec.msgpack).Decoder(topic.payload).decode
        )
        self.ids = m.IDS.get(topic.payload)
        self.has_ts = "ts" in topic.payload.__struct_fields__
        self.max_value_bytes = topic.max_value_bytes


_CODECS: Final = {name: _Codec(topic) for name, topic in TOPICS.items() if topic.payload is not None}


def _fit(text: bytes) -> bool:
    """Tell whether ids, joined, hold no character that an id must not hold."""
    return len(text.translate(None, m.REFUSED_IN_IDS)) == len(text)


def _unfit(what: str) -> InvalidMessage:
    # Without the id itself: reasons are logged, and visitors' ids are personal data.
    return InvalidMessage(f"{what} holds a brace or a control character; use ids without them")


def _decode_key(topic: Topic, key: bytes | None) -> str:
    """Return the key; that of a vector may end with its model's slot, which is held to no rule but its own."""
    if topic.name == VECTORS and key and key.endswith(b"}"):
        item_id, slot = split_slot(key.decode(errors="replace"))
        if slot:
            return slot_key(_decode_id(topic, item_id.encode()), slot)
    return _decode_id(topic, key)


def _decode_id(topic: Topic, key: bytes | None) -> str:
    if not key:
        raise InvalidMessage(f"key: missing; produce with the {topic.key} as the message key")
    if len(key) > MAX_KEY_BYTES:
        raise InvalidMessage(f"key: {len(key)} bytes, at most {MAX_KEY_BYTES}")
    try:
        text = key.decode()
    except UnicodeDecodeError as error:
        raise InvalidMessage(f"key: {error}") from error
    if len(text) > m.MAX_ID_LENGTH:
        raise InvalidMessage(f"key: {len(text)} characters, at most {m.MAX_ID_LENGTH}")
    if not _fit(key):
        raise _unfit("key: it")
    return text


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
    codec = _CODECS[topic_name]
    try:
        payload = codec.decode(value)
    except _POISONS as error:
        raise InvalidMessage(f"value: {error}") from error
    if codec.ids is not None and not _fit("".join(codec.ids(payload)).encode()):
        raise _unfit("value: an id")
    if codec.has_ts and _ts(payload) > now_ms + max_future_ms:
        ts = _ts(payload)
        ahead_s, limit_s = (ts - now_ms) / 1000, max_future_ms / 1000
        raise InvalidMessage(f"ts: {ts} is {ahead_s:.0f} s in the future, at most {limit_s:.0f} s; mend the producer's clock")
    return Message(text_key, payload)


def decode_many(
    topic_name: str,
    keys: Sequence[bytes | None],
    values: Sequence[bytes | None],
    now_ms: int,
    *,
    max_future_ms: int = MAX_FUTURE_MS,
) -> tuple[list[str], list[m.Payload]] | None:
    """Turn records of one topic into keys and values, all at once; None unless every one is valid and none is a tombstone.

    ``decode`` says the same of each record, slower, and which is not valid and why.
    """
    if None in keys or None in values:
        return None
    codec = _CODECS[topic_name]
    present = cast("Sequence[bytes]", values)
    if max(map(len, present), default=0) > codec.max_value_bytes:
        return None
    try:
        known = cast("Sequence[bytes]", keys)
        text_keys = _decode_slotted(known) if topic_name == VECTORS else _decode_keys(known)
        payloads = list(map(codec.decode, present))
    except _POISONS:
        return None
    if codec.ids is not None and not _fit("".join(chain.from_iterable(map(codec.ids, payloads))).encode()):
        return None
    if codec.has_ts and max(map(_ts, payloads), default=now_ms) > now_ms + max_future_ms:
        return None
    return None if text_keys is None else (text_keys, payloads)


def _decode_keys(keys: Sequence[bytes]) -> list[str] | None:
    """Decode keys in one piece; None if any is not valid. A line break, which no valid key holds, stands between them."""
    text_keys = b"\n".join(keys).decode().split("\n")
    if len(text_keys) != len(keys) or not _fit(b"".join(keys)):
        return None
    lengths = [*map(len, text_keys)]
    return text_keys if min(lengths) > 0 and max(lengths) <= m.MAX_ID_LENGTH else None


def _decode_slotted(keys: Sequence[bytes]) -> list[str] | None:
    """Decode keys of vectors, with their models' slots where they have one."""
    if not any(key.endswith(b"}") for key in keys):
        return _decode_keys(keys)
    split = [split_slot(key.decode()) for key in keys]
    item_ids = _decode_keys([item_id.encode() for item_id, _ in split])
    if item_ids is None:
        return None
    return [slot_key(item_id, slot) for item_id, (_, slot) in zip(item_ids, split, strict=True)]


def encode(payload: m.Payload, topic_name: str) -> bytes:
    """Turn a struct into the bytes of its topic's encoding; ``decode`` gives the same struct back."""
    return (_json if TOPICS[topic_name].encoding == "json" else _msgpack).encode(payload)
