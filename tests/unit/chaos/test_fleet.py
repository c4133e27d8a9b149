"""The process manager starts again what ended by itself, and leaves down what a fault took down."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from streamrec.chaos import fleet as room
from streamrec.chaos.faults import KilledInRebalance, Scene, WorkerKilled, WorkersJoin
from streamrec.chaos.fleet import PLACES, Fleet
from streamrec.local import LocalStack


class Worker:
    """A process that is none."""

    pid = None

    def __init__(self, roles: Sequence[str]) -> None:
        self.roles, self.running, self.exit_code, self.starts = tuple(roles), True, 0, 1

    def start(self) -> None:
        self.running = True
        self.starts += 1

    def wait_ready(self, _timeout_s: float) -> None:
        """Return at once."""

    def end(self, code: int) -> None:
        self.running, self.exit_code = False, code

    def kill(self) -> None:
        self.end(-9)

    def stop(self) -> None:
        self.end(0)

    def log_tail(self) -> str:
        return "first\nthe last words"


class Stack:
    """Starts such workers."""

    def __init__(self) -> None:
        self.workers: list[Worker] = []

    def worker(self, roles: Sequence[str], _environment: Mapping[str, str]) -> Worker:
        self.workers.append(Worker(roles))
        return self.workers[-1]


def await_until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_what_ends_by_itself_is_counted_and_started_again_and_what_was_taken_down_is_not(monkeypatch: Any) -> None:
    monkeypatch.setattr(room, "_WATCH_S", 0.001)
    monkeypatch.setattr(room, "_RESTART_S", 0.0)
    stack = Stack()
    with Fleet(cast("LocalStack", stack)) as fleet:
        workers = dict(zip(PLACES, stack.workers, strict=True))
        assert [worker.roles for worker in stack.workers] == [(name.partition("-")[0],) for name in PLACES]
        fleet.kill("embedder")
        workers["aggregator"].end(3)
        await_until(lambda: workers["aggregator"].starts == 2)
        assert [(crash.name, crash.exit_code, crash.said) for crash in fleet.crashes] == [("aggregator", 3, "the last words")]
        assert not workers["embedder"].running
        fleet.send("embedder", signal.SIGCONT)  # nobody is there to hear it
        fleet.start("embedder")
        assert workers["embedder"].running
        assert len(fleet.crashes) == 1


def test_faults_of_workers_mend_what_they_break() -> None:
    stack = Stack()
    fleet = Fleet(cast("LocalStack", stack))
    for name in PLACES:
        fleet.start(name)
    scene = cast("Scene", type("Here", (), {"fleet": fleet})())
    killed = WorkerKilled("recommender-b")
    killed.begin(scene)
    assert [worker.running for worker in stack.workers] == [True, True, True, True, False]
    killed.heal(scene)
    for fault, signed in ((WorkersJoin("recommender-extra"), 0), (KilledInRebalance("embedder-extra"), -9)):
        before = len(stack.workers)
        fault.begin(scene)
        more = stack.workers[before:]
        assert more
        assert all(worker.running for worker in more)
        fault.heal(scene)
        assert [worker.exit_code for worker in more] == [signed] * len(more)
    assert all(worker.running for worker in stack.workers[: len(PLACES)])
