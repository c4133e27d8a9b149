"""Learns weights where a stream has no impressions: the list of the moment stands for what was shown, the next item is the click.

First the list is ranked from what is known before the step, then it is learnt from; with the classes that recommenders learn
with, and their bounds. What a replay cannot have is that visitors look at the first places more than at others: nobody was shown
these lists.
"""

from __future__ import annotations

from collections.abc import Collection
from copy import deepcopy
from typing import Final

from streamrec.config import Settings
from streamrec.lists.keys import HOME
from streamrec.lists.part_weights import Bounds, MemoryWeightStore
from streamrec.profiles import Profile
from streamrec.ranking import Ranker
from streamrec.recommender.lessons import Pupil, Teachers

#: What stands for a page: as many items as lists are judged by.
_SHOWN: Final = 20


class School:
    """Has one ranker learn from every step that may teach."""

    def __init__(self, ranker: Ranker, settings: Settings) -> None:
        self.ranker = ranker
        self._teachers = Teachers(settings.learning, settings.abuse)
        self._store = MemoryWeightStore(Bounds.of(settings.learning))
        self._pupil = Pupil(ranker, settings.learning)
        self._pupil.follow(HOME)

    def wants(self, visitor: str, before: Profile, items: Collection[str], ts: int) -> bool:
        """Tell whether this visitor, of whom ``before`` is known, may teach; of whom nothing is known there is nothing to weigh."""
        return bool(before.latest_ts) and any(self._teachers.may(visitor, before, item_id, ts) for item_id in items)

    def learn(self, visitor: str, before: Profile, items: Collection[str], ts: int) -> None:
        """Rank for the visitor, and learn from the first of ``items`` that is on the list, if any is."""
        [trace] = self.ranker.traces([before], ts, _SHOWN)
        listed = trace.selection.chosen
        shown = trace.rows[listed].tolist()
        rows = self.ranker.items.find_all(tuple(items)).tolist()
        place = next((shown.index(row) for row in rows if row in shown), None)
        if place is None:
            return
        self._teachers.note(visitor, ts)
        self._pupil.learn(trace, listed, place, ts)
        self._pupil.share(self._store)

    def go_on_from(self, other: School) -> None:
        """Know what another one of the same settings learnt, and from whom."""
        self._teachers = deepcopy(other._teachers)
        self._store.weights = dict(other._store.weights)
        self._pupil.share(self._store)

    @property
    def factors(self) -> dict[str, float]:
        """What was learnt, by part; nothing while nothing was."""
        return self._pupil.factors(HOME)
