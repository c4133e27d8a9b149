"""The bench from start to end: load without and with live changes, change the model under the same load, go back."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import orjson
import redis

from streamrec.bench.rollover.live import Live, Tail, beats, latencies
from streamrec.bench.rollover.probe import Prober
from streamrec.bench.rollover.texts import LIVE, Pump, live_title
from streamrec.config import KafkaSettings, Settings
from streamrec.embedding import load_encoder
from streamrec.errors import LocalStackError
from streamrec.events.topics import CATALOG
from streamrec.lists import keys
from streamrec.local import LocalStack
from streamrec.recommender.knowledge import config_digest
from workers.transport.admin import ensure_topics
from workers.transport.producer import Producer

_LOOK_S: Final = 0.05
#: What a phase that ends with nothing loaded any more takes at most.
_PATIENCE_S: Final = 3600.0
Say = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """What is measured, and how much of it."""

    items: int = 20_000
    #: Names of the models before and after.
    before: str = "hashing"
    after: str = "hashing-96"
    live_items: int = 200
    #: Live changes and searches a second.
    live_rate: float = 5.0
    search_rate: float = 10.0
    embedders: int = 1
    recommenders: int = 1
    #: How long live changes are measured alone.
    idle_s: float = 10.0
    #: How long they are measured on after the model has changed, and after it has changed back.
    hold_s: float = 5.0
    broker: Literal["embedded", "apache"] = "embedded"
    log_dir: Path | None = None


def run(options: Options, say: Say = lambda _: None) -> dict[str, Any]:
    """Return the report; no process stays behind. Raises LocalStackError, ModelError or BrokerUnavailable."""
    with ExitStack() as undo:
        stack = undo.enter_context(LocalStack(kind=options.broker, log_dir=options.log_dir))
        return _Bench(options, stack, undo, say).measure()


class _Bench:
    def __init__(self, options: Options, stack: LocalStack, undo: ExitStack, say: Say) -> None:
        self._options = options
        self._stack = stack
        self._say = say
        self._settings = Settings.load()
        self._environment = {
            "STREAMREC_MODEL__NAME": options.before,
            "STREAMREC_LOG_LEVEL": "WARNING",
            "STREAMREC_INDEX__MAX_ITEMS": str(max(self._settings.index.max_items, 2 * options.items)),
        }
        kafka = KafkaSettings(bootstrap=stack.environment()["STREAMREC_KAFKA__BOOTSTRAP"], extra={"log_level": "2"})
        self._bootstrap = kafka.bootstrap
        ensure_topics(kafka)
        self._redis: redis.Redis = redis.Redis.from_url(stack.environment()["STREAMREC_REDIS__URL"])
        undo.callback(self._redis.close)
        roles = [*["embedder"] * options.embedders, *["recommender"] * options.recommenders]
        say(f"starts {len(roles)} workers")
        for worker in [stack.worker([role], self._environment) for role in roles]:
            worker.wait_ready(300)
        self._producer = undo.enter_context(Producer(kafka))
        self._tail = Tail(kafka)
        self._tail.start()
        undo.callback(self._tail.stop)
        [url, *_] = [beat["url"] for beat in self._beats("recommender")]
        self._live = Live(self._producer, self._tail, url, options.live_items, options.live_rate)
        undo.callback(self._live.stop)
        encoders = {name: load_encoder(self._model(name)) for name in (options.before, options.after)}
        models = {config_digest(self._settings, encoder.digest): (name, encoder) for name, encoder in encoders.items()}
        self._prober = Prober(url, models, options.items, rate=options.search_rate)
        undo.callback(self._prober.stop)

    def measure(self) -> dict[str, Any]:
        options, half = self._options, self._options.items // 2
        self._load_live_items()
        self._live.start()
        self._live.go_on("idle")
        self._say(f"live changes alone for {options.idle_s:.0f} s")
        time.sleep(options.idle_s)
        self._live.pause()
        alone = self._load(0, half, "loads half of the bulk alone")
        self._live.go_on("bulk")
        beside = self._load(half, options.items, "loads the other half beside live changes")
        self._live.pause()
        self._prober.start()
        self._live.go_on("change")
        change = self._use(options.after)
        time.sleep(options.hold_s)
        self._live.pause()
        self._live.go_on("back")
        back = self._use(options.before)
        time.sleep(options.hold_s)
        self._live.pause()
        changes = self._live.changes
        return {
            "items": options.items,
            "models": [options.before, options.after],
            "broker": options.broker,
            "cores": os.cpu_count(),
            "workers": {"embedders": options.embedders, "recommenders": options.recommenders},
            "live_rate": options.live_rate,
            "bulk": {"alone": alone, "beside_live": beside, "rate_kept": round(beside["per_s"] / alone["per_s"], 3)},
            "live": {phase: latencies(changes, phase) for phase in ("idle", "bulk", "change", "back")},
            "change": {"seconds": change, "per_s": round((options.items + options.live_items) / change), "back_seconds": back},
            "searches": self._prober.report(),
        }

    def _load_live_items(self) -> None:
        ts = time.time_ns() // 1_000_000
        for n in range(self._options.live_items):
            self._producer.send(CATALOG, f"{LIVE}{n}", orjson.dumps({"title": live_title(n, 0), "quantity": 5, "ts": ts}))
        self._producer.flush()
        self._until_indexed(self._options.live_items)

    def _load(self, first: int, last: int, what: str) -> dict[str, Any]:
        """Publish a part of the bulk in one go, and return how long it took until it could be found."""
        self._say(what)
        pump = Pump(self._bootstrap, first, last)
        made, start = self._tail.counts[""], time.monotonic()
        pump.go()
        published_s = embedded_s = 0.0
        while not embedded_s:
            now = time.monotonic() - start
            if not published_s and pump.done:
                published_s = now
            if self._tail.counts[""] - made >= last - first:
                embedded_s = now
            self._patience(start)
            time.sleep(_LOOK_S)
        pump.join()
        self._until_indexed(self._options.live_items + last)
        found_s = time.monotonic() - start
        seconds = {"published": published_s or embedded_s, "embedded": embedded_s, "findable": found_s}
        told = {f"{name}_s": round(value, 2) for name, value in seconds.items()}
        return told | {"items": last - first, "per_s": round((last - first) / found_s)}

    def _use(self, name: str) -> float:
        """Have another model, and return the seconds until every recommender answers from it."""
        self._say(f"model use {name}, beside live changes and searches")
        command = [sys.executable, "-m", "streamrec", "model", "use", name, "--wait", "--json"]
        environment = os.environ | self._stack.environment() | self._environment
        done = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=_PATIENCE_S)  # noqa: S603 - our own
        if done.returncode:
            raise LocalStackError(f"streamrec model use {name} ended with {done.returncode}: {done.stderr.decode()[-500:]}")
        return float(orjson.loads(done.stdout)["seconds"])

    def _until_indexed(self, vectors: int) -> None:
        start = time.monotonic()
        while any(beat["vectors"] < vectors for beat in self._beats("recommender")):
            self._patience(start)
            time.sleep(_LOOK_S)

    def _patience(self, start: float) -> None:
        dead = [worker for worker in self._stack.workers if not worker.running]
        if dead or time.monotonic() - start > _PATIENCE_S:
            tail = (dead or self._stack.workers)[0].log_tail()
            raise LocalStackError(f"the load did not end; the end of a worker's log: {tail}")

    def _beats(self, role: str) -> list[dict[str, Any]]:
        return [beat for beat in beats(self._redis, keys.worker("*")) if role in beat["roles"]]

    def _model(self, name: str) -> Any:
        return self._settings.model.named(name)
