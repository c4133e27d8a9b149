"""What the broker did not take is sent again until it does, and nothing counts before it is acknowledged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from streamrec.chaos import outbox as room
from streamrec.chaos.outbox import Outbox
from streamrec.chaos.truth import STOCK, Message
from streamrec.chaos.world import World, plain
from streamrec.clock import ManualClock
from streamrec.config import KafkaSettings
from streamrec.errors import BrokerUnavailable
from tests.unit.chaos.played import NOW


class Place:
    """Where a message came to lie."""

    def __init__(self, offset: int) -> None:
        self._offset = offset

    def partition(self) -> int:
        return 2

    def offset(self) -> int:
        return self._offset


class Broker:
    """A client whose broker refuses the first so many messages."""

    refuses = 0

    def __init__(self, _settings: dict[str, Any]) -> None:
        self._waiting: list[Callable[..., None]] = []
        self._end = 0

    def produce(self, _topic: str, *, value: bytes | None, key: bytes | None, on_delivery: Callable[..., None]) -> None:
        self._waiting.append(on_delivery)

    def poll(self, _timeout_s: float) -> None:
        """Acknowledge nothing yet."""

    def flush(self, _timeout_s: float) -> None:
        waiting, self._waiting = self._waiting, []
        for told in waiting:
            if Broker.refuses:
                Broker.refuses -= 1
                told("timed out", None)
            else:
                place = Place(self._end)
                self._end += 1
                told(None, place)

    def purge(self) -> None:
        """Nothing waits."""


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(room, "Producer", Broker)
    monkeypatch.setattr(Broker, "refuses", 0)
    return World(1, plain(5))


def _stock(number: int) -> Message:
    return Message(number, STOCK, b"a", b'{"quantity":0,"ts":%d}' % (NOW + number))


def test_what_failed_is_sent_again_and_keeps_the_moment_of_its_first_sending(world: World) -> None:
    heard: list[int] = []
    clock = ManualClock(NOW)
    Broker.refuses = 2
    with Outbox(world, KafkaSettings(), clock, lambda message: heard.append(message.number)) as outbox:
        outbox.send([_stock(1), _stock(2), _stock(3)])
        assert outbox.outstanding == 3
        assert not world.truth.items
        outbox.flush()
        assert outbox.outstanding == 0
        assert outbox.sent_again == 2
    assert heard == [1, 2, 3]
    assert world.truth.acknowledged[STOCK] == 3
    assert world.truth.uncertain == {(STOCK, _stock(1).value), (STOCK, _stock(2).value)}


def test_a_broker_that_takes_nothing_is_told_in_the_end(world: World) -> None:
    Broker.refuses = 10**9
    with Outbox(world, KafkaSettings(), ManualClock(NOW)) as outbox:
        outbox.send([_stock(1)])
        with pytest.raises(BrokerUnavailable, match="1 messages were not acknowledged"):
            outbox.flush(timeout_s=0.01)
