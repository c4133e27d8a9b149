"""Where a demo or a comparison plays: a broker, a Redis, topics and workers, all gone at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Stage:
    """What stands."""

    kafka: KafkaSettings
    redis: RedisSettings
    client: Redis
    #: In words, for the report.
    broker: str
    workers: tuple[WorkerProcess, ...]

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
            started = tuple(local.worker(roles, environment) for roles in workers)
            yield _ready(view, kafka, redis_settings, _NAMES[broker], started)
        return
    settings = Settings.load()
    ensure_topics(settings.kafka)
    with _workers_outside(settings, workers, log_dir, environment or {}) as started:
        yield _ready(view, settings.kafka, settings.redis, f"configured: {settings.kafka.bootstrap}", started)


@contextmanager
def _workers_outside(
    settings: Settings, workers: Sequence[Sequence[str]], log_dir: Path | None, environment: dict[str, str]
) -> Iterator[tuple[WorkerProcess, ...]]:
    place = {
        "STREAMREC_KAFKA__BOOTSTRAP": settings.kafka.bootstrap,
        "STREAMREC_REDIS__URL": settings.redis.url.get_secret_value(),
        **environment,
    }
    workspace = Workspace()
    folder = log_dir or workspace.path
    started: list[WorkerProcess] = []
    try:
        for number, roles in enumerate(workers):
            started.append(WorkerProcess(roles, place, folder / f"worker-{number}-{os.getpid()}.log").start())
        yield tuple(started)
    finally:
        for worker in started:
            worker.stop()
        workspace.close()


def _ready(view: View, kafka: KafkaSettings, settings: RedisSettings, broker: str, workers: tuple[WorkerProcess, ...]) -> Stage:
    view.say(f"broker: {broker} at {kafka.bootstrap}; starting {len(workers)} workers")
    for worker in workers:
        worker.wait_ready(READY_TIMEOUT_S)
    return Stage(kafka, settings, connect(settings), broker, workers)
