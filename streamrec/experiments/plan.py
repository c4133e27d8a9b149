"""What an experiment's report is about: which variants, and which events of which time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from streamrec.config import ExperimentSettings
from streamrec.events import Click, Event, Impressions, Order
from streamrec.experiments.split import Split


@dataclass(frozen=True, slots=True)
class Plan:
    """One experiment in the time from ``since_ms`` until before ``until_ms``, event time in ms since the epoch."""

    name: str
    #: What lists and events call the variants, the control first.
    labels: tuple[str, ...]
    split: Split
    since_ms: int
    until_ms: int
    #: A click counts for an impression of its item, and an order for any impression, that is at most so much older.
    window_ms: int = 1_800_000
    #: Only impressions of this placement; empty: all.
    placement: str = ""

    @classmethod
    def of(cls, experiment: ExperimentSettings, since_ms: int, until_ms: int, *, window_ms: int, placement: str = "") -> Self:
        """Return the plan of the configured experiment, of which there must be one."""
        split = Split.of(experiment)
        return cls(experiment.name, experiment.labels, split, since_ms, until_ms, window_ms, placement)

    def counts(self, event: Event) -> bool:
        """Tell whether an event says anything about the experiment; clicks and orders may follow the last impressions."""
        if isinstance(event, Impressions):
            return self.since_ms <= event.ts < self.until_ms and self.placement in {"", event.placement}
        return isinstance(event, Click | Order) and self.since_ms <= event.ts < self.until_ms + self.window_ms
