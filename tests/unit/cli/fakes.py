"""In-memory stand-ins for what the verbs work with: they keep what they are given and fail when they are told to."""

from __future__ import annotations

import fnmatch
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, cast

import redis
from click.testing import CliRunner, Result

from streamrec.cli.app import root
from streamrec.cli.parts import Letter, Parts, Records
from streamrec.client import Answer
from streamrec.clock import ManualClock
from streamrec.config import Settings
from streamrec.errors import BrokerUnavailable
from streamrec.events import ModelPlan, decode
from streamrec.events.topics import MODEL_PLAN, TOPICS
from streamrec.lists import functions
from streamrec.lists.packing import ListItem
from streamrec.lists.visitors import MemoryVisitorStore

NOW_MS = 1_767_225_600_000


@dataclass(frozen=True)
class FakeLetter:
    """A dead letter."""

    offset: int
    value: bytes | None
    reason: str = "value: wrong"
    source_topic: str = "items.stock"
    key: bytes | None = b"sku-1"
    partition: int = 0
    source_partition: int = 2
    source_offset: int = 7
    at_ms: int = NOW_MS


class MemoryOutbox:
    """Hands messages over when it is flushed."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self._pending: list[tuple[str, str | bytes, bytes | None]] = []

    def send(self, topic: str, key: str | bytes, value: bytes | None) -> None:
        self._pending.append((topic, key, value))

    def flush(self) -> None:
        if self._broker.refuses_messages:
            raise BrokerUnavailable("Kafka at memory: messages were not acknowledged; try again")
        self._broker.sent += self._pending
        self._pending = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            self.flush()


@dataclass
class MemoryBroker:
    """Kafka in a dictionary."""

    topics: dict[str, int] = field(default_factory=dict)
    sent: list[tuple[str, str | bytes, bytes | None]] = field(default_factory=list)
    letters: list[FakeLetter] = field(default_factory=list)
    lags: dict[str, int] = field(default_factory=dict)
    #: topic → (key, value) of its records, all in partition 0.
    records: dict[str, list[tuple[bytes | None, bytes | None]]] = field(default_factory=dict)
    #: (topic, partition) → (first offset, end) of what history tells.
    held: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    asked_since_ms: int = 0
    away: bool = False
    refuses_messages: bool = False

    def _answer(self) -> None:
        if self.away:
            raise BrokerUnavailable("Kafka at memory: nobody answers; check the address")

    def partitions(self) -> Mapping[str, int]:
        self._answer()
        return dict(self.topics)

    def create(self, partitions: int | None, replication_factor: int | None) -> Mapping[str, str]:
        self._answer()
        outcome = {name: "exists" if name in self.topics else "created" for name in TOPICS}
        for name, topic in TOPICS.items():
            self.topics.setdefault(name, partitions or topic.partitions)
        return outcome

    def lag(self, group: str, topics: Iterable[str]) -> Mapping[tuple[str, int], int]:
        self._answer()
        return {(topic, 0): self.lags.get(group, 0) for topic in topics}

    def history(self, topics: Collection[str], since_ms: int) -> Mapping[tuple[str, int], tuple[int, int]]:
        self._answer()
        self.asked_since_ms = since_ms
        return {place: held for place, held in self.held.items() if place[0] in topics}

    def scan(self, held: Mapping[tuple[str, int], tuple[int, int]]) -> Iterator[Records]:
        self._answer()
        for (topic, _), (start, end) in held.items():
            records = self.records[topic][start:end]
            yield topic, [key for key, _ in records], [value for _, value in records]

    def dead_letters(self) -> Iterator[Letter]:
        self._answer()
        yield from self.letters

    def plan(self) -> ModelPlan | None:
        known = [decode(MODEL_PLAN, b"plan", value, NOW_MS).value for topic, _, value in self.sent if topic == MODEL_PLAN]
        return cast("ModelPlan", known[-1]) if known else None

    def outbox(self) -> MemoryOutbox:
        self._answer()
        return MemoryOutbox(self)


class FakeRedis:
    """The few commands that the verbs send themselves."""

    def __init__(self) -> None:
        self.strings: dict[str, bytes] = {}
        self.hashes: dict[str, dict[str, str]] = {}
        self.sets: defaultdict[str, set[bytes]] = defaultdict(set)
        self.library = functions.CODE
        self.facts: dict[str, Any] = {"valkey_version": "9.1.0", "used_memory_human": "1M", "maxmemory": 0}
        self.away = False

    def _answer(self) -> None:
        if self.away:
            raise redis.ConnectionError("Connection refused")

    def scan_iter(self, match: str, count: int) -> Iterator[bytes]:
        self._answer()
        return iter([name.encode() for name in self.strings if fnmatch.fnmatchcase(name, match)])

    def get(self, name: bytes) -> bytes | None:
        return self.strings.get(name.decode())

    def info(self, section: str) -> dict[str, Any]:
        self._answer()
        return self.facts

    def function_list(self, library: str, withcode: bool) -> list[Any]:
        self._answer()
        return [[b"library_name", library.encode(), b"library_code", self.library.encode()]] if self.library else []

    def smembers(self, name: str) -> set[bytes]:
        self._answer()
        return set(self.sets[name])

    def sadd(self, name: str, *members: str) -> None:
        self.sets[name] |= {member.encode() for member in members}

    def srem(self, name: str, *members: str) -> None:
        self.sets[name] -= {member.encode() for member in members}

    def pipeline(self, transaction: bool) -> FakePipeline:
        return FakePipeline(self)


class FakePipeline:
    """Collects HMGETs."""

    def __init__(self, server: FakeRedis) -> None:
        self._server = server
        self._asked: list[tuple[str, list[str]]] = []

    def hmget(self, name: str, fields: list[str]) -> None:
        self._asked.append((name, fields))

    def execute(self) -> list[list[bytes | None]]:
        found = [(self._server.hashes.get(name, {}), fields) for name, fields in self._asked]
        return [[values[name].encode() if name in values else None for name in fields] for values, fields in found]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""


class FakeForgotten:
    """Remembers who was forgotten when."""

    def __init__(self) -> None:
        self.noted: dict[str, int] = {}

    def note(self, user_id: str, now_ms: int) -> None:
        self.noted[user_id] = now_ms


class FakeStorefront:
    """Answers with its one list and notes what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.answer = Answer(
            "list", NOW_MS, "a", "d1", (ListItem("sku-1", 0.75, "content:sku-9"), ListItem("sku-2", 0.5, "trending"))
        )

    def _note(self, *question: Any) -> Answer:
        self.asked.append(question)
        return self.answer

    def top(self, user_id: str, n: int, placement: str) -> Answer:
        return self._note("top", user_id, n, placement)

    def similar(self, item_id: str, n: int) -> Answer:
        return self._note("similar", item_id, n)

    def together(self, item_id: str, n: int) -> Answer:
        return self._note("together", item_id, n)

    def trending(self, category: str, n: int) -> Answer:
        return self._note("trending", category, n)

    def new(self, category: str, n: int) -> Answer:
        return self._note("new", category, n)


