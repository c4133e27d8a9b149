"""The bench from start to end: build, restart, load, drain, last look, report."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any, Final

from streamrec.bench.freshness.audience import Audience
from streamrec.bench.freshness.building import Building
from streamrec.bench.freshness.goods import Goods, GoodsSpec
from streamrec.bench.freshness.lists import HistoryFiles
from streamrec.bench.freshness.load import Load
from streamrec.bench.freshness.memory import memory_mb, used_bytes
from streamrec.bench.freshness.options import FreshnessOptions
from streamrec.bench.freshness.report import LATENCIES, Measured, report
from streamrec.bench.freshness.scan import scan_lists
from streamrec.bench.freshness.search import Finder
from streamrec.bench.freshness.shop import Shop
from streamrec.client import Storefront
from streamrec.clock import SystemClock
from streamrec.config import Settings
from streamrec.demo import fleet
from streamrec.demo.driver import Driver
from streamrec.demo.ledger import Ledger
from streamrec.demo.merchant import Scene
from streamrec.demo.outbox import Outbox
from streamrec.demo.probes import Board
from streamrec.demo.stage import Stage, stage
from streamrec.demo.storefront import Findings, Reader
from streamrec.demo.truth import Note, TruthLog
from streamrec.demo.view import Frame, View
from streamrec.demo.visitors import Visitors
from streamrec.errors import LocalStackError
from streamrec.lists import keys
from streamrec.local.workspace import Workspace
from workers.transport.producer import Producer

_FRAME_S: Final = 0.5
#: Between two looks at what has become visible: a finer one would take the processor from what is measured.
_PAUSE_S: Final = 0.02
#: A burst is one probe, a flash sale two, a restock five.
_MAX_PROBES: Final = 4096
#: How much longer than the patience for one effect everything may take to come to its end.
_DRAIN_S: Final = 10.0


def run(options: FreshnessOptions, view: View) -> dict[str, Any]:
    """Return the report; whatever happens, no process stays behind.

    Raises ConfigError, DataError, LocalStackError, BrokerUnavailable or StoreUnavailable; KeyboardInterrupt passes through.
    """
    settings = Settings.load()
    workspace = Workspace()
    snapshots = workspace.path / "snapshots" if options.restart else None
    with ExitStack() as undo, view:
        undo.callback(workspace.close)
        spec = GoodsSpec(options.items, SystemClock().now_ms(), options.seed, options.data, options.titles)
        goods = spec.open(view.say)
        place = undo.enter_context(
            stage(
                view,
                broker=options.broker,
                workers=(),
                log_dir=options.log_dir,
                environment=_environment(options, settings, snapshots),
            )
        )
        files = HistoryFiles(workspace.path)
        building = Building(options, place, view)
        building.fill_topics(goods)
        building.start_facts(goods)
        if snapshots:
            building.start_recommender("from_topics", lists=False)
            building.stop_recommender()
        building.rank(goods, spec, settings, files, snapshots)
        building.write_visitors(files)
        building.start_recommender("from_snapshot" if snapshots else "from_topics")
        play = _play(options, settings, place, view, goods, files, undo)
        measured = _measure(play)
        _drain(play)
        findings = _finish(play)
        found = report(options, settings, building, goods, play.load, play.board, findings, measured, _last_look(play))
    if options.rivals:
        found["rivals"] = _rivals(options, goods, view)
    return found


def _rivals(options: FreshnessOptions, goods: Goods, view: View) -> dict[str, Any]:
    """Measure other designs on the same vectors, once everything of ours is stopped."""
    rivals = import_module("streamrec.bench.freshness.rivals")
    measured: dict[str, Any] = rivals.run(items=options.items, users=options.users, vectors=goods.vectors, say=view.say)
    return measured


def _environment(options: FreshnessOptions, settings: Settings, snapshots: Path | None) -> dict[str, str]:
    """Return what the workers need so that nothing is forgotten for lack of room, and where they keep snapshots."""
    rooms = {
        "STREAMREC_LISTS__MAX_VISITORS": max(settings.lists.max_visitors, options.users),
        "STREAMREC_INDEX__MAX_ITEMS": max(settings.index.max_items, options.items * 3 // 2),
    }
    folder = {"STREAMREC_SNAPSHOT__DIR": str(snapshots)} if snapshots else {}
    return {name: str(room) for name, room in rooms.items()} | folder


@dataclass
class _Play:
    """The running parts."""

    options: FreshnessOptions
    stage: Stage
    view: View
    board: Board
    truth: TruthLog
    ledger: Ledger
    outbox: Outbox
    readers: list[Reader]
    driver: Driver
    load: Load

    def frame(self, phase: str, ends_s: float) -> None:
        """Show the moment, and raise what went wrong in a thread or a process."""
        if self.driver.error is not None:
            raise self.driver.error
        self.stage.check()
        found = [reader.refresh() for reader in self.readers]
        if not all(reader.alive for reader in self.readers):
            msg = "a storefront process ended by itself; run the bench again, and report what it printed above"
            raise LocalStackError(msg)
        self.view.show(
            Frame(
                phase=phase,
                left_s=ends_s - time.monotonic(),
                events_per_s=self.options.stock_rate,
                reads=sum(one.reads for one in found),
                violations=sum(sum(one.found.values()) for one in found) + len(self.load.violations),
                latencies={name: list(self.board.latencies[name]) for name in LATENCIES},
                words=LATENCIES,
                title="streamrec bench freshness",
            )
        )

    @property
    def judged(self) -> int:
        """How many answers were judged so far."""
        return sum(reader.findings.judged for reader in self.readers)


def _play(  # noqa: PLR0917 - run names them
    options: FreshnessOptions, settings: Settings, place: Stage, view: View, goods: Goods, files: HistoryFiles, undo: ExitStack
) -> _Play:
    readers = [Reader(place.redis, rate=options.read_rate, seed=options.seed + n) for n in range(options.readers)]
    for reader in readers:
        undo.callback(reader.close)

    def tell(note: Note) -> None:
        for reader in readers:
            reader.send(note)

    producer = undo.enter_context(Producer(place.kafka))
    board = Board(place.client, max_probes=_MAX_PROBES, patience_s=options.patience_s)
    scene = Scene(
        client=place.client,
        shop=Storefront(place.client),
        outbox=Outbox(producer),
        board=board,
        truth=TruthLog(tell),
        ledger=Ledger(place.client),
        visitors=Visitors(),
    )
    audience = Audience(files.members, len(goods), options.users, goods.item_id)
    finder = Finder(next(beat.url for beat in fleet.heartbeats(place.client) if "recommender" in beat.roles))
    undo.callback(finder.stop)
    finder.start()
    shop = Shop(goods, audience, files.clicks, finder, ranks_prices="weight_discount" in type(settings.ranking).model_fields)
    load = Load(scene, shop, options, clock=SystemClock(), rng=Random(options.seed))
    driver = Driver(scene, pause_s=_PAUSE_S)
    undo.callback(driver.stop)
    return _Play(options, place, view, board, scene.truth, scene.ledger, scene.outbox, readers, driver, load)


def _measure(play: _Play) -> Measured:
    """Load for the wanted time, and on until enough answers were judged."""
    for reader in play.readers:
        reader.await_ready()
    pushed, before = fleet.lists_pushed(play.stage.client), play.outbox.snapshot()
    play.board.record(on=True)
    play.driver.actions = play.load
    play.driver.start()
    for reader in play.readers:
        reader.begin()
    began_s = time.monotonic()
    ends_s = began_s + play.options.seconds
    while time.monotonic() < ends_s or play.judged < play.options.reads:
        play.frame("measuring", ends_s)
        time.sleep(_FRAME_S)
    play.board.record(on=False)
    seconds, judged = time.monotonic() - began_s, play.judged
    return Measured(
        seconds=seconds,
        events=play.outbox.snapshot() - before,
        lists_pushed=fleet.lists_pushed(play.stage.client) - pushed,
        reads_per_s=judged / seconds,
        memory=memory_mb(_pids(play)),
        redis_bytes=used_bytes(play.stage.client),
    )


def _pids(play: _Play) -> dict[str, int]:
    workers = {",".join(worker.roles): worker.pid for worker in play.stage.workers}
    readers = {f"reader-{n}": reader.pid for n, reader in enumerate(play.readers)}
    found = {**play.stage.pids, **workers, **readers, "bench": os.getpid()}
    return {name: pid for name, pid in found.items() if pid}


def _drain(play: _Play) -> None:
    """Let everything that was begun come to its end while the storefronts go on reading; then wait as long as patience lasts.

    What is sold out by then has been so for longer than any effect may take.
    """
    play.load.stop()
    stopped_s = time.monotonic()
    ends_s = stopped_s + 2 * play.options.patience_s + _DRAIN_S
    while time.monotonic() < ends_s and (not play.driver.idle or time.monotonic() < stopped_s + play.options.patience_s):
        play.frame("draining", ends_s)
        time.sleep(_FRAME_S)


def _finish(play: _Play) -> Findings:
    """Stop reading and return what all readers found."""
    found = Findings()
    for reader in play.readers:
        one = reader.finish(play.truth.watermark)
        found.reads, found.judged, found.failed = found.reads + one.reads, found.judged + one.judged, found.failed + one.failed
        found.found += one.found
        found.sources += one.sources
        found.examples += one.examples
        found.took.merge(one.took)
    play.driver.stop()
    return found


def _last_look(play: _Play) -> dict[str, Any]:
    """Compare everything in Redis with what was published: facts, and every list with what is sold out."""
    wrong = play.ledger.audit(settled=False)
    play.view.say("looking through all lists")
    began = time.monotonic()
    sold_out = {member.decode() for member in play.stage.client.smembers(keys.SOLDOUT)}  # type: ignore[union-attr]
    lists, bad, examples = scan_lists(play.stage.client, sold_out)
    seconds = round(time.monotonic() - began, 1)
    return {"wrong": wrong, "lists": lists, "bad": bad, "examples": examples, "sold_out": len(sold_out), "seconds": seconds}
