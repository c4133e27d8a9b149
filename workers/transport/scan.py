"""Reads parts of topics once, from offset to offset: no group, no commits."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from streamrec.errors import BrokerUnavailable
from workers.transport.admin import TIMEOUT_S
from workers.transport.client import reader
from workers.transport.refusal import Refusal, unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from confluent_kafka import Message

    from streamrec.config import KafkaSettings

_BATCH: Final = 1000
#: Topic, keys and values.
Records = tuple[str, list[bytes | None], list[bytes | None]]
_Place = tuple[str, int]


def scan(kafka: KafkaSettings, parts: Mapping[_Place, tuple[int, int]]) -> Iterator[Records]:
    """Yield the records of each (topic, partition) from its first offset up to and without its last, at most a thousand at a time.

    Raises BrokerUnavailable.
    """
    ends = {place: end for place, (start, end) in parts.items() if start < end}
    if not ends:
        return
    refusal = Refusal(kafka, silent=True)
    quiet: dict[str, Any] = {"enable.partition.eof": True, "log_level": 0, "error_cb": refusal}
    consumer = Consumer(reader(kafka, f"{kafka.group_prefix}.scan") | quiet)
    try:
        consumer.incremental_assign([TopicPartition(*place, parts[place][0]) for place in sorted(ends)])
        while ends:
            # `consume(n, timeout)` would wait for n records or the whole timeout: poll one, then drain what is there.
            first = consumer.poll(TIMEOUT_S)
            if first is None:
                raise BrokerUnavailable(f"Kafka at {kafka.bootstrap} stopped answering at {len(ends)} partitions; try again")
            messages = [first, *consumer.consume(num_messages=_BATCH - 1, timeout=0)]
            held = set(ends)
            yield from _wanted(messages, ends)
            if read := held - ends.keys():
                consumer.incremental_unassign([TopicPartition(*place) for place in sorted(read)])
    except KafkaException as error:
        raise unavailable(kafka, error.args[0], refusal) from error
    finally:
        consumer.close()


def _wanted(messages: Iterable[Message], ends: dict[_Place, int]) -> Iterator[Records]:
    """Yield what lies before the ends, and take those that are reached out of ``ends``."""
    for topic, run in groupby(messages, lambda message: message.topic() or ""):
        keys: list[bytes | None] = []
        values: list[bytes | None] = []
        for message in run:
            error, place = message.error(), (topic, message.partition() or 0)
            if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own name
                raise KafkaException(error)
            end, offset = ends.get(place, 0), message.offset() or 0
            if error is None and offset < end:
                keys.append(message.key())
                values.append(message.value())
            # The last offsets may hold no record, so the end of the partition counts, too.
            if place in ends and (error is not None or offset + 1 >= end):
                del ends[place]
        if keys:
            yield topic, keys, values
