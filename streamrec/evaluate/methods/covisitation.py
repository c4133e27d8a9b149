"""Items that are met in the same session: from the last item alone, or by item-kNN from all of the latest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import numpy as np

from streamrec.evaluate.methods.baseline import Baseline, Scores, latest
from streamrec.evaluate.streams import Step

#: Past twice so many partners an item keeps the strongest.
MAX_PARTNERS: Final = 500

Pairs = defaultdict[int, dict[int, float]]


class _Sessions(Baseline):
    """Knows which items each visitor met in the running session."""

    def __init__(self) -> None:
        super().__init__()
        self._pairs: Pairs = defaultdict(dict)
        #: Visitor → (session, its rows, newest last).
        self._running: dict[str, tuple[int, list[int]]] = {}

    def _session(self, step: Step) -> list[int]:
        number, rows = self._running.get(step.visitor, (-1, []))
        if number != step.session:
            rows = []
            self._running[step.visitor] = (step.session, rows)
        return rows

    def _count(self, row: int, other: int, weight: float) -> None:
        partners = self._pairs[row]
        partners[other] = partners.get(other, 0.0) + weight
        if len(partners) > 2 * MAX_PARTNERS:
            strongest = sorted(partners.items(), key=lambda pair: -pair[1])[:MAX_PARTNERS]
            self._pairs[row] = dict(strongest)


class LastItem(_Sessions):
    """Co-visitation of the last item: what stands near to it in sessions, before and behind, the nearer the more.

    A pair at distance d counts 1 / d in both directions, up to ``window``; an item that is met again at once is its own partner, so
    that lists which may repeat can do so.
    """

    def __init__(self, window: int = 10) -> None:
        super().__init__()
        self._window = window

    def _fit(self, step: Step, row: int) -> None:
        session = self._session(step)
        for distance, other in enumerate(reversed(session[-self._window :]), 1):
            if other != row:
                self._count(row, other, 1.0 / distance)
                self._count(other, row, 1.0 / distance)
            elif distance == 1:
                self._count(row, row, 1.0)
        session.append(row)

    def _scores(self, visitor: str, history: Sequence[int], now_ms: int) -> Scores:  # noqa: ARG002 - the last item says it all
        scores = np.zeros(len(self.items))
        partners = self._pairs.get(history[-1], {})
        scores[list(partners)] = list(partners.values())
        return scores


class ItemKnn(_Sessions):
    """Item-kNN: the cosine of the sets of sessions that hold two items, kept up to date pair by pair.

    Sarwar et al., WWW 2001, incrementally as in TencentRec (Huang et al., SIGMOD 2015): c(i, j) / sqrt(c(i) c(j)), damped by
    ``shrinkage`` sessions; summed over the ``depth`` latest items, the n-th latest counting 1 / n.
    """

    def __init__(self, depth: int = 10, shrinkage: float = 10.0) -> None:
        super().__init__()
        self._depth = depth
        self._shrinkage = shrinkage
        self._sessions_of: defaultdict[int, int] = defaultdict(int)

    def _fit(self, step: Step, row: int) -> None:
        session = self._session(step)
        if row in session:
            return
        self._sessions_of[row] += 1
        for other in session:
            self._count(row, other, 1.0)
            self._count(other, row, 1.0)
        session.append(row)

    def _scores(self, visitor: str, history: Sequence[int], now_ms: int) -> Scores:  # noqa: ARG002 - a kNN of items
        scores = np.zeros(len(self.items))
        for row, weight in latest(history, self._depth):
            partners = self._pairs.get(row, {})
            rows = np.fromiter(partners.keys(), np.intp, len(partners))
            counts = np.fromiter(partners.values(), np.float64, len(partners))
            sizes = np.fromiter((self._sessions_of[other] for other in rows.tolist()), np.float64, len(partners))
            scores[rows] += weight * counts / (np.sqrt(self._sessions_of[row] * sizes) + self._shrinkage)
            # An item is as near to itself as can be; lists that may not repeat exclude it.
            own = self._sessions_of[row]
            scores[row] += weight * own / (own + self._shrinkage)
        return scores
