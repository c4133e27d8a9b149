"""When what goes wrong: drawn by a seed, so that a run can be repeated."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final, NamedTuple

from streamrec.chaos.faults import FAULTS

#: Time between the beginnings of two faults, on average; most last longer, so they overlap.
_MEAN_GAP_S: Final = 5.0
#: A target rests so long between two faults of its own: what it does when it recovers is to be seen too.
_REST_S: Final = 4.0


class Planned(NamedTuple):
    """One fault to come, seconds after the start."""

    at_s: float
    ends_s: float
    name: str
    target: str


def schedule(seed: int, seconds: float, names: Sequence[str]) -> list[Planned]:
    """Return the faults of a run in the order of their beginnings: different targets at the same time, all over by ``seconds``."""
    rng = Random(f"faults {seed}")
    free_at: dict[str, float] = {}
    planned: list[Planned] = []
    at = 1.0 + rng.random()
    weights = [FAULTS[name].weight for name in names]
    while at < seconds:
        fault = FAULTS[rng.choices(names, weights)[0]]
        target = rng.choice(fault.targets)
        ends = at + rng.uniform(*fault.lasts_s)
        if ends <= seconds and free_at.get(target, 0.0) <= at:
            planned.append(Planned(round(at, 2), round(ends, 2), fault.name, target))
            free_at[target] = ends + _REST_S
        at += rng.expovariate(1 / _MEAN_GAP_S)
    return planned
