"""How well vectors bring goods of one kind together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streamrec.evaluate.intervals import bootstrap_means, interval

#: Neighbours that are looked at.
K: Final = 10
_DRAWS: Final = 500
_ROWS: Final = 1000

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Found:
    """Per good or query that has something to find: how many of its ten nearest are of its kind, and how many can be."""

    hits: NDArray[np.int64]
    possible: NDArray[np.int64]
    kinds: NDArray[np.int64]

    @property
    def precision(self) -> NDArray[np.float64]:
        """Share of the ten that is of the kind."""
        return self.hits / K

    @property
    def recall(self) -> NDArray[np.float64]:
        """Share of those that ten can hold."""
        return self.hits / np.minimum(self.possible, K)

    def figures(self, seed: int, against: Found | None = None) -> dict[str, Any]:
        """Return means with 95 % intervals of goods drawn again, and the lead over ``against``, paired."""
        told: dict[str, Any] = {"queries": len(self.hits)}
        for name, values in (("precision@10", self.precision), ("recall@10", self.recall)):
            told[name] = round(float(values.mean()), 4)
            told[f"{name}_95"] = _interval(values, seed)
        per_kind = [self.recall[self.kinds == kind].mean() for kind in np.unique(self.kinds)]
        told["recall@10_per_kind"] = round(float(np.mean(per_kind)), 4)
        if against is not None:
            told["lead_recall@10_95"] = _interval(self.recall - against.recall, seed)
        return told


def among(vectors: Floats, kinds: NDArray[np.int64]) -> Found:
    """Ask each good for its nearest among the others."""
    possible = np.bincount(kinds)[kinds] - 1
    asked = np.flatnonzero(possible > 0)
    hits = np.zeros(len(asked), np.int64)
    for start in range(0, len(asked), _ROWS):
        rows = asked[start : start + _ROWS]
        scores = vectors[rows] @ vectors.T
        scores[np.arange(len(rows)), rows] = -np.inf
        hits[start : start + len(rows)] = _hits(scores, kinds, kinds[rows])
    return Found(hits, possible[asked].astype(np.int64), kinds[asked])


def asked_by(queries: Floats, wanted: NDArray[np.int64], vectors: Floats, kinds: NDArray[np.int64]) -> Found:
    """Ask by text for each kind that there is something of."""
    possible = np.bincount(kinds, minlength=int(wanted.max()) + 1)[wanted]
    some = possible > 0
    hits = _hits(queries[some] @ vectors.T, kinds, wanted[some])
    return Found(hits, possible[some].astype(np.int64), wanted[some])


def _hits(scores: Floats, kinds: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    k = min(K, scores.shape[1])
    nearest = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    others = np.isfinite(np.take_along_axis(scores, nearest, axis=1))  # a good is none of its own neighbours
    hits: NDArray[np.int64] = ((kinds[nearest] == wanted[:, None]) & others).sum(axis=1)
    return hits


def _interval(values: NDArray[np.float64], seed: int) -> list[float]:
    each = np.arange(len(values), dtype=np.int64)
    return interval(bootstrap_means(values[:, None], each, draws=_DRAWS, seed=seed)[:, 0])
