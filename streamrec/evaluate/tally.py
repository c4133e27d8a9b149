"""What came of every list that was asked for, and the figures that follow from it."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streamrec.evaluate import metrics
from streamrec.evaluate.intervals import bootstrap_means, interval
from streamrec.evaluate.streams import Stream
from streamrec.evaluate.texts import StreamTexts

#: Lists are judged by their first 10 and 20 places.
DEPTHS: Final = (10, 20)
LONGEST: Final = max(DEPTHS)
#: An item that was met less often so far is cold.
COLD_BELOW: Final = 5
#: A session that holds so many interactions already is long.
LONG_FROM: Final = 5
#: One group of asked lists each; see ``Asked``. The first is no part of the totals: nothing is known of the visitor then.
SEGMENTS: Final = ("first_interaction", "new_visitor", "returning_visitor", "new_item", "long_session")
#: The measures that intervals, leads and segments are of.
_MAIN: Final = tuple(f"{measure}@{LONGEST}" for measure in ("hr", "mrr", "ndcg"))
#: What is measured of a list besides the place of its target.
_OF_LIST: Final = (*(f"recall@{k}" for k in DEPTHS), "longtail_share", "novelty", "diversity", "cold_lists")
_COLUMNS: Final = (*(f"{measure}@{k}" for measure in ("hr", "mrr", "ndcg") for k in DEPTHS), *_OF_LIST)


@dataclass(frozen=True, slots=True)
class Asked:
    """A moment at which lists were asked for, and the one item that the visitor then turned to."""

    visitor: int
    target: str
    #: The target and what the session still turns to afterwards.
    remaining: Set[str]
    segments: Set[str]


@dataclass
class Outcomes:
    """One method's lists under one protocol: columns, one line for each moment."""

    ranks: array[int] = field(default_factory=lambda: array("q"))
    #: ``_OF_LIST``, for each line.
    measures: array[float] = field(default_factory=lambda: array("d"))
    listed: Counter[str] = field(default_factory=Counter)
    seconds: array[float] = field(default_factory=lambda: array("d"))
    staleness_ms: float = 0.0


