"""Sends messages and tells for certain whether they arrived."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from confluent_kafka import KafkaException
from confluent_kafka import Producer as KafkaProducer

from workers.transport.client import LIBRARY_LOG, common
from workers.transport.refusal import Refusal, unavailable

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
        self._kafka = kafka
        self._refusal = Refusal(kafka)
        self._failure: KafkaError | None = None
        self._producer = KafkaProducer(
            common(kafka)
            | {
                "error_cb": self._refusal,
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
                    raise unavailable(self._kafka, "the send buffer stays full", self._refusal) from None
                self._producer.poll(0.05)
            except KafkaException as error:
                raise unavailable(self._kafka, error.args[0], self._refusal) from error
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
            raise unavailable(self._kafka, failure, self._refusal)
        if left:
            raise unavailable(self._kafka, f"{left} messages were not acknowledged within {timeout_s:.0f} s", self._refusal)

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