class FakeParts(Parts):
    """Parts of which none reaches outside."""

    def __init__(self) -> None:
        self.clock = ManualClock(NOW_MS)
        self.settings = Settings()
        self.memory_broker = MemoryBroker()
        self.memory_broker.create(None, None)
        self.broker = self.memory_broker
        self.fake_redis = FakeRedis()
        self.redis = cast("redis.Redis", self.fake_redis)
        self.fake_storefront = FakeStorefront()
        self.storefront = cast("Any", self.fake_storefront)
        self.visitors = MemoryVisitorStore(10)
        self.fake_forgotten = FakeForgotten()
        self.forgotten = cast("Any", self.fake_forgotten)
        #: url → status and body
        self.pages: dict[str, tuple[int, bytes]] = {}

    def fetch(self, url: str) -> tuple[int, bytes]:
        if url not in self.pages:
            raise ConnectionRefusedError(f"nobody listens at {url}")
        return self.pages[url]

    def heartbeat(self, worker_id: str, *roles: str, ready: bool = True, url: str = "http://w:1", **more: int | str) -> None:
        state = {
            "id": worker_id,
            "pid": 1,
            "roles": roles,
            "url": url,
            "ready": ready,
            "at": NOW_MS,
            "a_number_of_tomorrow": 3,
        } | more
        self.fake_redis.strings[f"streamrec:worker:{worker_id}"] = json.dumps(state).encode()


def run(parts: Parts, *arguments: str, stdin: bytes = b"") -> Result:
    """Run the command line; an exception that is no exit is the test's failure."""
    result = CliRunner().invoke(root, arguments, obj=parts, input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result
