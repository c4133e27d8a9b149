"""What the baselines share: numbers for items, visitors' histories, and popular items where a list would be short."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence, Set
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streamrec.evaluate.footprint import footprint
from streamrec.evaluate.streams import Step

Scores = NDArray[np.float64]

#: Interactions that are remembered of a visitor, and visitors that are remembered; as many as streamrec's own profiles hold.
MAX_HISTORY: Final = 64
MAX_VISITORS: Final = 1_000_000
_DAY_MS: Final = 86_400_000
_FIRST_CAPACITY: Final = 1024


class Items:
    """Numbers for item ids, in the order in which they are met."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self._rows: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.ids)

    def row(self, item_id: str) -> int:
        """Return the item's number; a new item gets the next one."""
        row = self._rows.setdefault(item_id, len(self.ids))
        if row == len(self.ids):
            self.ids.append(item_id)
        return row

    def rows(self, item_ids: Set[str]) -> list[int]:
        """Return the numbers of those that are known."""
        return [row for item_id in item_ids if (row := self._rows.get(item_id)) is not None]


class DecayedCounts:
    """Counts by row that halve in each half-life; infinity never forgets."""

    def __init__(self, half_life_ms: float) -> None:
        self._half_life_ms = half_life_ms
        self._start_ms = 0
        self._counts = np.zeros(_FIRST_CAPACITY)

    def add(self, row: int, at_ms: int) -> None:
        """Count one of ``row``. What is newer counts more instead of all the older counting less; only ratios are ever read."""
        while row >= len(self._counts):
            self._counts = np.concatenate([self._counts, np.zeros(len(self._counts))])
        exponent = (at_ms - self._start_ms) / self._half_life_ms
        if exponent > 500:  # a float64 ends at 2 ** 1023
            self._counts *= 2.0 ** -min(exponent, 1000.0)
            self._start_ms, exponent = at_ms, 0.0
        self._counts[row] += 2.0**exponent

    def read(self, n: int) -> Scores:
        """Return the counts of the first ``n`` rows, scaled so that the greatest is 1."""
        counts = self._counts[:n]
        return counts / max(float(counts.max(initial=0.0)), 1e-300)


class Baseline:
    """A method that scores items from a visitor's latest interactions; popular items of late fill up what it has no score for.

    A subclass learns in ``_fit`` and answers in ``_scores``.
    """

    fitted_ms: int | None = None

    def __init__(self, *, fallback_half_life_s: float = 86_400.0) -> None:
        self.items = Items()
        #: Visitor → rows of the latest interactions, newest last.
        self.histories: OrderedDict[str, list[int]] = OrderedDict()
        self._popular = DecayedCounts(fallback_half_life_s * 1000)

    @property
    def nbytes(self) -> int:
        """Bytes of everything that the method holds."""
        return footprint(self)

    def learn(self, step: Step) -> None:
        """Take a step into the visitor's history and into the model."""
        self._hear(step)
        for item_id in step.items:
            row = self.items.row(item_id)
            self._popular.add(row, step.at_ms)
            self._fit(step, row)
            self._note(step.visitor, row)

    def remember(self, step: Step) -> None:
        """Take a step into the visitor's history alone."""
        for item_id in step.items:
            self._note(step.visitor, self.items.row(item_id))

    def settle(self) -> None:
        """Do nothing: everything is learnt at once."""

    def recommend(self, visitor: str, now_ms: int, k: int, exclude: Set[str] = frozenset()) -> list[str]:
        """Return the ``k`` items of the highest scores, then the most popular of late."""
        history = self.histories.get(visitor, [])
        order = self._popular.read(len(self.items))
        scores = self._scores(visitor, history, now_ms) if history else None
        if scores is not None:
            scored = scores > 0
            # Popularity is at most 1, so whatever has a score comes first.
            order[scored] = 2.0 + scores[scored] / max(float(scores.max()), 1e-300)
        return [self.items.ids[row] for row in top_rows(order, k, self.items.rows(exclude))]

    def _note(self, visitor: str, row: int) -> None:
        history = self.histories.setdefault(visitor, [])
        self.histories.move_to_end(visitor)
        history.append(row)
        del history[:-MAX_HISTORY]
        if len(self.histories) > MAX_VISITORS:
            self.histories.popitem(last=False)

    def _hear(self, step: Step) -> None:
        """Look at a step before its interactions are learnt; facts have none."""

    def _fit(self, step: Step, row: int) -> None:
        """Learn one interaction; the visitor's history does not hold it yet."""

    def _scores(self, visitor: str, history: Sequence[int], now_ms: int) -> Scores | None:  # noqa: ARG002 - for subclasses
        """Return a score for each item, 0 for none, shape (len(items),); None where nothing can be said."""
        return None


def top_rows(order: NDArray[np.floating[Any]], k: int, without: Sequence[int]) -> list[int]:
    """Return the rows of the ``k`` greatest positive values but those of ``without``, greatest first, equal ones by row."""
    if without:
        order[list(without)] = 0.0
    k = min(k, len(order))
    if not k:
        return []
    found = np.argpartition(-order, k - 1)[:k] if k < len(order) else np.arange(len(order))
    found = found[np.lexsort((found, -order[found]))]
    return [row for row in found.tolist() if order[row] > 0]


def latest(history: Sequence[int], depth: int) -> list[tuple[int, float]]:
    """Return (row, weight) of the last ``depth`` interactions, newest first; the weight is 1 / place, of repeats the newest's.

    >>> latest([4, 9, 4], 3)
    [(4, 1.0), (9, 0.5)]
    """
    places: dict[int, float] = {}
    for place, row in enumerate(reversed(history[-depth:]), 1):
        places.setdefault(row, 1.0 / place)
    return list(places.items())
