"""Real clicks as producers send them, and the topic full of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import msgspec
from confluent_kafka import KafkaError, Producer
from msgspec import structs

from streamrec.bench.transport.tally import TOPIC
from streamrec.demo.data import open_data
from streamrec.errors import BrokerUnavailable, DataError
from streamrec.events import Click, encode

#: A key and a value.
Pair = tuple[bytes, bytes]

_PER_S = 100


def real_clicks(n: int, path: Path | None = None) -> tuple[str, list[Pair]]:
    """Return the name of the data set and its first ``n`` clicks as JSON, or all where it holds fewer.

    Raises DataError where there are none.
    """
    data = open_data(path)
    clicks = ((one.key.encode(), encode(one.value, TOPIC)) for one in data.timeline() if one.topic == TOPIC and one.value)
    pairs = list(islice(clicks, n))
    if not pairs:
        msg = f"{data.name} holds no clicks; give other --data"
        raise DataError(msg)
    return data.name, pairs


def publish(bootstrap: str, pairs: Sequence[Pair]) -> None:
    """Send all clicks, uncompressed, as most clients do by default; stock Faust can read nothing else without more packages.

    Raises BrokerUnavailable when one does not arrive.
    """
    failures: list[KafkaError] = []

    def heard(error: KafkaError | None, _message: object) -> None:
        if error is not None:
            failures.append(error)

    producer = _producer(bootstrap, linger_ms=20)
    for place, (key, value) in enumerate(pairs):
        producer.produce(TOPIC, value=value, key=key, on_delivery=heard)
        if place % 10_000 == 0:
            producer.flush(60.0)
    left = producer.flush(60.0)
    if left or failures:
        why = failures[0].str() if failures else "not acknowledged within a minute"
        msg = f"Kafka at {bootstrap}: {left + len(failures)} clicks did not arrive ({why}); run the bench again"
        raise BrokerUnavailable(msg)


class Trickle(threading.Thread):
    """Sends 100 clicks per second until stopped; each one's event id is the moment when it was produced, ns since the epoch."""

    def __init__(self, bootstrap: str, pairs: Sequence[Pair]) -> None:
        super().__init__(name="trickle", daemon=True)
        self._producer = _producer(bootstrap, linger_ms=0)
        self._pairs = pairs
        self._stop_sending = threading.Event()

    def run(self) -> None:
        """Send, evenly in time."""
        begun = time.perf_counter()
        for number, (key, value) in enumerate(self._forever()):
            if self._stop_sending.wait(max(begun + number / _PER_S - time.perf_counter(), 0.0)):
                break
            click = msgspec.json.decode(value, type=Click)
            self._producer.produce(TOPIC, value=encode(structs.replace(click, event_id=str(time.time_ns())), TOPIC), key=key)
            self._producer.poll(0)
        self._producer.flush(10.0)

    def _forever(self) -> Iterator[Pair]:
        while True:
            yield from self._pairs

    def __enter__(self) -> Trickle:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_sending.set()
        self.join()


def _producer(bootstrap: str, *, linger_ms: int) -> Producer:
    return Producer(
        {
            "bootstrap.servers": bootstrap,
            "partitioner": "murmur2_random",
            "linger.ms": linger_ms,
            "acks": "all",
            "log.connection.close": False,
        }
    )
