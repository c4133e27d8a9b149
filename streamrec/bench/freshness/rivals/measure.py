"""The same measures for every design: reads alone and while items flip, one item hidden, and the item of many lists hidden."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Final

import numpy as np
import redis

from streamrec.bench.freshness.rivals.apart import Flipper
from streamrec.bench.freshness.rivals.design import Design, Read
from streamrec.bench.freshness.rivals.world import HOT, World, item_id
from streamrec.errors import LocalStackError

PROBES: Final = 200
_WARM: Final = 100
_LONGEST_S: Final = 10.0


@dataclass(frozen=True)
class Load:
    """Reads per measure, the rate of flips that is offered, and how many items are hidden one by one.

    As many visitors whose lists hold the hot item are asked for it.
    """

    reads: int
    flips_per_s: float
    probes: int = PROBES


class Bench:
    """One reader that waits for each answer before it asks again."""

    def __init__(self, design: Design, client: redis.Redis, url: str, world: World, load: Load) -> None:
        self._design = design
        self._client = client
        self._url = url
        self._world = world
        self._rng = np.random.default_rng(world.seed)
        self._load = load
        self._reads = self._reads_of(world.users, load.reads)

    def figures(self) -> dict[str, Any]:
        """Return all measures; every item is in stock before and after. Raises LocalStackError."""
        with Flipper(self._design, self._url) as flipper:
            return {
                "read": self._alone(),
                "soldout": self._soldouts(),
                "hot": self._hot(flipper),
                "read_during_flips": self._during_flips(flipper),
            }

    def _reads_of(self, users: int, n: int) -> list[Read]:
        """Return the reads of ``n`` random ones of the first ``users`` visitors."""
        return self._design.reads(self._client, self._world, self._rng.integers(0, users, n).tolist())

    def _alone(self) -> dict[str, float]:
        for read in self._reads[:_WARM]:
            read()
        return summary([timed(read) for read in self._reads])

    def _during_flips(self, flipper: Flipper) -> dict[str, float]:
        with flipper.flipping(self._world.items, self._load.flips_per_s, self._world.seed) as flips:
            took = [timed(read) for read in self._reads]
        return summary(took) | {"flips_per_s": flips.per_s}

    def _soldouts(self) -> dict[str, float]:
        """Hide the first item that a visitor is shown, and read until it is gone; from before the flip to after the read.

        Not the hot one: its turn comes, and no other stands in so many lists.
        """
        took = [self._soldout(read) for read in self._reads_of(self._world.users, self._load.probes)]
        return summary(took) | {"samples": len(took)}

    def _soldout(self, read: Read) -> float:
        shown = next(name for name in read() if name != item_id(HOT))
        row, begun = int(shown.removeprefix("i-")), time.perf_counter()
        self._design.flip(self._client, row, available=False)
        while shown in read():
            if time.perf_counter() - begun > _LONGEST_S:
                msg = f"{self._design.name}: {shown} is shown {_LONGEST_S:g} s after it was hidden; mend the design first"
                raise LocalStackError(msg)
        took = time.perf_counter() - begun
        self._design.flip(self._client, row, available=True)
        return took

    def _hot(self, flipper: Flipper) -> dict[str, Any]:
        """Hide the item of the flash sale and show it again; ``still_shown`` and ``not_back`` count visitors asked afterwards."""
        asked, took = self._reads_of(self._world.holders, self._load.probes), list[float]()
        reads = cycle(self._reads)
        meanwhile: Callable[[], None] = lambda: took.append(timed(next(reads)))  # noqa: E731
        before = _showing(asked)
        gone = flipper.flip(HOT, meanwhile, available=False)
        still = _showing(asked)
        back = flipper.flip(HOT, meanwhile, available=True)
        times = {"holders": self._world.holders, "gone_ms": gone * 1e3, "back_ms": back * 1e3}
        counts = {"asked": before, "still_shown": still, "not_back": before - _showing(asked), "reads": len(took)}
        return times | counts | {f"read_{name}": figure for name, figure in summary(took).items()}


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that a call took."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def summary(took: Sequence[float]) -> dict[str, float]:
    """Return p50 and p99 in ms and the rate of one client, of seconds per call."""
    p50, p99 = np.percentile(took, [50, 99]) * 1e3
    return {"p50_ms": float(p50), "p99_ms": float(p99), "per_s": len(took) / sum(took)}


def _showing(asked: Sequence[Read]) -> int:
    return sum(item_id(HOT) in read() for read in asked)
