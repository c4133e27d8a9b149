"""What a demo may be asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from streamrec.demo.actions import Rates
from streamrec.demo.probes import PATIENCE_S


@dataclass(frozen=True)
class DemoOptions:
    """Everything that `streamrec demo` takes; the defaults are what a 2-core machine holds."""

    #: Length of the measured time.
    seconds: float = 60.0
    #: A folder or file that ``open_data`` knows; None: The Complete Journey from its package.
    data: Path | None = None
    #: Where to write the JSON report; None: nowhere.
    report: Path | None = None
    #: Events per second of the replay, at most: it slows down where clicks take longer than 400 ms to reach their lists.
    rate: float = 150.0
    #: Guarded reads per second of the storefront.
    read_rate: float = 450.0
    #: Load only so many items of the catalogue; None: all.
    items: int | None = None
    seed: int = 7
    #: Whether to draw the live view; None: only on a terminal.
    view: bool | None = None
    #: embedded: a broker and Redis of our own; apache: the same with a real Apache Kafka; configured: those of the settings.
    broker: Literal["embedded", "apache", "configured"] = "embedded"
    #: Which roles share a process, one process each.
    workers: tuple[tuple[str, ...], ...] = (("availability",), ("embedder",), ("recommender",), ("aggregator",))
    #: How long visitors come in before anything is measured, so that there are lists to act on.
    warm_up_s: float = 20.0
    #: How long loading may take until the demo gives up.
    load_timeout_s: float = 420.0
    #: An effect that is not seen for so long is counted as unresolved, and its latency as so long.
    patience_s: float = PATIENCE_S
    rates: Rates = field(default_factory=Rates)
    #: Where broker, Redis and workers write their logs; None: a folder that is removed at the end.
    log_dir: Path | None = None
    #: Added to the workers' environment.
    environment: dict[str, str] = field(default_factory=dict)
