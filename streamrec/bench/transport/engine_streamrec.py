"""Ours, whole: a worker's app, reader, channel, agent and runner, with validation, metrics and commits, as roles use them."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import faust
from prometheus_client import CollectorRegistry

from streamrec.bench.transport.tally import TOPIC, Job, Tally, job
from streamrec.clock import SystemClock
from streamrec.config import Settings
from streamrec.events import Click
from streamrec.observing import PrometheusObserver
from workers.app import App
from workers.garbage import collect_seldom
from workers.parts import Parts
from workers.ports import free_port
from workers.transport.producer import Producer

if TYPE_CHECKING:
    from workers.transport.batch import Record
    from workers.transport.pipeline import Pipeline


def build(settings: Settings, task: Job, tally: Tally) -> tuple[App, Pipeline]:
    """Put a worker together that has one pipeline, of clicks, and a handler that counts."""

    def count(records: Sequence[Record]) -> None:
        tally.count(len(records))

    def note_ages(records: Sequence[Record]) -> None:
        for record in records:
            # Not all events of a latency run are its own.
            tally.arrived(int(cast("Click", record.value).event_id))

    app = App("streamrec-bench", settings.web, settings.web.port or free_port(settings.web.host))
    # Nothing of this pipeline is in Redis.
    parts = Parts(
        app, settings, SystemClock(), PrometheusObserver(CollectorRegistry()), cast("Any", None), Producer(settings.kafka)
    )
    pipeline = parts.group("clicks", [TOPIC], note_ages if task.latency else count, parts.core("bench"))
    app.add([pipeline])
    return app, pipeline


def main() -> None:
    """Run the worker until the job is done, and stop it in order, so that the last commit is made."""
    task = job()
    base = Settings.load()
    kafka = base.kafka.model_copy(update={"bootstrap": task.bootstrap, "group_prefix": task.group})
    settings = base.model_copy(update={"kafka": kafka})
    packages = ("faust-streaming", "confluent-kafka")
    app, _ = build(settings, task, Tally(task, packages, lambda: os.kill(os.getpid(), signal.SIGTERM)))
    collect_seldom()
    worker = faust.Worker(app, loglevel="ERROR", quiet=True, redirect_stdouts=False)
    worker.spinner = None
    worker.execute_from_commandline()


if __name__ == "__main__":
    main()
