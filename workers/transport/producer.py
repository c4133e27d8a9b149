"""Sends messages and tells for certain whether they arrived."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from confluent_kafka import KafkaException
from confluent_kafka import Producer as KafkaProducer

from streamrec.errors import BrokerUnavailable
from workers.transport.client import LIBRARY_LOG, common

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from confluent_kafka import KafkaError, Message

    from streamrec.config import KafkaSettings


class Producer:
    """An idempotent producer whose ``flush`` returns only when every message is acknowledged by all replicas.

    Keys go to partitions by murmur2, as Java's clients do, so that messages of one key from any producer keep their order.
    """

    def __init__(self, kafka: KafkaSettings, *, linger_ms: int = 2) -> None:
        self._bootstrap = kafka.bootstrap
        self._failure: KafkaError | None = None
        self._producer = KafkaProducer(
            common(kafka)
            | {
                "enable.idempotence": True,
                "partitioner": "murmur2_random",
                "linger.ms": linger_ms,
                "compression.type": "lz4",
                "delivery.timeout.ms": 30_000,
                "message.max.bytes": 2_000_000,
                "queue.buffering.max.kbytes": 262_144,
            },
            logger=LIBRARY_LOG,
        )

    def send(self, topic: str, key: str | bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]] = ()) -> None:
        """Put a message into the send buffer; wait while the buffer is full.

        Raises BrokerUnavailable when the buffer stays full for 30 s.
        """
        deadline = time.monotonic() + 30.0
        while True:
            try:
                self._producer.produce(topic, value=value, key=key, headers=list(headers), on_delivery=self._delivered)
            except BufferError:
                if time.monotonic() > deadline:
                    raise BrokerUnavailable(self._problem("the send buffer stays full")) from None
                self._producer.poll(0.05)
            except KafkaException as error:
                raise BrokerUnavailable(self._problem(str(error))) from error
            else:
                self._producer.poll(0)
                return

    def flush(self, timeout_s: float = 30.0) -> None:
        """Wait until everything sent so far is acknowledged.

        Raises BrokerUnavailable when anything is not; sending the same again is safe because effects are idempotent.
        """
        left = self._producer.flush(timeout_s)
        failure, self._failure = self._failure, None
        if failure is not None:
            raise BrokerUnavailable(self._problem(failure.str()))
        if left:
            raise BrokerUnavailable(self._problem(f"{left} messages were not acknowledged within {timeout_s:.0f} s"))

    def close(self) -> None:
        """Wait shortly for what is still in the buffer; ``flush`` before it tells whether all arrived."""
        self._producer.flush(5.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            self.flush()

    def _delivered(self, error: KafkaError | None, message: Message) -> None:  # noqa: ARG002 - librdkafka's signature
        if error is not None:
            self._failure = error

    def _problem(self, what: str) -> str:
        return f"Kafka at {self._bootstrap}: {what}; check that the broker runs (`streamrec doctor`) and try again"
