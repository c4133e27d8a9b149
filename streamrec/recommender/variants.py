"""Who is ranked how: the variants of the running experiment, or the one way in which all are ranked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamrec.config import ExperimentSettings
from streamrec.experiments.split import EVERYBODY, Split
from streamrec.lists.keys import HOME
from streamrec.profiles import Profile
from streamrec.ranking import Ranker, Ranking


class Variants:
    """One ranker for each variant; all read one state.

    Numbers stand for variants, in their configured order: 0 is the control, and also stands for everybody without an experiment.
    """

    def __init__(self, ranker: Ranker, experiment: ExperimentSettings) -> None:
        self.labels = experiment.labels or (EVERYBODY,)
        own = [variant.ranked_by(ranker.settings) for variant in experiment.variants]
        # A variant without settings of its own shares the caches of the ranker that there is.
        self.rankers = tuple(ranker if one == ranker.settings else ranker.with_settings(one) for one in own) or (ranker,)
        self._split = Split.of(experiment) if experiment.variants else None

    def of(self, user_id: str) -> int:
        """Return the visitor's variant. Raises ValueError where visitors are split and nobody says whose it is."""
        if self._split is None:
            return 0
        if not user_id:
            msg = "visitors are split into variants; say who is ranked (users, user_id)"
            raise ValueError(msg)
        return self._split.variant(user_id)

    def ranker(self, user_id: str) -> Ranker:
        """Return what ranks the visitor's lists."""
        return self.rankers[self.of(user_id)]

    def rank(
        self,
        users: Sequence[str],
        profiles: Sequence[Profile],
        now_ms: int,
        k: int,
        absent: Sequence[NDArray[np.int32]] = (),
        *,
        placement: str = HOME,
    ) -> list[Ranking]:
        """Return each visitor's list of ``k`` by the settings of the own variant, in their order; ``absent`` as in ``Ranker``.

        ``users`` may be left out where visitors are not split.
        """
        if self._split is None:
            return self.rankers[0].rank(profiles, now_ms, k=k, placement=placement, absent=absent)
        groups: dict[int, list[int]] = {}
        for place, (user_id, _) in enumerate(zip(users or [""] * len(profiles), profiles, strict=True)):
            groups.setdefault(self.of(user_id), []).append(place)
        found: dict[int, Ranking] = {}
        for variant, places in groups.items():
            away = [absent[place] for place in places] if absent else ()
            chosen = [profiles[place] for place in places]
            rankings = self.rankers[variant].rank(chosen, now_ms, k=k, placement=placement, absent=away)
            found.update(zip(places, rankings, strict=True))
        return [found[place] for place in range(len(profiles))]
