"""What every engine holds, is told and is asked: the same items, changes and queries for all, and the exact answers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Labels = NDArray[np.int32]
#: Rows widened to float32 at once for an exact answer: 64 MB with 512 dimensions.
_CHUNK: Final = 32_768
#: Two scores of the same pair of float16 vectors, summed in another order, differ by less.
_TIE: Final = 1e-5


@dataclass(frozen=True)
class State:
    """Which row of the vectors each label has now, (items,) int64, and which labels are sold out, (items,) bool."""

    rows: NDArray[np.int64]
    hidden: NDArray[np.bool_]


@dataclass(frozen=True)
class Changes:
    """One cycle: labels and the rows of their new vectors; labels that sell out, and labels that return."""

    labels: Labels
    rows: NDArray[np.int64]
    sold_out: Labels
    returned: Labels


@dataclass(frozen=True)
class World:
    """``items`` labels over the vectors in ``path``, (``needed`` or more, dim) float16.

    The file is memory-mapped, so it costs an engine nothing. In each of the ``cycles`` a tenth of the labels changes to vectors
    that no label had before. In the first a tenth sells out; in each later one half as many do, and as many return. Queries are the
    vectors of further items, which are never in an index.
    """

    path: Path
    items: int
    cycles: int
    queries: int
    k: int = 10
    seed: int = 7
    share: float = 0.1

    @property
    def per_cycle(self) -> int:
        """Labels that change in a cycle."""
        return max(1, int(self.items * self.share))

    @property
    def needed(self) -> int:
        """Vectors that the file must hold."""
        return self.items + self.cycles * self.per_cycle + self.queries

    @cached_property
    def vectors(self) -> NDArray[np.float16]:
        """All vectors, memory-mapped."""
        mapped: NDArray[np.float16] = np.load(self.path, mmap_mode="r")
        return mapped

    @cached_property
    def asked(self) -> Floats:
        """The queries, (queries, dim) float32."""
        return self.wide(np.arange(self.needed - self.queries, self.needed))

    def wide(self, rows: NDArray[Any]) -> Floats:
        """Return vectors by row as float32."""
        wide: Floats = self.vectors[rows].astype(np.float32)
        return wide

    def changes(self, cycle: int, before: State) -> Changes:
        """Return what happens in a cycle, the first is 0; the same for the same state."""
        rng = np.random.default_rng([self.seed, cycle])
        labels = rng.choice(self.items, self.per_cycle, replace=False).astype(np.int32)
        rows = self.items + cycle * self.per_cycle + np.arange(self.per_cycle)
        hidden, shown = np.flatnonzero(before.hidden), np.flatnonzero(~before.hidden)
        count = self.per_cycle if cycle == 0 else max(1, self.per_cycle // 2)
        sold_out = rng.choice(shown, min(count, len(shown)), replace=False).astype(np.int32)
        returned = rng.choice(hidden, min(count, len(hidden)), replace=False).astype(np.int32)
        return Changes(labels, rows, sold_out, returned)

    def state(self, cycles: int) -> State:
        """Return what holds after so many cycles."""
        state = State(np.arange(self.items, dtype=np.int64), np.zeros(self.items, np.bool_))
        for cycle in range(cycles):
            state = applied(state, self.changes(cycle, state))
        return state

    def exact(self, state: State, mask: NDArray[np.bool_] | None = None) -> Floats:
        """Return each query's k best scores among the labels that are on sale and pass the mask, (queries, k), padded with -inf."""
        allowed = np.flatnonzero(~state.hidden if mask is None else mask & ~state.hidden)
        best = np.full((self.queries, self.k), -np.inf, np.float32)
        for start in range(0, len(allowed), _CHUNK):
            scores = self.asked @ self.wide(state.rows[allowed[start : start + _CHUNK]]).T
            if scores.shape[1] > self.k:
                scores = np.partition(scores, -self.k, axis=1)[:, -self.k :]
            best = np.sort(np.hstack([best, scores]), axis=1)[:, -self.k :]
        return best[:, ::-1]

    def recall(self, found: Labels, truth: Floats, state: State, mask: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
        """Return for each query the share of the k best that were found; a label as near as the k-th best is as good.

        ``found`` (queries, k), padded with -1; ``truth`` as of ``exact``. A sold-out or masked label counts as not found.
        """
        hits = np.zeros(self.queries)
        allowed = ~state.hidden if mask is None else mask & ~state.hidden
        for i, row in enumerate(found):
            labels = np.unique(row[row >= 0])
            labels = labels[allowed[labels]]
            wanted = truth[i][np.isfinite(truth[i])]
            near = self.wide(state.rows[labels]) @ self.asked[i] >= (wanted.min() if len(wanted) else np.inf) - _TIE
            hits[i] = min(int(near.sum()), len(wanted)) / max(1, len(wanted)) if len(wanted) else 1.0
        return hits


def applied(state: State, changes: Changes) -> State:
    """Return the state after the changes."""
    rows, hidden = state.rows.copy(), state.hidden.copy()
    rows[changes.labels] = changes.rows
    hidden[changes.sold_out] = True
    hidden[changes.returned] = False
    return State(rows, hidden)
