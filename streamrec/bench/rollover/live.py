"""Live changes and what becomes of them: published at a rate, seen in the topic of vectors, found by search."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

import msgspec
import orjson
from confluent_kafka import OFFSET_END, Consumer, TopicPartition

from streamrec.bench.rollover.texts import LIVE, live_title
from streamrec.errors import InvalidMessage
from streamrec.events import ItemVector, decode, split_slot
from streamrec.events.topics import CATALOG, VECTORS
from workers.transport.admin import partitions
from workers.transport.client import reader

if TYPE_CHECKING:
    from streamrec.config import KafkaSettings
    from workers.transport.producer import Producer

#: A change that is not found for so long is counted as lost.
PATIENCE_S: Final = 60.0
_ANY_TIME: Final = 1 << 62
_TIMEOUT_S: Final = 20.0


class Page:
    """One recommender's search page over one connection; belongs to one thread."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url)
        self._connection: http.client.HTTPConnection | None = None

    def search(self, query: str, n: int) -> dict[str, Any] | None:
        """Return the answer, None where there was none."""
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection(self._address.hostname or "", self._address.port, timeout=_TIMEOUT_S)
            self._connection.request("GET", f"/search?q={quote(query)}&n={n}")
            answer = self._connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            self.close()
            return None
        found: dict[str, Any] | None = orjson.loads(body) if answer.status == 200 else None
        return found

    def close(self) -> None:
        """Close the connection; the next question opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


@dataclass
class Change:
    """One live change, and when it was where (monotonic seconds; 0: not yet)."""

    item_id: str
    title: str
    ts: int
    phase: str
    sent_at: float
    in_topic_at: float = 0.0
    found_at: float = 0.0
    #: How long the last search for it took: the clock of ``found_at`` ticks no finer.
    search_s: float = 0.0
    #: Whether the item changed again before this change was found: nobody can find it any more.
    superseded: bool = False


class Tail(threading.Thread):
    """Reads item-vectors from its end on: counts what is made, by slot, and tells when a live change is there."""

    def __init__(self, kafka: KafkaSettings) -> None:
        super().__init__(name="tail", daemon=True)
        self._stop_reading = threading.Event()
        self.counts: Counter[str] = Counter()
        #: (item id, ts) → when its first vector was here.
        self.seen: dict[tuple[str, int], float] = {}
        self._consumer = Consumer(reader(kafka, "bench.tail"))
        number = partitions(kafka)[VECTORS]
        self._consumer.assign([TopicPartition(VECTORS, n, OFFSET_END) for n in range(number)])

    def run(self) -> None:
        """Read until stopped."""
        prefix = LIVE.encode()
        while not self._stop_reading.is_set():
            first = self._consumer.poll(0.05)
            if first is None:
                continue
            now = time.monotonic()
            for message in (first, *self._consumer.consume(num_messages=2000, timeout=0)):
                key: Any = message.key()
                value: Any = message.value()
                if message.error() is not None or value is None:
                    continue
                if key.startswith(prefix):
                    self._note(key, value, now)
                else:
                    self.counts[split_slot(key.decode())[1]] += 1
        self._consumer.close()

    def _note(self, key: bytes, value: bytes, now: float) -> None:
        with suppress(InvalidMessage):
            found = decode(VECTORS, key, value, _ANY_TIME).value
            if isinstance(found, ItemVector):
                self.seen.setdefault((split_slot(key.decode())[0], found.ts), now)

    def stop(self) -> None:
        """End the thread."""
        self._stop_reading.set()
        self.join(5.0)


@dataclass
class Live:
    """Publishes changes of ``items`` live items, ``rate`` a second, and looks for each until it is found."""

    producer: Producer
    tail: Tail
    url: str
    items: int
    rate: float
    phase: str = "before"
    changes: list[Change] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._paused = threading.Event()
        self._waiting: list[Change] = []
        self._version = 0
        self._thread = threading.Thread(target=self._run, name="live", daemon=True)

    def start(self) -> None:
        """Start publishing."""
        self._thread.start()

    def pause(self) -> None:
        """Publish nothing more, and return when nothing is looked for."""
        self._paused.set()
        while self._waiting:
            time.sleep(0.05)
        time.sleep(0.2)  # the page may be quicker than the topic's other reader
        for change in self.changes:
            self.tail_seen(change)

    def go_on(self, phase: str) -> None:
        """Publish again, for this phase."""
        self.phase = phase
        self._paused.clear()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(2 * _TIMEOUT_S)

    def _run(self) -> None:
        page, due = Page(self.url), time.monotonic()
        while not self._stop.is_set():
            now = time.monotonic()
            if now >= due and not self._paused.is_set():
                self._publish()
                due = max(due + 1 / self.rate, now)
            for change in list(self._waiting):
                self._look(page, change)
                if time.monotonic() >= due:
                    break
            self._stop.wait(0.005)
        page.close()

    def _publish(self) -> None:
        n, version = self._version % self.items, self._version // self.items + 1
        self._version += 1
        item_id, title, ts = f"{LIVE}{n}", live_title(n, version), time.time_ns() // 1_000_000
        change = Change(item_id, title, ts, self.phase, time.monotonic())
        for older in [one for one in self._waiting if one.item_id == item_id]:
            older.superseded = True
            self._waiting.remove(older)
        self.producer.send(CATALOG, item_id, orjson.dumps({"title": title, "price": 9.5, "quantity": 5, "ts": ts}))
        self.changes.append(change)
        self._waiting.append(change)

    def _look(self, page: Page, change: Change) -> None:
        """Search for a change once its vector is in the topic: questions that cannot be answered yet would delay the others."""
        self.tail_seen(change)
        asked = time.monotonic()
        answer = page.search(change.title, 1) if change.in_topic_at else None
        now = time.monotonic()
        if answer is not None:
            change.search_s = now - asked
        if answer is not None and [item["id"] for item in answer["items"][:1]] == [change.item_id]:
            change.found_at = now
        if change.found_at or now - change.sent_at > PATIENCE_S:
            self.tail_seen(change)
            self._waiting.remove(change)

    def tail_seen(self, change: Change) -> None:
        """Take over when the change's vector was in the topic."""
        change.in_topic_at = change.in_topic_at or self.tail.seen.get((change.item_id, change.ts), 0.0)


def latencies(changes: Sequence[Change], phase: str) -> dict[str, Any]:
    """Return what became of the changes of a phase; milliseconds."""
    mine = [change for change in changes if change.phase == phase]
    found = sorted(change.found_at - change.sent_at for change in mine if change.found_at)
    topic = sorted(change.in_topic_at - change.sent_at for change in mine if change.in_topic_at)
    return {
        "changes": len(mine),
        "not_found": sum(not change.found_at for change in mine),
        "superseded": sum(change.superseded for change in mine),
        "to_topic_ms": _quantiles(topic),
        "to_found_ms": _quantiles(found),
        "search_ms": _quantiles(sorted(change.search_s for change in mine if change.search_s)),
    }


def _quantiles(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    at = {
        name: values[min(int(share * len(values)), len(values) - 1)] for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
    }
    return {name: round(1000 * value, 1) for name, value in (at | {"max": values[-1]}).items()}


def beats(client: Any, pattern: str) -> list[dict[str, Any]]:
    """Return what living workers say."""
    names = list(client.scan_iter(match=pattern, count=1000))
    return [msgspec.json.decode(value) for value in (client.mget(names) if names else []) if value]
