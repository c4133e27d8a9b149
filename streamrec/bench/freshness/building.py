"""From nothing to a million of each: topics filled, workers caught up, histories ranked, visitors written; every step is timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from streamrec.bench.freshness.children import Child, results
from streamrec.bench.freshness.goods import Goods, GoodsSpec
from streamrec.bench.freshness.histories import draw_histories
from streamrec.bench.freshness.lists import HistoryFiles, rank_histories
from streamrec.bench.freshness.memory import used_bytes
from streamrec.bench.freshness.options import FreshnessOptions
from streamrec.bench.freshness.visitors import write_visitors
from streamrec.config import Settings
from streamrec.demo import fleet
from streamrec.demo.outbox import Outbox
from streamrec.demo.stage import Stage
from streamrec.demo.view import View
from streamrec.errors import LocalStackError
from streamrec.events.topics import CATALOG, VECTORS
from streamrec.local import WorkerProcess
from workers.transport.producer import Producer

_LOOK_EVERY_S: Final = 0.25
_SAY_EVERY: Final = 5_000
_SAMPLE: Final = 200
#: Writers side by side: one alone waits for Redis half of the time.
_WRITERS: Final = 2
#: Visitors that may wait to be ranked again when the load begins, as a share of all.
_SMALL_BACKLOG: Final = 0.001

_SNAPSHOT_EVERY_S: Final = 5

Beats = Sequence[fleet.Heartbeat]


@dataclass
class Building:
    """The steps; ``figures`` holds seconds and rates of each, ``sizes`` bytes of Redis."""

    options: FreshnessOptions
    stage: Stage
    view: View
    figures: dict[str, dict[str, float]] = field(default_factory=dict)
    sizes: dict[str, float] = field(default_factory=dict)
    #: How the recommender started, and how many seconds each step of it took.
    starts: dict[str, dict[str, float]] = field(default_factory=dict)

    @contextmanager
    def _timed(self, step: str, count: int) -> Iterator[None]:
        began = time.monotonic()
        yield
        took = time.monotonic() - began
        self.figures[step] = {"seconds": round(took, 1), "per_s": round(count / max(took, 1e-6), 1)}
        self.view.say(f"{step}: {count:,} in {took:,.1f} s")

    def fill_topics(self, goods: Goods) -> None:
        """Publish the catalogue, and every vector as the embedder would: it then embeds only what changes."""
        with Producer(self.stage.kafka, linger_ms=20) as producer:
            outbox = Outbox(producer)
            with self._timed("catalogue_published", len(goods)):
                for i in self._counted("items published", len(goods)):
                    outbox.publish(CATALOG, goods.item_id(i), goods.message(i))
                producer.flush(300.0)
            with self._timed("vectors_published", len(goods)):
                for i in self._counted("vectors published", len(goods)):
                    outbox.publish(VECTORS, goods.item_id(i), goods.vector(i, goods.message(i)))
                producer.flush(300.0)

    def _counted(self, what: str, total: int) -> Iterator[int]:
        for i in range(total):
            yield i
            if (i + 1) % _SAY_EVERY == 0 or i + 1 == total:
                self.view.progress(what, i + 1, total)

    def start_facts(self, goods: Goods) -> None:
        """Start the roles that hold items and no visitors, one after the other, and wait until they have read everything."""
        before = used_bytes(self.stage.client)
        sample = [goods.item_id(i) for i in range(0, len(goods), max(len(goods) // _SAMPLE, 1))]
        with self._timed("facts_in_redis", len(goods)):
            self._await(self.stage.hire(["availability"]), lambda _: fleet.present(self.stage.client, sample), "facts in Redis")
        self.sizes["bytes_per_item"] = (used_bytes(self.stage.client) - before) / len(goods)
        with self._timed("embedder_caught_up", len(goods)):
            self._await(self.stage.hire(["embedder"]), lambda _: True, "catalogue read by the embedder")
        self._await(self.stage.hire(["aggregator"]), lambda _: True, "neighbours read by the aggregator")

    def rank(self, goods: Goods, spec: GoodsSpec, settings: Settings, files: HistoryFiles, snapshots: Path | None) -> None:
        """Draw the histories and rank each once, in a process whose memory is then gone."""
        clicks = draw_histories(goods.categories(), self.options.distinct, np.random.default_rng(self.options.seed))
        files.write_clicks(clicks)
        with self._timed("histories_ranked", len(clicks)):
            [steps] = results([Child("ranker", rank_histories, (spec, settings, files, snapshots))], self.view)
        self.figures["histories_ranked"] |= {name: round(value, 1) for name, value in steps.items()}

    def write_visitors(self, files: HistoryFiles) -> None:
        """Write every visitor's profile and list."""
        users, before = self.options.users, used_bytes(self.stage.client)
        with self._timed("visitors_written", users):
            work: Callable[..., Any] = write_visitors
            parts = [(files, self.stage.redis, users, self.options.seed, (n, _WRITERS)) for n in range(_WRITERS)]
            written = sum(results([Child(f"writer-{n}", work, part) for n, part in enumerate(parts)], self.view))
        if written != users:
            msg = f"{written:,} of {users:,} visitors were written; is somebody else writing to this Redis?"
            raise LocalStackError(msg)
        self.sizes["bytes_per_visitor"] = (used_bytes(self.stage.client) - before) / users

    def start_recommender(self, how: str, *, lists: bool = True) -> None:
        """Start the recommender; note the seconds until it is ready and, with ``lists``, holds all and has little to rank."""
        began, found = time.monotonic(), self.starts.setdefault(how, {})

        def since(name: str) -> None:
            found[name] = round(time.monotonic() - began, 1)
            self.view.say(f"recommender, {how}: {name} {found[name]:,.1f}")

        # Early, so that there is something to start from; the load is not to be measured beside one every few seconds.
        often = None if lists else {"STREAMREC_SNAPSHOT__INTERVAL_S": str(_SNAPSHOT_EVERY_S)}
        worker = self.stage.hire(["recommender"], often)
        self._await(worker, lambda _: True, "vectors in the index", lagging=False, done=fleet.vectors, total=self.options.items)
        since("ready_s")
        if not lists:
            self._await(worker, fleet.snapshots, "snapshot")
            since("snapshot_s")
            return
        users, few = self.options.users, self.options.users * _SMALL_BACKLOG
        self._await(worker, lambda beats: fleet.visitors(beats) >= users, "lists adopted", done=fleet.visitors, total=users)
        since("adopted_s")

        def ranked(beats: Beats) -> int:
            return max(users - fleet.backlog(beats), 0)

        self._await(worker, lambda beats: fleet.backlog(beats) <= few, "lists up to date", done=ranked, total=users)
        since("settled_s")

    def stop_recommender(self) -> None:
        """Let it finish and end."""
        for worker in [worker for worker in self.stage.workers if worker.roles == ("recommender",)]:
            self.stage.dismiss(worker)

    def _await(
        self,
        worker: WorkerProcess,
        enough: Callable[[Beats], bool],
        what: str,
        *,
        lagging: bool = True,
        done: Callable[[Beats], int] | None = None,
        total: int = 0,
    ) -> None:
        """Wait until the worker is ready, has read everything (``lagging``) and ``enough`` is true.

        Raises LocalStackError when the worker ends or the time is over.
        """
        deadline = time.monotonic() + self.options.load_timeout_s
        while True:
            self.stage.check()
            beats = [beat for beat in fleet.heartbeats(self.stage.client) if beat.pid == worker.pid]
            if done and total:
                self.view.progress(what, min(done(beats), total), total)
            if beats and all(beat.ready and not (lagging and beat.lag) for beat in beats) and enough(beats):
                return
            if time.monotonic() > deadline:
                advice = "take fewer items and users, or keep the logs (--log-dir) and read what the workers say"
                msg = f"{what}: not done after {self.options.load_timeout_s:,.0f} s; {advice}"
                raise LocalStackError(msg)
            time.sleep(_LOOK_EVERY_S)