class Tally:
    """Collects outcomes of several methods at the same moments under one protocol."""

    def __init__(self, stream: Stream, texts: StreamTexts | None, methods: Sequence[str]) -> None:
        self._stream = stream
        self._vectors: dict[str, NDArray[np.float32]] = {}
        self._has_text = texts is not None
        self._outcomes = {name: Outcomes() for name in methods}
        self._visitors = array("q")
        self._tail_targets = array("b")
        self._segments: dict[str, array[int]] = {name: array("b") for name in SEGMENTS}

    def __len__(self) -> int:
        return len(self._visitors)

    def describe(self, item_id: str, vector: NDArray[np.float32]) -> None:
        """Note the vector of an item's text, for diversity."""
        self._vectors[item_id] = vector

    def ask(self, asked: Asked) -> None:
        """Note a moment; ``put`` of every method follows."""
        self._visitors.append(asked.visitor)
        self._tail_targets.append(asked.target not in self._stream.head)
        for name, column in self._segments.items():
            column.append(name in asked.segments)

    def put(
        self, name: str, asked: Asked, listed: Sequence[str], met: Mapping[str, int], total: int, *, seconds: float, stale_ms: float
    ) -> None:
        """Note a method's list at the moment noted last; ``met`` and ``total`` count interactions so far."""
        outcomes = self._outcomes[name]
        outcomes.ranks.append(metrics.rank_of(asked.target, listed))
        outcomes.measures.extend(metrics.recall(listed, asked.remaining, k) for k in DEPTHS)
        outcomes.measures.append(1.0 - metrics.share_in(listed, self._stream.head) if listed else 0.0)
        outcomes.measures.append(metrics.novelty(listed, met, total))
        outcomes.measures.append(self._diversity(listed))
        outcomes.measures.append(float(any(met.get(item_id, 0) < COLD_BELOW for item_id in listed)))
        outcomes.listed.update(listed)
        outcomes.seconds.append(seconds)
        outcomes.staleness_ms += stale_ms

    def _diversity(self, listed: Sequence[str]) -> float:
        vectors = [vector for item_id in listed if (vector := self._vectors.get(item_id)) is not None]
        return metrics.intra_list_diversity(np.stack(vectors)) if vectors else 0.0

    # -- figures -----------------------------------------------------------------------------------------------------

    def figures(self, name: str, *, seed: int = 7, draws: int = 500) -> dict[str, Any]:
        """Return a method's figures over all next interactions, with intervals and segments; {} where there was none."""
        values, counted = self._values(name), self._counted()
        if not counted.any():
            return {}
        means = self._named(values[counted].mean(axis=0))
        outcomes = self._outcomes[name]
        asked = len(self)
        drawn = bootstrap_means(values[counted], np.array(self._visitors)[counted], seed=seed, draws=draws)
        tail = counted & np.array(self._tail_targets, bool)
        return {
            **means,
            "coverage": round(len(outcomes.listed.keys() & self._stream.interactions.keys()) / len(self._stream.interactions), 5),
            "longtail_recall": self._mean(values, tail, f"hr@{LONGEST}"),
            # Of wall-clock times the median: a mean tells more of what else the machine did.
            "ms": round(1e3 * float(np.median(outcomes.seconds)), 4),
            "ms_p99": round(1e3 * float(np.percentile(outcomes.seconds, 99)), 4),
            "freshness_s": round(outcomes.staleness_ms / 1e3 / asked, 1),
            "interval95": {key: interval(drawn[:, _COLUMNS.index(key)]) for key in _MAIN},
            "segments": {segment: self._segment(values, segment) for segment in SEGMENTS if any(self._segments[segment])},
        }

    def lead(self, name: str, other: str, *, seed: int = 7, draws: int = 500) -> dict[str, list[float]]:
        """Return the 95 % intervals of how far the means of one method lie above another's, over the same visitors."""
        counted = self._counted()
        if not counted.any():
            return {}
        difference = (self._values(name) - self._values(other))[counted]
        drawn = bootstrap_means(difference, np.array(self._visitors)[counted], seed=seed, draws=draws)
        return {key: interval(drawn[:, _COLUMNS.index(key)]) for key in _MAIN}

    def _values(self, name: str) -> NDArray[np.float64]:
        outcomes = self._outcomes[name]
        ranks = np.array(outcomes.ranks, np.int64)
        placed = [measure(ranks, k) for measure in (metrics.hit_rate, metrics.reciprocal_rank, metrics.ndcg) for k in DEPTHS]
        measures = np.array(outcomes.measures).reshape(len(ranks), len(_OF_LIST))
        return np.concatenate([np.array(placed).T.reshape(len(ranks), -1), measures], axis=1)

    def _counted(self) -> NDArray[np.bool_]:
        """Return which moments are next interactions: those at which the visitor had done something before."""
        return ~np.array(self._segments["first_interaction"], bool)

    def _named(self, means: NDArray[np.float64]) -> dict[str, float | None]:
        named: dict[str, float | None] = {key: round(float(mean), 5) for key, mean in zip(_COLUMNS, means, strict=True)}
        if not self._has_text:
            named["diversity"] = None
        return named

    def _mean(self, values: NDArray[np.float64], chosen: NDArray[np.bool_], key: str) -> float:
        return round(float(values[chosen, _COLUMNS.index(key)].mean()), 5) if chosen.any() else 0.0

    def _segment(self, values: NDArray[np.float64], segment: str) -> dict[str, float]:
        chosen = np.array(self._segments[segment], bool)
        if segment != SEGMENTS[0]:
            chosen &= self._counted()
        return {"interactions": int(chosen.sum())} | {key: self._mean(values, chosen, key) for key in _MAIN}
