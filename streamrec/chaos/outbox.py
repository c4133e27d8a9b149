"""The way out of a world: sends until the broker has acknowledged, and tells the truth what it acknowledged and where."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Self

from confluent_kafka import Producer

from streamrec.chaos.truth import Message
from streamrec.errors import BrokerUnavailable
from workers.transport.client import common

if TYPE_CHECKING:
    from confluent_kafka import KafkaError
    from confluent_kafka import Message as Delivered

    from streamrec.chaos.world import World
    from streamrec.clock import Clock
    from streamrec.config import KafkaSettings

#: A message may wait so long for its broker; what is not acknowledged by then is sent again.
_DELIVERY_S = 60.0


class Outbox:
    """Publishes a world's messages; one thread uses it. ``before`` hears of each message just before it is sent."""

    def __init__(self, world: World, kafka: KafkaSettings, clock: Clock, before: Callable[[Message], object] | None = None) -> None:
        self._truth, self._clock, self._before = world.truth, clock, before
        self._producer = Producer(
            common(kafka)
            | {
                "enable.idempotence": True,
                "partitioner": "murmur2_random",
                "linger.ms": 5,
                "delivery.timeout.ms": int(_DELIVERY_S * 1000),
                "reconnect.backoff.max.ms": 500,
                "message.max.bytes": 2_000_000,
                "log_level": 0,
            }
        )
        #: Message number → when it was sent first.
        self._sent_ms: dict[int, int] = {}
        self._failed: deque[Message] = deque()
        #: How many messages the broker did not take at first.
        self.sent_again = 0

    @property
    def outstanding(self) -> int:
        """How many messages are not acknowledged yet."""
        return len(self._sent_ms)

    def send(self, messages: Iterable[Message]) -> None:
        """Send the messages, those that failed before them."""
        while self._failed:
            self.sent_again += 1
            self._send(self._failed.popleft())
        for message in messages:
            if self._before:
                self._before(message)
            self._sent_ms[message.number] = self._clock.now_ms()
            self._send(message)
        self._producer.poll(0)

    def _send(self, message: Message) -> None:
        def delivered(error: KafkaError | None, delivered: Delivered) -> None:
            self._delivered(message, error, delivered)

        while True:
            try:
                self._producer.produce(message.topic, value=message.value, key=message.key, on_delivery=delivered)
            except BufferError:
                self._producer.poll(0.1)
            else:
                return

    def _delivered(self, message: Message, error: KafkaError | None, delivered: Delivered) -> None:
        if error is not None:
            self._truth.note_failure(message)
            self._failed.append(message)
            return
        partition, offset = delivered.partition(), delivered.offset()
        assert partition is not None
        assert offset is not None
        self._truth.take(message, partition, offset, self._sent_ms.pop(message.number))

    def flush(self, timeout_s: float = 120.0) -> None:
        """Wait until everything is acknowledged, sending again what failed. Raises BrokerUnavailable."""
        deadline = time.monotonic() + timeout_s
        while self._sent_ms:
            self.send(())
            self._producer.flush(0.5)
            if time.monotonic() > deadline:
                msg = f"{len(self._sent_ms)} messages were not acknowledged within {timeout_s:.0f} s; read the broker's log"
                raise BrokerUnavailable(msg)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._producer.purge()
        self._producer.flush(5.0)
