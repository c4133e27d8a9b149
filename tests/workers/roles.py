"""Roles without Kafka: readers and runners that say what a test wants them to."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from workers.parts import Role

if TYPE_CHECKING:
    from collections.abc import Callable

    from workers.transport.pipeline import Pipeline


@dataclass
class FakeReader:
    """Answers what pages, heartbeats and metrics ask of a reader."""

    name: str = "reader-x"
    lag: dict[tuple[str, int], int] = field(default_factory=dict)
    polled_at: float = field(default_factory=time.monotonic)
    alive: bool = True
    ready: threading.Event = field(default_factory=threading.Event)

    def is_alive(self) -> bool:
        return self.alive


@dataclass
class FakeRunner:
    """Answers what pages and metrics ask of a runner."""

    name: str = "x"
    busy_since: float | None = None


@dataclass
class FakePipeline:
    """A reader and a runner."""

    reader: FakeReader = field(default_factory=FakeReader)
    runner: FakeRunner = field(default_factory=FakeRunner)


def role(name: str, *pipelines: FakePipeline, explain: Callable[[str, str], Any] | None = None, **status: int) -> Role:
    """Return a role of these pipelines."""
    return Role(name, cast("list[Pipeline]", list(pipelines)), status=lambda: status, explain=explain)
