"""What the bench may be asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from streamrec.bench.catalogue import Title
from streamrec.demo.probes import PATIENCE_S
from streamrec.errors import ConfigError

#: More histories than that are not ranked unless asked for: each costs a millisecond or two.
_MAX_HISTORIES: Final = 50_000
#: Fewer make no shop: a list alone has 50 items.
_FEWEST: Final = 100


@dataclass(frozen=True)
class FreshnessOptions:
    """Sizes, rates and limits; rates are per second. Raises ConfigError for what cannot be."""

    items: int = 1_000_000
    users: int = 1_000_000
    #: Distinct histories of clicks, each ranked once; visitors share them. None: as many as visitors, at most 50,000.
    histories: int | None = None
    seconds: float = 120.0
    #: The load goes on until so many answers were judged, however long that takes.
    reads: int = 0
    readers: int = 1
    #: Guarded reads per second of each reader, at most.
    read_rate: float = 4000.0
    clicks: float = 20.0
    #: Stock facts per second; they come in bursts, all facts of ``burst_s`` seconds at once.
    stock_rate: float = 2000.0
    burst_s: float = 0.25
    #: Flash sales per second: each sells out an item that stands in very many lists, and brings it back some seconds later. Among
    #: a million lists one every twenty seconds edits some 10,000 of them a second.
    flash_sales: float = 0.05
    prices: float = 20.0
    changes: float = 2.0
    new_items: float = 0.5
    campaigns: float = 0.2
    #: An effect that is not seen for so long is counted as unresolved, and its latency as so long.
    patience_s: float = PATIENCE_S
    #: How long one step of the building may take until the bench gives up.
    load_timeout_s: float = 3600.0
    broker: Literal["embedded", "apache"] = "embedded"
    #: Where the real titles are; see ``bench_catalogue``.
    data: Path | None = None
    #: Instead of those, for a shop whose titles are at hand.
    titles: tuple[Title, ...] | None = None
    #: Restart the recommender once its lists stand, and measure how long it takes to be back.
    restart: bool = True
    #: Measure other ways to the same answer beside ours.
    rivals: bool = False
    seed: int = 7
    #: Where broker, Redis and workers write their logs; None: a folder that is removed at the end.
    log_dir: Path | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be measured."""
        problems = [
            *(f"{name} is {n:,}; give at least {_FEWEST}" for name, n in self._sizes() if n < _FEWEST),
            *(f"{name} is {rate:g}; give a number above 0" for name, rate in self._positive() if rate <= 0),
            *(f"{name} is {rate:g}; give 0 or more" for name, rate in self._rates() if rate < 0),
        ]
        if self.histories is not None and not 1 <= self.histories <= self.users:
            problems.append(f"histories is {self.histories:,}; give 1 to {self.users:,}, the number of visitors")
        if self.burst_s * self.stock_rate > self.items:
            problems.append(
                f"a burst has {self.burst_s * self.stock_rate:,.0f} stock facts; "
                f"give a stock rate below {self.items / self.burst_s:,.0f}"
            )
        if problems:
            raise ConfigError("; ".join(problems))

    def _sizes(self) -> tuple[tuple[str, int], ...]:
        return ("items", self.items), ("users", self.users)

    def _positive(self) -> tuple[tuple[str, float], ...]:
        return (
            ("seconds", self.seconds),
            ("readers", self.readers),
            ("read rate", self.read_rate),
            ("burst", self.burst_s),
            ("patience", self.patience_s),
        )

    def _rates(self) -> tuple[tuple[str, float], ...]:
        return (
            ("clicks", self.clicks),
            ("stock rate", self.stock_rate),
            ("flash sales", self.flash_sales),
            ("prices", self.prices),
            ("changes", self.changes),
            ("new items", self.new_items),
            ("campaigns", self.campaigns),
            ("reads", self.reads),
        )

    @property
    def distinct(self) -> int:
        """How many histories are ranked."""
        return self.histories or min(self.users, _MAX_HISTORIES)
