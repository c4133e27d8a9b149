"""Roles without Kafka: readers and runners that say what a test wants them to."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from workers.parts import Role
from workers.transport.backlog import Backlog

if TYPE_CHECKING:
    from collections.abc import Callable

    from workers.transport.pipeline import Pipeline


@dataclass
class FakeReader:
    """Answers what pages, heartbeats and metrics ask of a reader."""

    name: str = "reader-x"
    backlog: Backlog = field(default_factory=Backlog)
    polled_at: float = field(default_factory=time.monotonic)
    alive: bool = True
    ready: threading.Event = field(default_factory=threading.Event)
    in_flight: int = 0
    paused: bool = False
    #: None before the thread is started.
    ident: int | None = 1

    @property
    def lag(self) -> dict[tuple[str, int], int]:
        return self.backlog.records

    def is_alive(self) -> bool:
        return self.alive


@dataclass
class FakeRunner:
    """Answers what pages and metrics ask of a runner."""

    name: str = "x"
    busy_since: float | None = None
    waits_for: str = ""


@dataclass
class FakePipeline:
    """A reader and a runner."""

    reader: FakeReader = field(default_factory=FakeReader)
    runner: FakeRunner = field(default_factory=FakeRunner)
    agent_ended: bool = False


def behind(lag: dict[tuple[str, int], int], since_s: float | None = None) -> Backlog:
    """Return a backlog of so many records per partition, known since then (monotonic seconds; default: now)."""
    backlog = Backlog()
    for place, records in lag.items():
        backlog.look(place, 10, 10 + records, time.monotonic() if since_s is None else since_s)
    return backlog


def role(name: str, *pipelines: FakePipeline, explain: Callable[[str, str, str], Any] | None = None, **status: int) -> Role:
    """Return a role of these pipelines."""
    return Role(name, cast("list[Pipeline]", list(pipelines)), status=lambda: status, explain=explain)
