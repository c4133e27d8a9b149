"""Kafka messages without Kafka."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from confluent_kafka import Message


@dataclass(frozen=True)
class FakeMessage:
    """Answers what the transport asks of librdkafka's message, which cannot be constructed."""

    topic_: str
    partition_: int
    offset_: int
    key_: bytes | None
    value_: bytes | None

    def topic(self) -> str:
        return self.topic_

    def partition(self) -> int:
        return self.partition_

    def offset(self) -> int:
        return self.offset_

    def key(self) -> bytes | None:
        return self.key_

    def value(self) -> bytes | None:
        return self.value_

    def error(self) -> None:
        return None


def message(topic: str, offset: int, key: bytes | None, value: bytes | None, partition: int = 0) -> Message:
    """Return a message at a place."""
    return cast("Message", FakeMessage(topic, partition, offset, key, value))
