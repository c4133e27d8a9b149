"""The demo from start to end: stack, catalogue, replay, actions, storefront, report."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Final

from streamrec.client import Storefront
from streamrec.clock import SystemClock
from streamrec.config import Settings
from streamrec.demo import fleet
from streamrec.demo.actions import Actions
from streamrec.demo.data import DataSet, open_data
from streamrec.demo.driver import Driver
from streamrec.demo.ledger import Ledger
from streamrec.demo.loading import await_items, publish_items
from streamrec.demo.merchant import Scene
from streamrec.demo.options import DemoOptions
from streamrec.demo.outbox import Outbox
from streamrec.demo.pacing import Pacer
from streamrec.demo.probes import Board
from streamrec.demo.replayer import Replayer
from streamrec.demo.report import LATENCIES, MORE, Latency, Report, Violations, summary
from streamrec.demo.shelf import Shelf
from streamrec.demo.stage import Stage, stage
from streamrec.demo.storefront import Findings, Reader
from streamrec.demo.truth import MAX_EXAMPLES, TruthLog, Violation
from streamrec.demo.view import Frame, View, view_for
from streamrec.demo.visitors import Visitors
from streamrec.errors import DataError, LocalStackError
from streamrec.events import CatalogItem
from workers.transport.producer import Producer

_FRAME_S: Final = 0.25
#: How much longer than the patience for one effect everything may take to come to its end.
_DRAIN_S: Final = 5.0
#: A storefront is tried on more than a handful of visitors.
_ENOUGH_VISITORS: Final = 50

Items = list[tuple[str, CatalogItem]]


@dataclass
class _Play:
    """The running parts."""

    options: DemoOptions
    view: View
    stage: Stage
    scene: Scene
    reader: Reader
    driver: Driver
    replayer: Replayer
    shelf: Shelf

    def frame(self, phase: str, ends_s: float) -> None:
        """Show the moment, and raise what went wrong in a thread or a process."""
        for error in (self.driver.error, self.replayer.error):
            if error is not None:
                raise error
        self.stage.check()
        findings = self.reader.refresh()
        if not self.reader.alive:
            msg = "the storefront process ended by itself; run the demo again, and report what it printed above"
            raise LocalStackError(msg)
        actions = self.driver.actions
        violations = sum(findings.found.values()) + (len(actions.violations) if actions else 0)
        shelf = self.shelf.look()
        frame = Frame(
            phase=phase,
            left_s=ends_s - time.monotonic(),
            events_per_s=self.replayer.pacer.rate,
            reads=findings.reads,
            violations=violations,
            latencies={name: list(self.scene.board.latencies[name]) for name in LATENCIES},
            visitor=self.shelf.visitor,
            shelf=shelf,
            happened=tuple(str(tuple(example)) for example in findings.examples[:3]),
        )
        self.view.show(frame)

    def until(self, phase: str, ends_s: float) -> None:
        """Show frames until the moment has come."""
        while (left_s := ends_s - time.monotonic()) > 0:
            self.frame(phase, ends_s)
            time.sleep(min(_FRAME_S, max(left_s, 0)))


@dataclass(frozen=True)
class _Measured:
    """What the measured time gave, beside the latencies on the board."""

    seconds: float
    events: Counter[str]
    lists_pushed: int


def run_demo(options: DemoOptions) -> Report:
    """Run the demo, print its summary, write its report and return it; whatever happens, no process stays behind.

    Raises DataError, LocalStackError, BrokerUnavailable or StoreUnavailable; KeyboardInterrupt passes through.
    """
    data = open_data(options.data)
    rng = Random(options.seed)
    with view_for(live=options.view) as view:
        _introduce(view, data)
        with stage(
            view,
            broker=options.broker,
            workers=options.workers,
            log_dir=options.log_dir,
            environment=options.environment,
        ) as place:
            report = _run(options, data, place, view, rng)
    if options.report:
        report.write(options.report)
    for line in summary(report):
        print(line)
    return report


def _introduce(view: View, data: DataSet) -> None:
    view.say(f"data: {data.description}")
    for note in data.notes():
        view.say(f"  {note}")


def _run(options: DemoOptions, data: DataSet, place: Stage, view: View, rng: Random) -> Report:
    items = list(islice(data.items(data.start_ms), options.items))
    if not items:
        msg = f"{data.name} has no item before its start; give data with a catalogue"
        raise DataError(msg)
    now, later = _hold_back(items, options, rng)
    clock = SystemClock()
    with ExitStack() as undo:
        producer = undo.enter_context(Producer(place.kafka))
        outbox = Outbox(producer)
        began_s = time.monotonic()
        publish_items(outbox, now, clock, view)
        producer.flush(120.0)
        await_items(place.client, now, options.load_timeout_s, view)
        embedded_per_s = len(now) / (time.monotonic() - began_s)
        titles = {item_id: item.title for item_id, item in items}
        play = _play(options, data, place=place, view=view, outbox=outbox, titles=titles, undo=undo)
        _warm_up(play)
        actions = Actions(play.scene, clock=clock, rng=Random(options.seed + 1), rates=options.rates, new_items=later)
        measured = _measure(play, actions)
        _drain(play, actions)
        findings = play.reader.finish(play.scene.truth.watermark)
    wrong = actions.violations + play.scene.ledger.audit(settled=False)
    return _report(play, data, measured, findings=findings, wrong=wrong, embedded=(len(now), embedded_per_s), actions=actions)


def _hold_back(items: Items, options: DemoOptions, rng: Random) -> tuple[Items, Items]:
    """Split off a few items that are published later, as new ones."""
    wanted = min(int(options.seconds * options.rates.new_item) + 1, len(items) // 50)
    chosen = set(rng.sample(range(len(items)), wanted))
    now = [entry for number, entry in enumerate(items) if number not in chosen]
    return now, [items[number] for number in sorted(chosen)]


def _play(
    options: DemoOptions, data: DataSet, *, place: Stage, view: View, outbox: Outbox, titles: dict[str, str], undo: ExitStack
) -> _Play:
    # A little less than profiles remember, because the two do not forget at the same moment.
    max_bought = max(Settings.load().profiles.max_bought * 3 // 4, 1)
    reader = Reader(place.redis, rate=options.read_rate, seed=options.seed + 2, max_bought=max_bought)
    undo.callback(reader.close)
    scene = Scene(
        client=place.client,
        shop=Storefront(place.client, cluster=place.redis.cluster),
        outbox=outbox,
        board=Board(place.client, patience_s=options.patience_s),
        truth=TruthLog(reader.send),
        ledger=Ledger(place.client),
        visitors=Visitors(),
    )
    pacer = Pacer(options.rate, time.monotonic, time.sleep)
    replayer = Replayer(scene, data.timeline(data.start_ms), pacer, SystemClock())
    driver = Driver(scene, pacer)
    undo.callback(driver.stop)
    undo.callback(replayer.stop)
    return _Play(options, view, place, scene, reader, driver, replayer, Shelf(place.client, scene.visitors, titles))


def _warm_up(play: _Play) -> None:
    play.driver.start()
    play.replayer.start()
    began_s = time.monotonic()
    play.until("warming up", began_s + play.options.warm_up_s)
    while len(play.scene.visitors) < _ENOUGH_VISITORS and not play.replayer.exhausted:
        if time.monotonic() - began_s > 3 * play.options.warm_up_s:
            break
        play.until("warming up", time.monotonic() + 1.0)


def _measure(play: _Play, actions: Actions) -> _Measured:
    pushed = fleet.lists_pushed(play.stage.client)
    before = play.scene.outbox.snapshot()
    began_s = time.monotonic()
    play.scene.board.record(on=True)
    play.driver.actions = actions
    play.reader.begin()
    play.until("measuring", began_s + play.options.seconds)
    play.scene.board.record(on=False)
    seconds = time.monotonic() - began_s
    events = play.scene.outbox.snapshot() - before
    return _Measured(seconds, events, fleet.lists_pushed(play.stage.client) - pushed)


def _drain(play: _Play, actions: Actions) -> None:
    """Let everything that was begun come to its end while the storefront goes on reading."""
    play.replayer.stop()
    actions.stop()
    ends_s = time.monotonic() + play.options.patience_s + _DRAIN_S
    while not play.driver.idle and time.monotonic() < ends_s:
        play.frame("draining", ends_s)
        time.sleep(_FRAME_S)
    play.driver.stop()


def _report(
    play: _Play,
    data: DataSet,
    measured: _Measured,
    *,
    findings: Findings,
    wrong: list[Violation],
    embedded: tuple[int, float],
    actions: Actions,
) -> Report:
    board = play.scene.board
    kinds = findings.found + Counter(violation.kind for violation in wrong)
    examples = [*findings.examples, *wrong][:MAX_EXAMPLES]
    notes = [
        *data.notes(),
        f"effects were looked for every {board.resolution_ms:.0f} ms on average: latencies are known to about that",
        f"{actions.stale_facts:,} facts were sent late, twice or out of order on purpose",
        "an item's embedding time includes its way through Kafka and into the index; equal texts are embedded once",
        f"the storefront judged {findings.judged:,} answers: {_counts(findings.sources)}",
    ]
    if play.replayer.pacer.lowest < play.options.rate:
        slowest = f"{play.replayer.pacer.lowest:.0f} of {play.options.rate:.0f} events/s"
        notes.append(f"where clicks took long to reach their lists the replay slowed down, at the slowest to {slowest}")
    if actions.outranked:
        notes.append(f"{actions.outranked:,} restocked items did not come back because the lists were ranked anew, without them")
    if play.replayer.exhausted:
        notes.append("the data ran out before the time did")
    if findings.failed:
        notes.append(f"{findings.failed:,} reads failed because Redis did not answer")
    return Report(
        data=data.name,
        broker=play.stage.broker,
        seconds=round(measured.seconds, 1),
        events=dict(measured.events),
        items=embedded[0],
        items_embedded_per_s=round(embedded[1], 1),
        lists_pushed=measured.lists_pushed,
        reads=findings.judged,
        violations=Violations(sum(kinds.values()), dict(kinds), [example._asdict() for example in examples]),
        latency_ms={name: Latency.of(board.latencies[name]) for name in LATENCIES},
        more_latency_ms={name: Latency.of(board.latencies[name]) for name in MORE},
        unresolved=dict(board.unresolved),
        notes=notes,
    )


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counter.most_common())
