"""What a worker is like at the moment it is asked, as gauges: nothing of this costs anything between two scrapes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client import Metric

    from workers.health import Health
    from workers.parts import Role
    from workers.transport.pipeline import Pipeline
    from workers.watch import Dependency


class WorkerGauges(Collector):
    """Per reader: lag, what is on its way, whether it reads; of the worker: whether it lives, is ready, and what answers it."""

    def __init__(self, roles: Sequence[Role], dependencies: Sequence[Dependency], health: Health) -> None:
        self._roles = roles
        self._dependencies = dependencies
        self._health = health

    def collect(self) -> Iterator[Metric]:
        """Yield every gauge."""
        pipelines = [pipeline for role in self._roles for pipeline in role.pipelines]
        yield from _lags(pipelines)
        yield from _readers(pipelines)
        yield from self._worker()

    def _worker(self) -> Iterator[Metric]:
        live = GaugeMetricFamily("streamrec_live", "1 while /livez is green.")
        live.add_metric([], not self._health.live())
        ready = GaugeMetricFamily("streamrec_ready", "1 while /readyz is green.")
        ready.add_metric([], not self._health.ready())
        degraded = GaugeMetricFamily("streamrec_degraded", "1 while an encoder runs on the CPU because its GPU failed.")
        degraded.add_metric([], bool(self._health.degraded()))
        silence = GaugeMetricFamily("streamrec_silence_seconds", "How long kafka or redis has been silent.", labels=["dependency"])
        for one in self._dependencies:
            silence.add_metric([one.name], one.silence_s)
        state = GaugeMetricFamily("streamrec_state", "The numbers of a role's heartbeat.", labels=["role", "name"])
        for role in self._roles:
            for name, number in role.status().items():
                state.add_metric([role.name, name], number)
        yield from (live, ready, degraded, silence, state)


def _lags(pipelines: Sequence[Pipeline]) -> Iterator[Metric]:
    labels, now_s = ["reader", "topic", "partition"], time.monotonic()
    records = GaugeMetricFamily("streamrec_lag_records", "Records that are not handled yet.", labels=labels)
    seconds = GaugeMetricFamily("streamrec_lag_seconds", "How long the oldest unhandled record is known to wait.", labels=labels)
    for pipeline in pipelines:
        backlog, name = pipeline.reader.backlog, pipeline.runner.name
        for (topic, partition), behind in backlog.records.items():
            records.add_metric([name, topic, str(partition)], behind)
        for (topic, partition), age_s in backlog.ages_s(now_s).items():
            seconds.add_metric([name, topic, str(partition)], age_s)
    yield from (records, seconds)


def _readers(pipelines: Sequence[Pipeline]) -> Iterator[Metric]:
    now_s = time.monotonic()
    flying = GaugeMetricFamily("streamrec_in_flight_batches", "Batches handed over and not done.", labels=["reader"])
    paused = GaugeMetricFamily("streamrec_paused", "1 while reading is held back until batches are done.", labels=["reader"])
    joined = GaugeMetricFamily("streamrec_reader_ready", "1 once the group is joined or the replica caught up.", labels=["reader"])
    waits = GaugeMetricFamily("streamrec_waiting", "1 while a batch waits for Redis or Kafka to come back.", labels=["reader"])
    polled = GaugeMetricFamily("streamrec_poll_age_seconds", "Since the last poll; grows when a reader hangs.", labels=["reader"])
    for pipeline in pipelines:
        reader, name = pipeline.reader, pipeline.runner.name
        flying.add_metric([name], reader.in_flight)
        paused.add_metric([name], reader.paused)
        joined.add_metric([name], reader.ready.is_set())
        waits.add_metric([name], bool(pipeline.runner.waits_for))
        polled.add_metric([name], max(now_s - reader.polled_at, 0.0))
    yield from (flying, paused, joined, waits, polled)
