"""confluent-kafka's own ``consume`` and a loop: what the client gives before any engine stands on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from confluent_kafka import Consumer

from streamrec.bench.transport.tally import FETCH, TOPIC, Tally, job
from streamrec.events import decode, decode_many

if TYPE_CHECKING:
    from confluent_kafka import Message

_BATCH = 1000


def _undecoded(_messages: Sequence[Message], _now_ms: int) -> None:
    """Do nothing with them."""


def _one_by_one(messages: Sequence[Message], now_ms: int) -> None:
    for message in messages:
        decode(message.topic() or "", message.key(), message.value(), now_ms)


def _at_once(messages: Sequence[Message], now_ms: int) -> None:
    assert decode_many(TOPIC, [one.key() for one in messages], [one.value() for one in messages], now_ms) is not None


_WAYS: dict[str, Callable[[Sequence[Message], int], None]] = {
    "undecoded": _undecoded,
    "decoded": _one_by_one,
    "decoded_at_once": _at_once,
}


def main() -> None:
    """Consume until the job is done."""
    task = job()
    tally, work = Tally(task, ("confluent-kafka",)), _WAYS[task.way]
    consumer = Consumer(
        {
            "bootstrap.servers": task.bootstrap,
            "group.id": task.group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
        | FETCH
    )
    consumer.subscribe([TOPIC])
    while True:
        messages = consumer.consume(_BATCH, 0.05)
        if messages:
            work(messages, time.time_ns() // 1_000_000)
            tally.count(len(messages))


if __name__ == "__main__":
    main()
