"""What was learnt of the weights of a score's parts: one value per placement, moved by all recommenders, bounded where it is kept.

The key ``streamrec:weights:<placement>:<settings>`` holds JSON, ``{"v":1,"ts":ms,"window":n,"logs":{part: x},"since":{part: x}}``:
a part's weight is the configured one times e to the power of its ``logs``. All times are event time. Redis bounds every move as
it is made, so that the bound holds for all recommenders together: within a window no logarithm gets farther than ``drift`` from
where it was at the window's beginning (``since``), and never beyond that of ``most``. With time both fade back to 0, which is
what is configured.

Moves add up in any order, so no recommender has to lead and no log has to be read at a start; a topic would give nothing but an
order. A move may be lost with a worker, or repeated when Redis gave no answer: it is one of very many small ones, and bounded
either way.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Protocol, Self

import msgspec
import redis
from msgspec import Meta

from streamrec.config import LearningSettings
from streamrec.lists import functions, keys
from streamrec.lists.functions import Command, fcall, run

VERSION: Final = 1
#: Placements and settings together whose weights a memory holds at most.
_MOST: Final = 1000


class PartWeights(msgspec.Struct, frozen=True, kw_only=True):
    """What is learnt, as of the newest event that moved it."""

    v: Annotated[int, Meta(ge=VERSION, le=VERSION)] = VERSION
    #: ms since the epoch.
    ts: int
    #: The number of the window that ``ts`` lies in.
    window: int
    logs: dict[str, float] = {}
    #: ``logs`` at the window's beginning.
    since: dict[str, float] = {}


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far weights may move, see ``LearningSettings``; ms and natural logarithms."""

    drift: float
    drift_ms: int
    most: float
    half_life_ms: float

    @classmethod
    def of(cls, settings: LearningSettings) -> Self:
        """Return those that are configured."""
        drift_ms = max(int(settings.drift_s * 1000), 1)
        return cls(settings.drift, drift_ms, math.log(settings.most), settings.half_life_s * 1000)


@dataclass(frozen=True, slots=True)
class Moves:
    """By how much logarithms are to move, by part, and when the newest click was that says so, ms since the epoch."""

    ts: int
    logs: Mapping[str, float]


def moved(known: PartWeights | None, moves: Moves, bounds: Bounds) -> PartWeights:
    """Return what is known after the moves; functions.lua does the same.

    >>> once = moved(None, Moves(0, {"trending": -0.3}), Bounds(0.1, 3_600_000, 1.1, 1e9))
    >>> once.logs, moved(once, Moves(3_600_000, {"trending": -0.05}), Bounds(0.1, 3_600_000, 1.1, 3_600_000)).logs
    ({'trending': -0.1}, {'trending': -0.1})
    """
    known = known or PartWeights(ts=moves.ts, window=moves.ts // bounds.drift_ms)
    ts = max(known.ts, moves.ts)
    fade = 2.0 ** (-(ts - known.ts) / bounds.half_life_ms)
    logs = {part: log * fade for part, log in known.logs.items()}
    window = ts // bounds.drift_ms
    since = {part: log * fade for part, log in known.since.items()} if window == known.window else dict(logs)
    for part, move in moves.logs.items():
        base = since.get(part, 0.0)
        log = min(max(logs.get(part, 0.0) + move, base - bounds.drift), base + bounds.drift)
        logs[part] = min(max(log, -bounds.most), bounds.most)
    return PartWeights(ts=ts, window=window, logs=logs, since=since)


class WeightStore(Protocol):
    """Where recommenders share what they learn. Raises StoreUnavailable when the work may be tried again."""

    def share(self, known: Mapping[str, PartWeights | None], moves: Mapping[str, Moves]) -> dict[str, PartWeights]:
        """Make the moves and return what then stands, if anything does, of all names of ``known``.

        ``known`` is what the caller saw last, None where it saw nothing: what the store lost goes on from there. ``moves`` are of
        these names alone.
        """
        ...


class MemoryWeightStore:
    """Weights of recommenders in one process."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self.weights: dict[str, PartWeights] = {}

    def share(self, known: Mapping[str, PartWeights | None], moves: Mapping[str, Moves]) -> dict[str, PartWeights]:
        """Make the moves and return what then stands."""
        for name, seen in known.items():
            stands = self.weights.get(name, seen)
            if name in moves:
                stands = moved(stands, moves[name], self._bounds)
            if stands is not None:
                self.weights[name] = stands
        while len(self.weights) > _MOST:
            del self.weights[next(iter(self.weights))]
        return {name: self.weights[name] for name in known if name in self.weights}


class RedisWeightStore:
    """Weights in Redis, one string each, which lives on for a year after the last move; one round trip for all."""

    def __init__(self, client: redis.Redis, bounds: Bounds) -> None:
        self._client = client
        self._bounds = bounds

    def share(self, known: Mapping[str, PartWeights | None], moves: Mapping[str, Moves]) -> dict[str, PartWeights]:
        """Make the moves and return what then stands; a value that cannot be read is written anew by the next move."""
        commands = [self._command(name, seen, moves.get(name)) for name, seen in known.items()]
        answers = run(self._client, commands, "sharing what was learnt")
        return {name: msgspec.json.decode(answer, type=PartWeights) for name, answer in zip(known, answers, strict=True) if answer}

    def _command(self, name: str, seen: PartWeights | None, move: Moves | None) -> Command:
        bounds = self._bounds
        return fcall(
            functions.LEARN,
            [keys.weights(name)],
            keys.WEIGHTS_TTL_S,
            msgspec.json.encode(seen) if seen else b"",
            *map(repr, (bounds.drift, bounds.drift_ms, bounds.most, bounds.half_life_ms)),
            move.ts if move else 0,
            *(word for part, log in (move.logs if move else {}).items() for word in (part, repr(log))),
        )
