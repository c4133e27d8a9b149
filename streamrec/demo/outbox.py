"""The one way out: encodes messages, sends them and counts them by kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from threading import Lock
from typing import Final, Protocol

from streamrec.events import TOPICS, Payload, encode

#: Topic → the kind under which the report counts it.
KINDS: Final = {name: name.rpartition(".")[2] for name in TOPICS}


class Sender(Protocol):
    """What is needed of a Kafka producer."""

    def send(self, topic: str, key: str, value: bytes | None) -> None:
        """Put a message into the send buffer."""
        ...


class Outbox:
    """Publishes; safe to use from several threads."""

    def __init__(self, sender: Sender, on_count: Callable[[str], object] | None = None) -> None:
        self._sender, self._on_count = sender, on_count
        self._lock = Lock()
        self.counts: Counter[str] = Counter()

    def publish(self, topic: str, key: str, value: Payload | None) -> None:
        """Send one message; None is a tombstone. Raises BrokerUnavailable when the broker has been away for long."""
        self._sender.send(topic, key, None if value is None else encode(value, topic))
        with self._lock:
            self.counts[KINDS[topic]] += 1
        if self._on_count:
            self._on_count(topic)

    def snapshot(self) -> Counter[str]:
        """Return a copy of the counts."""
        with self._lock:
            return Counter(self.counts)
