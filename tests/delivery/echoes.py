"""A group of echo workers on a broker, the load that they are under, and what must be true afterwards."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Self

import orjson
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from streamrec.config import KafkaSettings
from streamrec.errors import BrokerUnavailable
from streamrec.events.topics import CLICKS
from streamrec.local.child import Child
from tests.integration.shop import await_until, now_ms
from workers.transport.admin import end_offsets, ensure_topics, lag
from workers.transport.client import reader

PARTITIONS = 4
ROOT = Path(__file__).parents[2]


class Effect(NamedTuple):
    """One line of the journal."""

    pid: int
    partition: int
    offset: int
    key: str
    event_id: str


class Load:
    """A thread that publishes some 2000 clicks per second of 50 visitors until left; it knows what the broker acknowledged."""

    def __init__(self, bootstrap: str, *, pause_s: float = 0.01, batch: int = 20) -> None:
        self.acknowledged: dict[tuple[int, int], str] = {}
        self.failures: list[str] = []
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "linger.ms": 2,
                "delivery.timeout.ms": 120_000,
                "log_level": 0,
            }
        )
        self._pause_s, self._batch = pause_s, batch
        self._sent = 0
        self._lock = threading.Lock()
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._enough.set()
        self._thread.join()
        assert self._producer.flush(120) == 0
        assert self.failures == []
        assert len(self.acknowledged) == self._sent

    def run_for(self, n: int) -> None:
        """Wait until the broker has acknowledged so many more."""
        wanted = len(self.acknowledged) + n
        await_until(lambda: len(self.acknowledged) >= wanted, f"{n} more acknowledgements", 120)

    def _run(self) -> None:
        while not self._enough.is_set():
            for _ in range(self._batch):
                self.send(f"u{self._sent % 50}")
            self._enough.wait(self._pause_s)

    def send(self, key: str, ts: int | None = None) -> None:
        """Publish one click, from any thread."""
        with self._lock:
            value = orjson.dumps({"item_id": "i", "ts": ts or now_ms(), "event_id": f"{self._sent}"})
            self._producer.produce(CLICKS, value, key, on_delivery=self._answered)
            self._sent += 1
        self._producer.poll(0)

    def _answered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self.failures.append(error.str())
        else:
            self.acknowledged[message.partition() or 0, message.offset() or 0] = (message.key() or b"").decode()


class Echoes:
    """The members of one group; each is a process that writes what it did into the journal."""

    def __init__(self, bootstrap: str, folder: Path, prefix: str, **settings: object) -> None:
        given = {
            "session_timeout_ms": 1500,
            "commit_interval_ms": 50,
            "max_batch": 100,
            "bootstrap": bootstrap,
            "group_prefix": prefix,
        }
        self._settings = given | settings
        self.kafka = KafkaSettings.model_validate(self._settings)
        self.journal = folder / "journal"
        self._folder = folder
        self._undo = ExitStack()
        self.members: list[Child] = []
        ensure_topics(self.kafka, partitions=PARTITIONS)
        self._start_at_the_end()

    def _start_at_the_end(self) -> None:
        """Commit the ends for the new group: what earlier tests left in the topic is not for it."""
        ends = await_until(self._ends, "the topic's leaders")
        group = Consumer(reader(self.kafka, f"{self.kafka.group_prefix}.echo") | {"log_level": 0})
        group.commit(offsets=[TopicPartition(topic, number, end) for (topic, number), end in ends.items()], asynchronous=False)
        group.close()

    def _ends(self) -> dict[tuple[str, int], int]:
        with suppress(BrokerUnavailable):  # a topic that was just created has no leader yet
            return end_offsets(self.kafka, [CLICKS])
        return {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._undo.close()

    def join(self, environment: Mapping[str, str] | None = None, *, wait: bool = True) -> Child:
        """Return a new member, by default one that has partitions."""
        number = len(self.members)
        member = Child(f"echo {number}", self._folder / f"echo-{number}.log")
        self.members.append(member)
        self._undo.callback(member.stop)
        texts = {
            f"STREAMREC_KAFKA__{name.upper()}": value if isinstance(value, str) else orjson.dumps(value).decode()
            for name, value in self._settings.items()
        }
        ours = {"ECHO_JOURNAL": str(self.journal), "PYTHONPATH": str(ROOT), "STREAMREC_LOG_LEVEL": "INFO"}
        member.start([sys.executable, "-m", "tests.delivery.echo"], texts | ours | dict(environment or {}))
        if wait:
            pid = member.pid
            member.wait_until(lambda: (pid, "assigned") in self.rebalances(), 60, "given partitions")
        return member

    # -- what happened -------------------------------------------------------------------------------------------------

    def _lines(self) -> list[str]:
        return self.journal.read_text().splitlines() if self.journal.exists() else []

    def rebalances(self) -> list[tuple[int, str]]:
        """Return (pid, what) of each."""
        return [(int(pid), what) for mark, pid, what in (line.split() for line in self._lines() if line[0] == "!")]

    def effects(self) -> list[Effect]:
        """Return all effects in their order."""
        fields = (line.split(" ") for line in self._lines() if line[0] != "!")
        return [Effect(int(pid), int(partition), int(offset), key, event_id) for pid, partition, offset, key, event_id in fields]

    def count_lines(self) -> int:
        """Return how many effects and rebalances there were, without parsing them."""
        return self.journal.read_bytes().count(b"\n") if self.journal.exists() else 0

    def lag(self) -> int:
        """Return how many records the group has not committed."""
        return sum(lag(self.kafka, f"{self.kafka.group_prefix}.echo", [CLICKS]).values())

    def check(self, load: Load, *, once: bool = False, timeout_s: float = 60.0) -> None:
        """Await every acknowledged record's effect, in order, and its commit; with ``once`` hold that none was repeated."""
        expected = load.acknowledged
        await_until(lambda: self._places() >= expected.keys(), "an effect of every record", timeout_s)
        effects = self.effects()
        places = {(one.partition, one.offset): one.key for one in effects}
        assert places == expected, f"{len(places)} places had effects, {len(expected)} were published; {self.rebalances()}"
        first: dict[int, list[int]] = {}
        seen = set()
        for one in effects:
            if (one.partition, one.offset) not in seen:
                seen.add((one.partition, one.offset))
                first.setdefault(one.partition, []).append(one.offset)
        # Whoever had them, no record's effect came before its predecessor's.
        swapped = [(partition, pair) for partition, offsets in first.items() for pair in pairwise(offsets) if pair[0] > pair[1]]
        assert not swapped, self.rebalances()
        if once:
            repeated = {place: n for place, n in Counter((one.partition, one.offset) for one in effects).items() if n > 1}
            assert not repeated
        await_until(lambda: self.lag() == 0, "everything committed", timeout_s)

    def _places(self) -> set[tuple[int, int]]:
        time.sleep(0.1)  # a long journal is not read all the time
        return {(one.partition, one.offset) for one in self.effects()}


def rss_mb(pid: int) -> float:
    """Return a process's resident memory in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
