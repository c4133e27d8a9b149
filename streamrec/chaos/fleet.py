"""The workers of a run, and a process manager that starts again what ended by itself."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Self

from streamrec.local import LocalStack, WorkerProcess

#: Two of the role whose partitions move, one of each other.
PLACES: Final = ("availability", "embedder", "aggregator", "recommender-a", "recommender-b")
#: The aggregator is told of every visitor, however alike, and of nothing that was only shown: so the auditor knows what it must
#: have counted.
AUDITABLE: Final = {"STREAMREC_ABUSE__MAX_ALIKE": "0", "STREAMREC_RANKING__EXPLORE_IMPRESSIONS": "0"}
#: The transport is what is tried here: the hashing encoder loads in no time.
ENVIRONMENT: Final = {"STREAMREC_MODEL__NAME": "hashing", "STREAMREC_LOG_LEVEL": "WARNING", **AUDITABLE}
_WATCH_S: Final = 0.2
#: A process manager waits a moment before it starts again what crashed.
_RESTART_S: Final = 1.0


@dataclass
class Crash:
    """A worker that ended by itself."""

    name: str
    exit_code: int | None
    #: The last line of its log.
    said: str


@dataclass
class _Place:
    """Where one worker stands; ``wanted`` is False while a fault keeps it down."""

    worker: WorkerProcess
    wanted: bool = True
    ended_at: float = 0.0


@dataclass
class Fleet:
    """Workers by name; thread-safe."""

    stack: LocalStack
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._places: dict[str, _Place] = {}
        self._lock = threading.RLock()
        self._stopped = threading.Event()
        self._watch = threading.Thread(target=self._supervise, name="fleet", daemon=True)
        self.crashes: list[Crash] = []

    def __enter__(self) -> Self:
        for name in PLACES:
            self.start(name)
        for place in list(self._places.values()):
            place.worker.wait_ready(120)
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        if self._watch.is_alive():
            self._watch.join()

    def start(self, name: str) -> None:
        """Start the worker of a name, ``role`` or ``role-anything``; one that runs stays."""
        with self._lock:
            place = self._places.get(name)
            if place is None:
                worker = self.stack.worker([name.partition("-")[0]], ENVIRONMENT | self.environment)
                self._places[name] = _Place(worker)
                return
            place.wanted, place.ended_at = True, 0.0
            if not place.worker.running:
                place.worker.start()

    def kill(self, name: str) -> None:
        """End a worker at once and keep it down."""
        self._down(name).worker.kill()

    def stop(self, name: str) -> None:
        """Ask a worker to finish what it holds, and keep it down."""
        self._down(name).worker.stop()

    def _down(self, name: str) -> _Place:
        with self._lock:
            place = self._places[name]
            place.wanted = False
            return place

    def remove(self, name: str, *, kill: bool = False) -> None:
        """End a worker for good."""
        (self.kill if kill else self.stop)(name)
        with self._lock:
            del self._places[name]

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a worker, if it runs."""
        pid = self._places[name].worker.pid
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _supervise(self) -> None:
        while not self._stopped.wait(_WATCH_S):
            with self._lock:
                for name, place in self._places.items():
                    if place.wanted and not place.worker.running:
                        self._revive(name, place)

    def _revive(self, name: str, place: _Place) -> None:
        now = time.monotonic()
        if not place.ended_at:
            place.ended_at = now
            self.crashes.append(Crash(name, place.worker.exit_code, place.worker.log_tail().rpartition("\n")[2][-400:]))
        elif now - place.ended_at > _RESTART_S:
            place.ended_at = 0.0
            place.worker.start()
