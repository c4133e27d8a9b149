"""How far each reader is behind, as a metric."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client import Metric

    from workers.parts import Role


class LagMetrics(Collector):
    """``streamrec_lag_records{reader,topic,partition}``: records between a reader's position and the end, by its last fetch."""

    def __init__(self, roles: Sequence[Role]) -> None:
        self._roles = roles

    def collect(self) -> Iterator[Metric]:
        """Yield the gauge."""
        gauge = GaugeMetricFamily(
            "streamrec_lag_records", "Records that are not read yet.", labels=["reader", "topic", "partition"]
        )
        for pipeline in (pipeline for role in self._roles for pipeline in role.pipelines):
            for (topic, partition), behind in pipeline.reader.lag.items():
                gauge.add_metric([pipeline.runner.name, topic, str(partition)], behind)
        yield gauge
