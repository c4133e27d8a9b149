"""Sends messages and tells for certain whether they arrived."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Self

from confluent_kafka import KafkaException
from confluent_kafka import Producer as KafkaProducer

from workers.transport.client import LIBRARY_LOG, common
from workers.transport.refusal import Refusal, unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from confluent_kafka import KafkaError, Message

    from streamrec.config import KafkaSettings

#: How long one wait for acknowledgements lasts before it is looked again; librdkafka's own returns when nobody's are open.
_STEP_S = 0.05


class _Sent:
    """What one thread has sent since its last flush, and what became of it; told by whichever thread serves the callbacks."""

    def __init__(self, reached: dict[str, dict[int, int]]) -> None:
        self._lock = threading.Lock()
        #: Per watched topic and partition, the offset after the last message that arrived; shared by all threads.
        self._reached = reached
        self.open = 0
        self.failure: KafkaError | None = None

    def add(self, n: int) -> None:
        """Count messages on their way."""
        with self._lock:
            self.open += n

    def heard(self, error: KafkaError | None, message: Message) -> None:
        """Hear of one message that it arrived, or why not."""
        with self._lock:
            self.open -= 1
            self.failure = error or self.failure
        if self._reached and error is None and (ends := self._reached.get(message.topic() or "")) is not None:
            ends[message.partition() or 0] = (message.offset() or 0) + 1


class Producer:
    """An idempotent producer whose ``flush`` returns only when every message that its thread sent is acknowledged by all replicas.

    Threads share it and do not hear of each other's failures. A client that failed is replaced: an idempotent one may be in a state
    that it never leaves. Keys go to partitions by murmur2, as Java's clients do, so that messages of one key from any producer keep
    their order.
    """

    def __init__(self, kafka: KafkaSettings, *, linger_ms: int = 2) -> None:
        self._kafka = kafka
        self._refusal = Refusal(kafka)
        self._own = threading.local()
        self._reached: dict[str, dict[int, int]] = {}
        self._replacing = threading.Lock()
        self._make = partial(
            KafkaProducer,
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
        self._client = self._make()

    def watch(self, topic: str) -> Mapping[int, int]:
        """Return, per partition and kept up from now on, the offset after our last message of the topic that arrived."""
        return self._reached.setdefault(topic, {})

    def send(self, topic: str, key: str | bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]] = ()) -> None:
        """Put a message into the send buffer; wait while the buffer is full.

        Raises BrokerUnavailable when the buffer stays full for 30 s.
        """
        deadline, sent = time.monotonic() + 30.0, self._sent()
        while True:
            client = self._client
            sent.add(1)
            try:
                client.produce(topic, value=value, key=key, headers=list(headers), on_delivery=sent.heard)
            except BufferError:
                sent.add(-1)
                if time.monotonic() > deadline:
                    raise unavailable(self._kafka, "the send buffer stays full", self._refusal) from None
                client.poll(0.05)
            except KafkaException as error:
                sent.add(-1)
                if error.args[0].fatal():
                    self._replace(client)
                raise unavailable(self._kafka, error.args[0], self._refusal) from error
            else:
                client.poll(0)
                return

    def flush(self, timeout_s: float = 30.0) -> None:
        """Wait until everything that this thread sent since its last flush is acknowledged.

        Raises BrokerUnavailable when anything is not; sending the same again is safe because effects are idempotent.
        """
        deadline, sent, client = time.monotonic() + timeout_s, self._sent(), self._client
        while sent.open and time.monotonic() < deadline:
            client.flush(_STEP_S)
        self._own.sent = _Sent(self._reached)  # what is heard later of these messages says nothing of the next
        if sent.failure is None and not sent.open:
            return
        problem = sent.failure or f"{sent.open} messages were not acknowledged within {timeout_s:.0f} s"
        self._replace(client)
        raise unavailable(self._kafka, problem, self._refusal)

    def close(self) -> None:
        """Wait shortly for what is still in the buffer; ``flush`` before it tells whether all arrived."""
        self._client.flush(5.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            self.flush()
            self.close()  # what other threads sent

    def _sent(self) -> _Sent:
        sent: _Sent | None = getattr(self._own, "sent", None)
        if sent is None:
            sent = self._own.sent = _Sent(self._reached)
        return sent

    def _replace(self, client: KafkaProducer) -> None:
        """Go on with a new client; whoever waits for messages of the old one hears that they failed."""
        with self._replacing:
            if self._client is not client:
                return
            self._client = self._make()
        client.purge()
        client.flush(1.0)
