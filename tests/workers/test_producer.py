"""What ``flush`` promises: each thread hears of its own messages, and a client that failed is not used again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from confluent_kafka import KafkaError

from streamrec.config import KafkaSettings
from streamrec.errors import BrokerUnavailable
from workers.transport import producer as room
from workers.transport.producer import Producer

Heard = Callable[[KafkaError | None, Any], None]


class FakeClient:
    """Answers for a message when it is flushed: topic ``bad`` fails, ``mute`` is never heard of until it is purged."""

    made: list[FakeClient]

    def __init__(self, _settings: dict[str, Any], **_: Any) -> None:
        self.waiting: list[tuple[str, Heard]] = []
        self.done: list[str] = []
        self.made.append(self)

    def produce(
        self, topic: str, *, value: bytes | None, key: str, headers: Sequence[tuple[str, bytes]], on_delivery: Heard
    ) -> None:
        self.waiting.append((topic, on_delivery))

    def poll(self, timeout: float) -> int:
        return 0

    def flush(self, timeout: float) -> int:
        answered = [entry for entry in self.waiting if entry[0] != "mute"]
        self.waiting = [entry for entry in self.waiting if entry[0] == "mute"]
        for topic, heard in answered:
            heard(KafkaError(KafkaError._MSG_TIMED_OUT) if topic == "bad" else None, None)
            self.done.append(topic)
        return len(self.waiting)

    def purge(self) -> None:
        for _, heard in self.waiting:
            heard(KafkaError(KafkaError._PURGE_QUEUE), None)
        self.waiting = []


@pytest.fixture
def producer(monkeypatch: pytest.MonkeyPatch) -> Producer:
    FakeClient.made = []
    monkeypatch.setattr(room, "KafkaProducer", FakeClient)
    return Producer(KafkaSettings())


def test_a_thread_hears_of_its_own_failure_even_if_another_was_the_one_who_waited(producer: Producer) -> None:
    with ThreadPoolExecutor(1) as other:
        other.submit(producer.send, "bad", "k", b"").result()
        producer.send("good", "k", b"")
        producer.flush()  # serves the callbacks of both
        with pytest.raises(BrokerUnavailable, match="timed out"):
            other.submit(producer.flush).result()
        other.submit(producer.flush).result()  # told once: what is sent again is another message


def test_after_a_failure_another_client_is_used(producer: Producer) -> None:
    producer.send("bad", "k", b"")
    with pytest.raises(BrokerUnavailable):
        producer.flush()
    producer.send("good", "k", b"")
    producer.flush()
    first, second = FakeClient.made
    assert (first.done, second.done) == (["bad"], ["good"])


def test_whoever_waits_for_messages_of_a_client_that_another_replaced_hears_that_they_failed(producer: Producer) -> None:
    with ThreadPoolExecutor(1) as other:
        other.submit(producer.send, "mute", "k", b"").result()
        producer.send("bad", "k", b"")
        with pytest.raises(BrokerUnavailable):
            producer.flush()
        with pytest.raises(BrokerUnavailable):
            other.submit(producer.flush).result()


def test_what_is_not_acknowledged_in_time_is_told_and_heard_of_later_by_nobody(producer: Producer) -> None:
    producer.send("mute", "k", b"")
    with pytest.raises(BrokerUnavailable, match="1 messages were not acknowledged within 0 s"):
        producer.flush(0.0)
    assert FakeClient.made[0].waiting == []
    producer.flush()
