"""The run: a live system, a world that publishes, faults by schedule, rest, audit."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import SecretStr

from streamrec.chaos.auditor import audit
from streamrec.chaos.faults import FAULTS, OF_BROKER, Fault, Scene
from streamrec.chaos.findings import MAX_DETAILS, Finding, Verdict
from streamrec.chaos.fleet import Crash, Fleet
from streamrec.chaos.guard import GuardedReads
from streamrec.chaos.operator import Operator
from streamrec.chaos.outbox import Outbox
from streamrec.chaos.schedule import Planned, schedule
from streamrec.chaos.world import Items, World
from streamrec.clock import Clock, SystemClock
from streamrec.config import KafkaSettings, RedisSettings
from streamrec.errors import LocalStackError
from streamrec.lists.connection import connect
from streamrec.local import LocalStack
from streamrec.local.kafka_jars import missing_programs
from workers.transport.admin import ensure_topics

Kind = Literal["apache", "embedded"]
#: Between two portions of messages.
_PORTION_S: Final = 0.1
_WARM_UP_S: Final = 3.0
#: How long the system may take to come to rest once everything is mended, and again until all is as it must be.
_PATIENCE_S: Final = 60.0
_THREAD_S: Final = 200.0


@dataclass(frozen=True)
class Options:
    """What a run is like."""

    seed: int = 1
    minutes: float = 2.0
    broker: Kind | None = None
    #: Messages per second.
    rate: float = 150.0
    log_dir: Path | None = None
    #: Names of faults to draw from; empty: all that the broker allows.
    faults: tuple[str, ...] = ()
    #: After so long a silent worker loses its partitions; frozen ones are silent for longer than the shipped six seconds.
    session_timeout_s: float = 6.0
    #: The shop's items; None: real ones.
    items: Items | None = None


@dataclass
class Report:
    """How a run ended."""

    seed: int
    minutes: float
    broker: str
    verdict: Verdict
    #: Fault → how often it happened.
    faults: dict[str, int]
    schedule: list[dict[str, Any]]
    messages: int
    sent_again: int
    reads: int
    rebuilds: int
    crashes: list[Crash]
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether nothing was lost, doubled or stale."""
        return self.verdict.ok

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can say of it."""
        return {
            "seed": self.seed,
            "minutes": self.minutes,
            "broker": self.broker,
            **self.verdict.as_dict(),
            "faults": self.faults,
            "schedule": self.schedule,
            "messages": self.messages,
            "sent_again": self.sent_again,
            "guarded_reads": self.reads,
            "rebuilds": self.rebuilds,
            "crashes": [vars(crash) for crash in self.crashes],
            "notes": self.notes,
            "seconds": round(self.seconds, 1),
        }


def run_chaos(options: Options, say: Callable[[str], object] = lambda _: None) -> Report:
    """Run a shop through a random schedule of faults and audit what is left.

    Raises LocalStackError for a fault that the broker cannot bear, and when the system does not start.
    """
    began, clock = time.monotonic(), SystemClock()
    kind = options.broker or default_broker()
    names = chosen_faults(options.faults, kind)
    planned = schedule(options.seed, options.minutes * 60, names)
    world = World(options.seed, options.items)
    with _stage(options, kind, world, clock) as (scene, outbox, kafka):
        say(f"{kind} broker, {len(planned)} faults over {options.minutes:g} min, seed {options.seed}")
        _open(world, outbox, clock, options.rate)
        play = _Play(scene, planned, say)
        play.start()
        _publish(world, outbox, clock, options.rate, until=time.monotonic() + options.minutes * 60)
        play.finish()
        say("everything is mended; waiting for rest")
        outbox.send(world.rest())
        outbox.flush()
        verdict = audit(world, scene.client, kafka, patience_s=_PATIENCE_S, clock=clock)
        scene.guard.stop()
    return Report(
        seed=options.seed,
        minutes=options.minutes,
        broker=kind,
        verdict=_with(verdict, scene.guard.findings),
        faults=dict(Counter(one.name for one in planned)),
        schedule=[one._asdict() for one in planned],
        messages=sum(world.truth.acknowledged.values()),
        sent_again=outbox.sent_again,
        reads=scene.guard.reads,
        rebuilds=scene.operator.rebuilds,
        crashes=scene.fleet.crashes,
        notes=play.notes,
        seconds=time.monotonic() - began,
    )


def default_broker() -> Kind:
    """Return the broker that this machine can run and that can take the most: Apache Kafka where Java and Maven are."""
    return "embedded" if missing_programs() else "apache"


def chosen_faults(names: Sequence[str], kind: Kind) -> list[str]:
    """Return the faults to draw from. Raises LocalStackError for an unknown one, and for one that the broker cannot bear."""
    unknown = sorted(set(names) - FAULTS.keys())
    if unknown:
        msg = f"{', '.join(unknown)}: no such fault; choose from {', '.join(FAULTS)}"
        raise LocalStackError(msg)
    if kind == "embedded" and OF_BROKER & set(names):
        unbearable = ", ".join(sorted(OF_BROKER & set(names)))
        msg = f"the embedded broker forgets all at its end and cannot bear {unbearable}; use --broker apache"
        raise LocalStackError(msg)
    return [name for name in FAULTS if name in (names or FAULTS) and not (kind == "embedded" and name in OF_BROKER)]


@contextmanager
def _stage(options: Options, kind: Kind, world: World, clock: Clock) -> Iterator[tuple[Scene, Outbox, KafkaSettings]]:
    with ExitStack() as undo:
        stack = undo.enter_context(LocalStack(kind=kind, durable_redis=True, log_dir=options.log_dir))
        place = stack.environment()
        kafka = KafkaSettings(bootstrap=place["STREAMREC_KAFKA__BOOTSTRAP"], extra={"log_level": "2"})
        ensure_topics(kafka)
        url = place["STREAMREC_REDIS__URL"]
        client = connect(RedisSettings(url=SecretStr(url)))
        undo.callback(client.close)
        session = {"STREAMREC_KAFKA__SESSION_TIMEOUT_MS": str(int(options.session_timeout_s * 1000))}
        fleet = undo.enter_context(Fleet(stack, session))
        guard = GuardedReads(url, options.seed)
        guard.start()
        undo.callback(guard.stop)
        outbox = undo.enter_context(Outbox(world, kafka, clock, guard.before))
        yield Scene(stack, fleet, guard, client, Operator(place)), outbox, kafka


def _open(world: World, outbox: Outbox, clock: Clock, rate: float) -> None:
    outbox.send(world.opening(clock.now_ms()))
    outbox.flush()
    _publish(world, outbox, clock, rate, until=time.monotonic() + _WARM_UP_S)


def _publish(world: World, outbox: Outbox, clock: Clock, rate: float, *, until: float) -> None:
    began, sent = time.monotonic(), 0
    while (now := time.monotonic()) < until:
        due = int((now - began) * rate) - sent
        outbox.send(world.stream(due, clock.now_ms()))
        sent += due
        time.sleep(_PORTION_S)


class _Play:
    """Lets the planned faults happen, each in its own thread, and waits until all are mended."""

    def __init__(self, scene: Scene, planned: Sequence[Planned], say: Callable[[str], object]) -> None:
        self._scene, self._say = scene, say
        self._began = time.monotonic()
        self._threads = [threading.Thread(target=self._fault, args=[one], name=one.name, daemon=True) for one in planned]
        self._locks = {one.target: threading.Lock() for one in planned}
        #: What did not go as planned with the faults themselves.
        self.notes: list[str] = []

    def start(self) -> None:
        """Begin now."""
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        """Wait until the last fault is mended. Raises LocalStackError if one is not."""
        for thread in self._threads:
            thread.join(_THREAD_S)
            if thread.is_alive():
                msg = f"the fault {thread.name} could not be mended within {_THREAD_S:.0f} s; run with --log-dir and read the logs"
                raise LocalStackError(msg)

    def _fault(self, one: Planned) -> None:
        fault: Fault = FAULTS[one.name](one.target)
        self._until(one.at_s)
        with self._locks[one.target]:  # on a slow machine the one before may still be being mended
            self._say(f"{one.at_s:6.1f} s  {one.name} {one.target} for {one.ends_s - one.at_s:.1f} s")
            self._try(one, fault.begin)
            self._until(one.ends_s)
            self._try(one, fault.heal)
        self._try(one, fault.afterwards)

    def _until(self, at_s: float) -> None:
        time.sleep(max(self._began + at_s - time.monotonic(), 0.0))

    def _try(self, one: Planned, step: Callable[[Scene], None]) -> None:
        try:
            step(self._scene)
        except Exception as error:  # noqa: BLE001 - a fault that fails must neither end the run nor leave others unmended
            self.notes.append(
                f"{one.name} {one.target} at {one.at_s:.1f} s, {step.__name__}: {type(error).__name__}: {error}"[:500]
            )


def _with(verdict: Verdict, read: Sequence[Finding]) -> Verdict:
    """Return the verdict with what the reader found meanwhile."""
    details = (*read, *verdict.details)[:MAX_DETAILS]
    return Verdict(verdict.lost, verdict.doubled, verdict.stale + len(read), details, verdict.checked, verdict.seconds)
