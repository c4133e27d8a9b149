"""Sessions like the running one, among the most recent that share an item with it."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Sequence
from heapq import nlargest
from math import log
from typing import Final

import numpy as np

from streamrec.evaluate.methods.baseline import Baseline, Scores
from streamrec.evaluate.streams import Step

#: Sessions that are kept; the oldest go first.
MAX_SESSIONS: Final = 1_000_000
#: Items of the running session that count, and of a past one.
MAX_ITEMS: Final = 50


class VmisKnn(Baseline):
    """VMIS-kNN (Kersbergen, Sprangers and Schelter, Serenade, SIGMOD 2022), with its index kept up to date event by event.

    Of the ``m`` most recent sessions of each item of the running one, at most ``m`` in all, the ``k`` most similar vote: similarity
    is the sum of the shared items' positions over the session's length, a vote is weighed by 1 - 0.1 × the place of the latest
    shared item, and an item's votes by log(sessions / its sessions), as in VS-kNN (Ludewig and Jannach, UMUAI 2018).
    The item at which the session stands may be recommended again, where nothing excludes it.
    """

    def __init__(self, m: int = 500, k: int = 100) -> None:
        super().__init__()
        self._m = m
        self._k = k
        #: Session → its rows, each once, in the order in which they were met first.
        self._rows_of: OrderedDict[int, dict[int, None]] = OrderedDict()
        #: Row → the sessions that hold it, the most recent last; a session's number tells its age.
        self._sessions_with: defaultdict[int, deque[int]] = defaultdict(lambda: deque(maxlen=m))
        self._holders: defaultdict[int, int] = defaultdict(int)
        self._running: dict[str, int] = {}

    def _fit(self, step: Step, row: int) -> None:
        rows = self._rows_of.setdefault(step.session, {})
        if row not in rows and len(rows) < MAX_ITEMS:
            rows[row] = None
            self._sessions_with[row].append(step.session)
            self._holders[row] += 1
        self._running[step.visitor] = step.session
        if len(self._rows_of) > MAX_SESSIONS:
            self._rows_of.popitem(last=False)

    def _scores(self, visitor: str, history: Sequence[int], now_ms: int) -> Scores:  # noqa: ARG002 - sessions tell the time
        places: dict[int, int] = {}
        for place, row in enumerate(reversed(history[-MAX_ITEMS:]), 1):
            places.setdefault(row, place)
        similar = self._similar(places, self._running.get(visitor, -1))
        scores = np.zeros(len(self.items))
        total = len(self._rows_of)
        for session, similarity in nlargest(self._k, similar.items(), key=lambda pair: (pair[1], pair[0])):
            rows = self._rows_of[session]
            place = min(places[row] for row in rows if row in places)
            vote = similarity * max(1.0 - 0.1 * place, 0.0)
            for row in rows:
                scores[row] += vote * log(1.0 + total / self._holders[row])
        return scores

    def _similar(self, places: dict[int, int], running: int) -> dict[int, float]:
        """Return the similarity of the at most ``m`` most recent sessions that share an item, without the running one."""
        longest = max(places.values())
        similar: dict[int, float] = defaultdict(float)
        for row, place in places.items():
            weight = (longest - place + 1) / longest
            for session in self._sessions_with.get(row, ()):
                similar[session] += weight
        similar.pop(running, None)
        if len(similar) > self._m:
            recent = nlargest(self._m, similar)
            similar = {session: similar[session] for session in recent}
        return {session: value for session, value in similar.items() if session in self._rows_of}
