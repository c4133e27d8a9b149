"""The same measures for every design: reads alone and while items flip, one item hidden, and the item of many lists hidden."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import redis

from streamrec.bench.freshness.rivals.apart import flip_apart, flipping
from streamrec.bench.freshness.rivals.design import Design
from streamrec.bench.freshness.rivals.world import HOT, World, item_id

_SOLDOUTS: Final = 200
#: Of the visitors whose lists hold the hot item, so many are asked afterwards.
_ASKED: Final = 200
_LONGEST_S: Final = 10.0


class Bench:
    """One reader that waits for each answer before it asks again."""

    def __init__(self, design: Design, client: redis.Redis, url: str, world: World, reads: int) -> None:
        self._design = design
        self._client = client
        self._url = url
        self._world = world
        self._rng = np.random.default_rng(world.seed)
        self._who = self._rng.integers(0, world.users, reads).tolist()

    def figures(self, flips_per_s: float) -> dict[str, Any]:
        """Return all measures; every item is in stock before and after."""
        return {
            "read": self._alone(),
            "soldout": self._soldouts(),
            "hot": self._hot(),
            "read_during_flips": self._during_flips(flips_per_s),
        }

    def _read(self, user: int) -> list[str]:
        return self._design.read(self._client, self._world, user)

    def _alone(self) -> dict[str, float]:
        for user in self._who[:100]:
            self._read(user)
        return summary([timed(lambda user=user: self._read(user)) for user in self._who])  # type: ignore[misc]

    def _during_flips(self, flips_per_s: float) -> dict[str, float]:
        with flipping(self._design, self._url, self._world.items, flips_per_s, self._world.seed) as flips:
            took = [timed(lambda user=user: self._read(user)) for user in self._who]  # type: ignore[misc]
        return summary(took) | {"flips_per_s": flips.per_s}

    def _soldouts(self) -> dict[str, float]:
        """Hide what a visitor is shown first, and read until it is gone; in ms from before the flip to after the read."""
        took = (
            [self._soldout(user) for user in self._rng.integers(self._world.holders, self._world.users, _SOLDOUTS).tolist()]
            if (self._world.holders < self._world.users)
            else [self._soldout(user) for user in self._who[:_SOLDOUTS]]
        )
        return summary(took) | {"samples": len(took)}

    def _soldout(self, user: int) -> float:
        shown = self._read(user)[0]
        row, begun = int(shown.removeprefix("i-")), time.perf_counter()
        self._design.flip(self._client, row, available=False)
        while shown in self._read(user) and time.perf_counter() - begun < _LONGEST_S:
            pass
        took = time.perf_counter() - begun
        self._design.flip(self._client, row, available=True)
        return took

    def _hot(self) -> dict[str, Any]:
        """Hide the item of the flash sale and show it again; ``still_shown`` and ``not_back`` count visitors asked afterwards."""
        asked = self._rng.integers(0, self._world.holders, _ASKED).tolist()
        before = self._showing(asked)
        took: list[float] = []
        gone = self._flip_hot(took, available=False)
        still = self._showing(asked)
        back = self._flip_hot(took, available=True)
        counts = {"asked": before, "still_shown": still, "not_back": before - self._showing(asked)}
        meanwhile = summary(took)
        return {
            "holders": self._world.holders,
            "gone_ms": gone * 1e3,
            "back_ms": back * 1e3,
            **counts,
            "read_p50_ms": meanwhile["p50_ms"],
            "read_p99_ms": meanwhile["p99_ms"],
        }

    def _flip_hot(self, took: list[float], *, available: bool) -> float:
        who = iter(np.random.default_rng(HOT).integers(0, self._world.users, 10_000_000))
        read: Callable[[], list[str]] = lambda: self._read(int(next(who)))  # noqa: E731
        return flip_apart(self._design, self._url, HOT, lambda: took.append(timed(read)), available=available)

    def _showing(self, asked: Sequence[int]) -> int:
        return sum(item_id(HOT) in self._read(user) for user in asked)


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that a call took."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def summary(took: Sequence[float]) -> dict[str, float]:
    """Return p50 and p99 in ms and the rate of one client, of seconds per call."""
    p50, p99 = np.percentile(took, [50, 99]) * 1e3
    return {"p50_ms": float(p50), "p99_ms": float(p99), "per_s": len(took) / sum(took)}
