"""The visitor's list before and after a search event, through the profiles and the ranking that workers run.

Each judged query gets visitors of its own, whose events are applied to their profiles one after the other; a list is ranked before
and after the one that matters. Nobody else visits this shop, so content and the search alone move its lists.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streamrec.evaluate.intervals import bootstrap_means, interval
from streamrec.evaluate.relevance import graded
from streamrec.evaluate.relevance.catalogue import Catalogue
from streamrec.evaluate.relevance.judgements import Query
from streamrec.events import Click, Event, Search
from streamrec.profiles import Profile, apply
from streamrec.ranking import Ranker, Ranking, Reason

K: Final = 10
#: Items of another need that a visitor clicks on before the search.
CLICKS_BEFORE: Final = 3
_MINUTE_MS: Final = 60_000
#: What happened, and the event that the list before and after is told of.
SCENARIOS: Final = ("search alone", "clicks, then search", "search, then click elsewhere", "search, then click on a result")
#: Of the query: NDCG@10, the share of the first ten that fit, whether one does, and recall in the whole list; of the other need the
#: share of the first ten that fit it; and of how many of the first ten the search is the reason.
_MEASURES: Final = ("ndcg@10", "fitting@10", "hit@10", "recall@list", "other@10", "by_search@10")


@dataclass(frozen=True, slots=True)
class Visit:
    """A query, and the need of somebody else's query whose items the visitor clicks on."""

    query: Query
    other: Query
    clicks: tuple[str, ...]
    #: An item that fits the query.
    result: str


def visits(queries: Sequence[Query], least: int, seed: int) -> list[Visit]:
    """Return a visit for each query that has something to find and another need to come from; the same seed gives the same.

    Of the other need no item fits or was even judged for the query.
    """
    rng = np.random.default_rng(seed)
    able = [query for query in queries if query.fitting(least)]
    found = []
    for query in able:
        others = [
            other for other in able if len(other.fitting(least)) >= CLICKS_BEFORE and not other.grades.keys() & query.grades.keys()
        ]
        if others:
            other = others[int(rng.integers(len(others)))]
            clicks = rng.choice(np.array(other.fitting(least)), CLICKS_BEFORE, replace=False)
            found.append(Visit(query, other, tuple(map(str, clicks)), str(rng.choice(np.array(query.fitting(least))))))
    return found


def events_of(visit: Visit, scenario: str, begin_ms: int) -> tuple[list[Event], Event]:
    """Return what the visitor did before, and the event that the list is to follow; a minute lies between two events."""
    alone, last, elsewhere, _ = SCENARIOS
    if scenario == last:
        clicks = [Click(item_id=item_id, ts=begin_ms + place * _MINUTE_MS) for place, item_id in enumerate(visit.clicks)]
        return list(clicks), Search(query=visit.query.text, ts=begin_ms + len(clicks) * _MINUTE_MS)
    search = Search(query=visit.query.text, ts=begin_ms)
    if scenario == alone:
        return [], search
    return [search], Click(item_id=visit.clicks[0] if scenario == elsewhere else visit.result, ts=begin_ms + _MINUTE_MS)


class ListJudge:
    """Judges lists of one catalogue; rankers of any settings may read the same profiles."""

    def __init__(self, catalogue: Catalogue, least: int) -> None:
        self._catalogue = catalogue
        self._settings = catalogue.shop.settings
        self._least = least

    def figures(
        self, chosen: Sequence[Visit], ranker: Ranker, seed: int, told: Callable[[], None] = lambda: None
    ) -> dict[str, Any]:
        """Return, by scenario, the measures before and after, how many of the first ten are new, and intervals over queries."""
        found: dict[str, Any] = {}
        for scenario in SCENARIOS:
            before, after, moved = [], [], []
            for visit in chosen:
                lists = self._lists(visit, scenario, ranker)
                before.append(self._measured(visit, lists[0], ranker))
                after.append(self._measured(visit, lists[1], ranker))
                moved.append(len(set(lists[1].rows[:K].tolist()) - set(lists[0].rows[:K].tolist())) / K)
                told()
            found[scenario] = {
                "before": _means(np.array(before), seed),
                "after": _means(np.array(after), seed),
                "new_in_first_10": round(float(np.mean(moved)), 4),
            }
        return found

    def _lists(self, visit: Visit, scenario: str, ranker: Ranker) -> tuple[Ranking, Ranking]:
        earlier, event = events_of(visit, scenario, self._catalogue.now_ms)
        profile = Profile()
        for one in earlier:
            apply(profile, one, self._settings.profiles)
        before = self._ranked(profile, event.ts, ranker)
        apply(profile, event, self._settings.profiles)
        return before, self._ranked(profile, event.ts, ranker)

    def _ranked(self, profile: Profile, now_ms: int, ranker: Ranker) -> Ranking:
        size = self._settings.ranking.list_size + self._settings.lists.reserve
        [ranking] = ranker.rank([profile], now_ms, k=size)
        return ranking

    def _measured(self, visit: Visit, ranking: Ranking, ranker: Ranker) -> list[float]:
        ids = ranking.ids(ranker.items)[: self._settings.ranking.list_size]
        grades = [visit.query.grades.get(item_id, 0) for item_id in ids]
        others = [visit.other.grades.get(item_id, 0) for item_id in ids]
        judged = list(visit.query.grades.values())
        return [
            graded.ndcg(grades, judged, K),
            graded.precision(grades, K, self._least),
            float(any(grade >= self._least for grade in grades[:K])),
            graded.recall(grades, judged, len(ids), self._least),
            graded.precision(others, K, self._least),
            float((ranking.reasons[:K] == Reason.SEARCH).sum()) / K,
        ]


def _means(values: NDArray[np.float64], seed: int) -> dict[str, Any]:
    drawn = bootstrap_means(values, np.arange(len(values)), seed=seed)
    return {
        **{name: round(float(mean), 4) for name, mean in zip(_MEASURES, values.mean(axis=0), strict=True)},
        "interval95": {name: interval(drawn[:, place]) for place, name in enumerate(_MEASURES)},
    }
