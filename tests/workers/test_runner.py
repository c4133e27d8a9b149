"""The runner: what happens to a batch when records, handlers or stores fail."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from structlog.testing import capture_logs

from streamrec.clock import ManualClock
from streamrec.errors import BrokerUnavailable, StoreUnavailable
from streamrec.events.topics import DEAD_LETTERS, STOCK
from streamrec.observe import Memory
from tests.workers.messages import message
from workers.transport import runner as runner_module
from workers.transport.batch import Record, RecordBatch, build_batch
from workers.transport.dead_letters import OFFSET, REASON, TOPIC
from workers.transport.runner import MANY, Runner

NOW = 1_767_225_600_000


class Outbox:
    """Takes messages as a producer does; fails the first ``failures`` flushes."""

    def __init__(self, failures: int = 0) -> None:
        self.sent: list[tuple[str, object, object, dict[str, bytes]]] = []
        self._failures = failures

    def send(self, topic: str, key: str | bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]] = ()) -> None:
        self.sent.append((topic, key, value, dict(headers)))

    def flush(self, timeout_s: float = 30.0) -> None:
        if self._failures:
            self._failures -= 1
            raise BrokerUnavailable("away")


@pytest.fixture
def core() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "FIRST_RETRY_S", 0.001)


@pytest.fixture(autouse=True)
def _unread() -> Iterator[None]:
    """Render no log lines: a traceback with all its variables takes a second."""
    with capture_logs():
        yield


def _batch(n: int, bad: Sequence[int] = ()) -> RecordBatch:
    return build_batch(
        [message(STOCK, i, f"k{i}".encode(), b"{" if i in bad else b'{"quantity":1,"ts":%d}' % NOW) for i in range(n)], NOW, 0
    )


class Handler:
    """Notes the keys that it handled; raises for some keys."""

    def __init__(self, unbearable: Sequence[str] = (), away: int = 0) -> None:
        self.handled: list[str] = []
        self._unbearable = unbearable
        self._away = away

    def __call__(self, records: Sequence[Record]) -> None:
        if self._away:
            self._away -= 1
            raise StoreUnavailable("away")
        if any(r.key in self._unbearable for r in records):
            raise ValueError("cannot bear it")
        self.handled += [r.key for r in records]


def _runner(handler: Handler, core: ThreadPoolExecutor, outbox: Outbox, **more: object) -> tuple[Runner, Memory]:
    observer = Memory()
    made = Runner("h", handler, producer=outbox, executor=core, clock=ManualClock(NOW), observer=observer, **more)  # type: ignore[arg-type]
    return made, observer


async def test_invalid_records_become_dead_letters_before_the_others_are_handled(core: ThreadPoolExecutor) -> None:
    handler, outbox = Handler(), Outbox()
    runner, observer = _runner(handler, core, outbox)
    await runner.run(_batch(4, bad=[1]))
    assert handler.handled == ["k0", "k2", "k3"]
    [(topic, key, value, headers)] = outbox.sent
    assert (topic, key, value, headers[TOPIC], headers[OFFSET]) == (DEAD_LETTERS, b"k1", b"{", STOCK.encode(), b"1")
    assert observer.counts["records", STOCK] == 3
    assert observer.counts["rejected", STOCK] == 1
    assert observer.counts["dead_letters", "invalid"] == 1
    assert observer.sizes == [("h", 4)]


async def test_log_lines_hold_a_records_coordinates_and_never_its_key(core: ThreadPoolExecutor) -> None:
    """A key of the events' topics is a visitor's id."""
    handler = Handler(unbearable=["k2"], away=1)
    runner, observer = _runner(handler, core, Outbox())
    with capture_logs() as lines:
        await runner.run(_batch(3, bad=[0]))
    assert [line["event"] for line in lines] == ["rejected", "unavailable", "unbearable", "rejected"]
    assert [(line["handler"], line["topic"], line["partition"], line["offset"]) for line in lines] == [
        ("h", STOCK, 0, offset) for offset in (0, 1, 2, 2)
    ]
    assert [line.get("cause") for line in lines] == ["invalid", None, None, "handler"]
    assert not any("k0" in str(line) or "k2" in str(line) for line in lines)
    assert (observer.counts["dead_letters", "invalid"], observer.counts["dead_letters", "handler"]) == (1, 1)


async def test_a_handler_that_waits_for_a_store_says_so_and_does_not_count_as_hanging(core: ThreadPoolExecutor) -> None:
    handler = Handler(away=10**6)
    runner, observer = _runner(handler, core, Outbox())
    running = asyncio.create_task(runner.run(_batch(1)))
    async with asyncio.timeout(30):
        while not observer.counts["retries", "h"]:
            await asyncio.sleep(0.001)
    assert runner.waits_for == "away"
    handler._away = 1
    async with asyncio.timeout(30):
        await running
    assert (runner.waits_for, runner.busy_since) == ("", None)
    assert handler.handled == ["k0"]


async def test_a_record_that_the_handler_cannot_bear_is_buried_alone_and_order_is_kept(core: ThreadPoolExecutor) -> None:
    handler, outbox = Handler(unbearable=["k5"]), Outbox()
    runner, _ = _runner(handler, core, outbox)
    await runner.run(_batch(20))
    assert handler.handled == [f"k{i}" for i in range(20) if i != 5]
    [(_, key, value, headers)] = outbox.sent
    assert key == b"k5"
    assert value is not None
    assert b"ValueError: cannot bear it" in headers[REASON]


async def test_a_handler_that_bears_nothing_crashes_loudly_and_buries_nothing(core: ThreadPoolExecutor) -> None:
    n = MANY + 1
    handler, outbox = Handler(unbearable=[f"k{i}" for i in range(n)]), Outbox()
    runner, _ = _runner(handler, core, outbox)
    with pytest.raises(ValueError, match="cannot bear it"):
        await runner.run(_batch(n))
    assert outbox.sent == []


async def test_a_handler_that_bears_nothing_crashes_as_loudly_when_records_come_one_by_one(core: ThreadPoolExecutor) -> None:
    """On a quiet topic a broken handler would bury all of it otherwise."""
    handler, outbox = Handler(unbearable=["k0"]), Outbox()
    runner, _ = _runner(handler, core, outbox)
    for _ in range(MANY):
        await runner.run(_batch(1))
    with pytest.raises(ValueError, match="cannot bear it"):
        await runner.run(_batch(1))
    assert len(outbox.sent) == MANY


async def test_a_record_that_is_handled_gives_the_handler_credit_again(core: ThreadPoolExecutor) -> None:
    handler, outbox = Handler(unbearable=["k0"]), Outbox()
    runner, _ = _runner(handler, core, outbox)
    for _ in range(MANY):
        for n in (1, 2):
            await runner.run(_batch(n))
    assert len(outbox.sent) == 2 * MANY


async def test_a_batch_waits_while_a_store_is_away_and_skips_nothing(core: ThreadPoolExecutor) -> None:
    handler, outbox = Handler(away=3), Outbox()
    runner, observer = _runner(handler, core, outbox)
    await runner.run(_batch(3))
    assert handler.handled == ["k0", "k1", "k2"]
    assert observer.counts["retries", "h"] == 3


async def test_a_dead_letter_is_sent_again_until_kafka_has_it(core: ThreadPoolExecutor) -> None:
    outbox = Outbox(failures=2)
    runner, observer = _runner(Handler(), core, outbox)
    await runner.run(_batch(2, bad=[0, 1]))
    assert [key for _, key, _, _ in outbox.sent] == [b"k0", b"k1"] * 3
    assert observer.counts["rejected", STOCK] == 2  # each counts once, however often it was sent


async def test_who_reads_a_topic_beside_another_leaves_its_invalid_records_to_that_one(core: ThreadPoolExecutor) -> None:
    outbox = Outbox()
    runner, _ = _runner(Handler(), core, outbox, buries=())
    await runner.run(_batch(2, bad=[0]))
    assert outbox.sent == []


async def test_a_revoked_batch_is_not_touched(core: ThreadPoolExecutor) -> None:
    handler, batch = Handler(), _batch(3)
    batch.revoke({(STOCK, 0)})
    runner, _ = _runner(handler, core, Outbox())
    await runner.run(batch)
    assert handler.handled == []
