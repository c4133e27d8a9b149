"""What could not be read or handled: kept with its bytes, its reason and where it came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, KafkaException, TopicPartition

from streamrec.errors import BrokerUnavailable
from streamrec.events.topics import DEAD_LETTERS
from workers.transport.admin import CREATE, TIMEOUT_S, UNSEEN, end_offsets
from workers.transport.client import reader
from workers.transport.refusal import unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from confluent_kafka import Message

    from streamrec.config import KafkaSettings

TOPIC = "source-topic"
PARTITION = "source-partition"
OFFSET = "source-offset"
REASON = "reason"
TIME = "time"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One dead letter: where it lies, what it held, where it came from and why it died."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    source_topic: str
    source_partition: int
    source_offset: int
    reason: str
    #: When it was rejected, ms since the epoch.
    at_ms: int


def headers(topic: str, partition: int, offset: int, reason: str, now_ms: int) -> list[tuple[str, bytes]]:
    """Return the headers of a dead letter; all are text, so that any tool shows them."""
    return [
        (TOPIC, topic.encode()),
        (PARTITION, str(partition).encode()),
        (OFFSET, str(offset).encode()),
        (REASON, reason.encode()),
        (TIME, str(now_ms).encode()),
    ]


def _text(values: Mapping[str, bytes | str | None], name: str, default: str) -> str:
    value = values.get(name)
    return default if value is None else value.decode(errors="replace") if isinstance(value, bytes) else value


def read_dead_letters(kafka: KafkaSettings) -> Iterator[DeadLetter]:
    """Yield every dead letter that the topic holds now, oldest first per partition, each source record once.

    A worker that died between writing the letter and committing has written it again.

    Raises BrokerUnavailable.
    """
    ends = end_offsets(kafka, [DEAD_LETTERS])
    if not ends:
        raise BrokerUnavailable(f"Kafka at {kafka.bootstrap} {UNSEEN} {DEAD_LETTERS}; {CREATE}")
    consumer = Consumer(reader(kafka, f"{kafka.group_prefix}.dlq") | {"log_level": 0})
    try:
        seen = set()
        for (_, number), end in sorted(ends.items()):
            for letter in _read_partition(consumer, number, end):
                source = (letter.source_topic, letter.source_partition, letter.source_offset)
                if source not in seen:
                    seen.add(source)
                    yield letter
    except KafkaException as error:
        raise unavailable(kafka, error.args[0]) from error
    finally:
        consumer.close()


def _read_partition(consumer: Consumer, number: int, end: int) -> Iterator[DeadLetter]:
    position, _ = consumer.get_watermark_offsets(TopicPartition(DEAD_LETTERS, number), timeout=TIMEOUT_S)
    consumer.assign([TopicPartition(DEAD_LETTERS, number, position)])
    while position < end:
        # `consume(n, timeout)` would wait for n records or the whole timeout: poll one, then take what is there.
        first = consumer.poll(TIMEOUT_S)
        if first is None:
            raise BrokerUnavailable(f"{DEAD_LETTERS} stopped answering at offset {position} of {end}; try again")
        for message in [first, *consumer.consume(num_messages=min(500, end - position) - 1, timeout=0)]:
            error = message.error()
            if error is not None:
                raise KafkaException(error)
            position = (message.offset() or 0) + 1
            yield _letter(message, number)


def _letter(message: Message, number: int) -> DeadLetter:
    values = dict(message.headers() or [])
    return DeadLetter(
        partition=number,
        offset=message.offset() or 0,
        key=message.key(),
        value=message.value(),
        source_topic=_text(values, TOPIC, ""),
        source_partition=int(_text(values, PARTITION, "-1")),
        source_offset=int(_text(values, OFFSET, "-1")),
        reason=_text(values, REASON, "unknown"),
        at_ms=int(_text(values, TIME, "0")),
    )
