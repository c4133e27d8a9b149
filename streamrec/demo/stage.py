"""Where a demo or a comparison plays: a broker, a Redis, topics and workers, all gone at the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from pydantic import SecretStr
from redis import Redis

from streamrec.config import KafkaSettings, RedisSettings, Settings
from streamrec.demo.view import View
from streamrec.errors import LocalStackError
from streamrec.lists.connection import connect
from streamrec.local import LocalStack, WorkerProcess
from streamrec.local.workspace import Workspace
from workers.transport.admin import ensure_topics

#: The first start builds the encoder's graph, which takes a minute or two on a small machine.
READY_TIMEOUT_S = 300.0
_NAMES = {"embedded": "Tansu (embedded, in memory)", "apache": "Apache Kafka (one node, KRaft)"}

#: Starts a worker with these roles, and this in its environment besides.
_Start = Callable[[Sequence[str], Mapping[str, str]], WorkerProcess]


@dataclass(frozen=True)
class Stage:
    """What stands."""

    kafka: KafkaSettings
    redis: RedisSettings
    client: Redis
    #: In words, for the report.
    broker: str
    workers: list[WorkerProcess]
    #: See ``hire``.
    _start: _Start
    #: The process ids of what was started besides workers, by name.
    pids: Mapping[str, int]

    def hire(self, roles: Sequence[str], environment: Mapping[str, str] | None = None) -> WorkerProcess:
        """Return one more worker, started and not yet awaited; it stops with the stage.

        ``environment`` is added to what the stage's workers have.
        """
        worker = self._start(roles, environment or {})
        self.workers.append(worker)
        return worker

    def dismiss(self, worker: WorkerProcess) -> None:
        """Let a worker finish what it holds, and forget it."""
        self.workers.remove(worker)
        worker.stop()

    def check(self) -> None:
        """Raise LocalStackError with the end of its log if a worker has died."""
        for worker in self.workers:
            if not worker.running:
                msg = f"the worker {','.join(worker.roles)} ended with code {worker.exit_code}; its log says:\n{worker.log_tail()}"
                raise LocalStackError(msg)


@contextmanager
def stage(
    view: View,
    *,
    broker: Literal["embedded", "apache", "configured"],
    workers: Sequence[Sequence[str]],
    log_dir: Path | None = None,
    environment: dict[str, str] | None = None,
) -> Iterator[Stage]:
    """Start everything, give it away ready to use, and stop everything.

    Raises LocalStackError, BrokerUnavailable or StoreUnavailable when something does not start or answer.
    """
    if broker != "configured":
        with LocalStack(kind=broker, log_dir=log_dir) as local:
            ours = local.environment()
            # The broker goes away before the clients of this process do; librdkafka would say so in the middle of the summary.
            kafka = KafkaSettings(bootstrap=ours["STREAMREC_KAFKA__BOOTSTRAP"], extra={"log_level": "2"})
            redis_settings = RedisSettings(url=SecretStr(ours["STREAMREC_REDIS__URL"]))
            ensure_topics(kafka)
            pids = {name: pid for name, pid in (("broker", local.broker.pid), ("redis", local.redis.pid)) if pid}
            yield _ready(
                view, kafka, redis_settings, _NAMES[broker], workers, partial(_start_inside, local, environment or {}), pids
            )
        return
    settings = Settings.load()
    ensure_topics(settings.kafka)
    with _workers_outside(settings, log_dir, environment or {}) as start:
        yield _ready(view, settings.kafka, settings.redis, f"configured: {settings.kafka.bootstrap}", workers, start, {})


def _start_inside(
    local: LocalStack, environment: Mapping[str, str], roles: Sequence[str], more: Mapping[str, str]
) -> WorkerProcess:
    return local.worker(roles, {**environment, **more})


@contextmanager
def _workers_outside(settings: Settings, log_dir: Path | None, environment: dict[str, str]) -> Iterator[_Start]:
    place = {
        "STREAMREC_KAFKA__BOOTSTRAP": settings.kafka.bootstrap,
        "STREAMREC_REDIS__URL": settings.redis.url.get_secret_value(),
        **environment,
    }
    workspace = Workspace()
    folder = log_dir or workspace.path
    started: list[WorkerProcess] = []

    def start(roles: Sequence[str], more: Mapping[str, str]) -> WorkerProcess:
        started.append(WorkerProcess(roles, {**place, **more}, folder / f"worker-{len(started)}-{os.getpid()}.log"))
        return started[-1].start()

    try:
        yield start
    finally:
        for worker in started:
            worker.stop()
        workspace.close()


def _ready(  # noqa: PLR0917 - the two kinds of place name them
    view: View,
    kafka: KafkaSettings,
    settings: RedisSettings,
    broker: str,
    workers: Sequence[Sequence[str]],
    start: _Start,
    pids: Mapping[str, int],
) -> Stage:
    view.say(f"broker: {broker} at {kafka.bootstrap}; starting {len(workers)} workers")
    started = [start(roles, {}) for roles in workers]
    for worker in started:
        worker.wait_ready(READY_TIMEOUT_S)
    return Stage(kafka, settings, connect(settings), broker, started, start, pids)
