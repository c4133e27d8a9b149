"""Reads which model the shop is to be served by, now and to the end of its topic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

from streamrec.errors import InvalidMessage
from streamrec.events import ModelPlan, decode
from streamrec.events.topics import MODEL_PLAN
from workers.transport.admin import TIMEOUT_S, partitions
from workers.transport.client import reader
from workers.transport.refusal import Refusal, unavailable

if TYPE_CHECKING:
    from streamrec.config import KafkaSettings

#: No message of the plan is refused for its time: whoever wrote it was our own command line.
_ANY_TIME: int = 1 << 62


def read_plan(kafka: KafkaSettings, name: str) -> ModelPlan | None:
    """Return the newest plan, None where there is none; ``name`` is the group that librdkafka wants to hear.

    A plan that was acknowledged before the call is found. Raises BrokerUnavailable.
    """
    if not partitions(kafka).get(MODEL_PLAN):
        return None
    refusal = Refusal(kafka, silent=True)
    quiet: dict[str, Any] = {"enable.partition.eof": True, "log_level": 0, "error_cb": refusal}
    consumer = Consumer(reader(kafka, f"{kafka.group_prefix}.{name}") | quiet)
    newest: ModelPlan | None = None
    try:
        consumer.assign([TopicPartition(MODEL_PLAN, 0, OFFSET_BEGINNING)])
        while True:
            message = consumer.poll(TIMEOUT_S)
            error = KafkaError(KafkaError._TIMED_OUT) if message is None else message.error()  # noqa: SLF001 - librdkafka's names
            if error is not None and error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                return newest
            if message is None or error is not None:
                raise unavailable(kafka, error or KafkaError(KafkaError._TIMED_OUT), refusal)  # noqa: SLF001
            newest = newer(newest, _plan(message.key(), message.value()))
    finally:
        consumer.close()


def newer(one: ModelPlan | None, other: ModelPlan | None) -> ModelPlan | None:
    """Return the plan of the higher version."""
    if one is None or other is None:
        return one or other
    return other if other.version > one.version else one


def _plan(key: Any, value: Any) -> ModelPlan | None:
    try:
        found = decode(MODEL_PLAN, key, value, _ANY_TIME).value
    except InvalidMessage:
        return None  # whoever follows the topic buries it
    return found if isinstance(found, ModelPlan) else None
