"""Lists that belong to items and to the whole shop: trending, new, similar, bought together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamrec.campaigns import CampaignBook
from streamrec.candidates import NeighbourTable, Related, Trend, fresh, from_seeds, newness
from streamrec.candidates.leaders import Leaders
from streamrec.candidates.ordering import best_first, distinct
from streamrec.catalogue.filters import Filter
from streamrec.catalogue.table import ItemTable
from streamrec.config import RankingSettings
from streamrec.index import VectorIndex
from streamrec.ranking.nearest import NearestItems
from streamrec.ranking.reasons import Ranking, Reason, empty_ranking
from streamrec.ranking.score import cosines
from streamrec.ranking.search import FilteredSearch


class ItemLists:
    """Reads the same state as the ranker; what is unavailable or excluded for everybody is on none of its lists."""

    def __init__(
        self,
        items: ItemTable,
        index: VectorIndex,
        neighbours: NeighbourTable,
        campaigns: CampaignBook,
        settings: RankingSettings,
        *,
        search: FilteredSearch,
        max_searches: int,
    ) -> None:
        self._items = items
        self._index = index
        self._neighbours = neighbours
        self._campaigns = campaigns
        self._settings = settings
        self._search = search
        self._nearest = NearestItems(index, max_searches)
        self._popular, self._well_sold, self._newest_items = Leaders(), Leaders(), Leaders(nothing=0)

    def _allowed(self, now_ms: int) -> NDArray[np.bool_]:
        allowed: NDArray[np.bool_] = self._items.available & ~self._campaigns.effects(now_ms, self._items).excluded
        return allowed

    def _within(self, category: str) -> NDArray[np.intp]:
        return np.flatnonzero(self._items.category == self._items.categories.find(category))

    def _most_popular(
        self, allowed: NDArray[np.bool_], n: int, category: str | None
    ) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Return the rows of the most popular items, best first, and how popular they are in [0, 1]."""
        of_late, over_weeks, hashes = self._neighbours.log_popularity(), self._neighbours.log_visitors(), self._items.id_hash
        state = (self._neighbours.version, len(of_late))
        well_sold = self._well_sold.first(over_weeks, hashes, allowed, max(n, self._settings.candidates_per_interest), state)
        trend = Trend(self._neighbours, well_sold[: self._settings.candidates_per_interest], self._settings.trending_smoothing)
        if category is None:
            rows = distinct(np.concatenate([self._popular.first(of_late, hashes, allowed, n, state), well_sold]))
        else:
            rows = self._within(category).astype(np.int32)
            rows = rows[allowed[rows] & (of_late[rows] > -np.inf)]
        amounts = trend.amounts(rows)
        # What was last met so long ago that it counts for nothing is still in its order.
        best = np.lexsort((hashes[rows], -of_late[rows], -amounts))[:n]
        most = np.array([of_late.argmax()], np.int32) if len(of_late) else rows[:0]
        greatest = float(np.concatenate([amounts, trend.amounts(most)]).max(initial=0.0))
        # The root keeps the one best-seller from flattening all others.
        return rows[best], np.sqrt(amounts[best] / max(greatest, 1e-300))

    def _newest_of(self, allowed: NDArray[np.bool_], n: int, category: str | None) -> NDArray[np.int32]:
        values, hashes = self._items.first_seen_ms, self._items.id_hash
        if category is None:
            return self._newest_items.first(values, hashes, allowed, n, self._items.seen_version)
        rows = self._within(category)
        return rows[fresh(values[rows], allowed[rows], hashes[rows], n)].astype(np.int32)

    def trending(self, now_ms: int, n: int, category: str | None = None) -> Ranking:
        """Return the most popular items, best first, filled up with the newest where few are popular."""
        allowed = self._allowed(now_ms)
        rows, scores = self._most_popular(allowed, n, category)
        popular = _ranking(rows, scores, Reason.TRENDING)
        if len(rows) == n:
            return popular
        allowed[rows] = False
        return _joined(popular, self._newest(allowed, n - len(rows), category, weight=0.0))

    def newest(self, now_ms: int, n: int, category: str | None = None) -> Ranking:
        """Return the newest items, newest first."""
        return self._newest(self._allowed(now_ms), n, category)

    def _newest(self, allowed: NDArray[np.bool_], n: int, category: str | None, weight: float = 1.0) -> Ranking:
        first_seen = self._items.first_seen_ms
        rows = self._newest_of(allowed, n, category)
        scores = weight * newness(first_seen[rows], int(first_seen.max(initial=0)), self._settings.new_half_life_s)
        return _ranking(rows, scores, Reason.NEW)

    def similar(self, item_ids: Sequence[str], now_ms: int, n: int, wanted: Filter | None = None) -> list[Ranking]:
        """Return for each item the ``n`` that are nearest in content and pass the filter, those met together with it raised.

        Items without a vector are answered from what was met together; unknown ones with an empty list.
        """
        rows = self._items.find_all(tuple(item_ids))
        allowed = self._allowed(now_ms) if wanted is None else self._search.allowed(wanted, now_ms)
        seeds = rows.clip(min=0)
        vectors = self._index.vectors(seeds) if len(self._items) else np.zeros((len(rows), self._index.dim), np.float32)
        k = 2 * n + 10
        near = self._nearest.get(seeds.tolist(), vectors, k) if wanted is None else self._index.search(vectors, k, allowed)[0]
        return [
            empty_ranking() if row < 0 else self._blend(row, vectors[i : i + 1], near[i], allowed, n)
            for i, row in enumerate(rows.tolist())
        ]

    def _blend(self, row: int, vector: NDArray[np.float32], near: NDArray[np.int32], allowed: NDArray[np.bool_], n: int) -> Ranking:
        met = self._related(row, bought=False)
        rows = distinct(np.concatenate([near[near >= 0] if vector.any() else near[:0], met.rows]))
        rows = rows[allowed[rows] & (rows != row)]
        content = cosines(self._index.similarity(rows, vector))[:, 0] if len(rows) else np.empty(0)
        # Half the weight of content: what is met together is often a complement, not an alternative.
        together = np.zeros(len(rows))
        if len(met.rows) and len(rows):
            places = np.searchsorted(met.rows, rows).clip(max=len(met.rows) - 1)
            together = np.where(met.rows[places] == rows, 0.5 * met.strengths[places], 0.0)
        scores = content + together
        best = best_first(scores, self._items.id_hash[rows])[:n]
        reasons = np.where(content >= together, Reason.CONTENT, Reason.TOGETHER)[best]
        return Ranking(rows[best], scores[best].astype(np.float32), reasons.astype(np.uint8), np.full(len(best), row, np.int32))

    def together(self, item_ids: Sequence[str], now_ms: int, n: int) -> list[Ranking]:
        """Return for each item the ``n`` that were bought with it, strongest first; where none was, those met with it."""
        allowed = self._allowed(now_ms)
        return [self._together(self._items.find(item_id), allowed, n) for item_id in item_ids]

    def _together(self, row: int, allowed: NDArray[np.bool_], n: int) -> Ranking:
        if row < 0:
            return empty_ranking()
        related = self._related(row, bought=True)
        kept = np.flatnonzero(allowed[related.rows])
        best = kept[best_first(related.strengths[kept], self._items.id_hash[related.rows[kept]])][:n]
        return _ranking(related.rows[best], related.strengths[best], Reason.TOGETHER, row)

    def _related(self, row: int, *, bought: bool) -> Related:
        return from_seeds(self._neighbours, np.array([row], np.int32), np.ones(1), bought=bought)


def _ranking(rows: NDArray[np.int32], scores: NDArray[np.float64], reason: Reason, evidence: int = -1) -> Ranking:
    n = len(rows)
    return Ranking(rows, scores.astype(np.float32), np.full(n, reason, np.uint8), np.full(n, evidence, np.int32))


def _joined(first: Ranking, second: Ranking) -> Ranking:
    return Ranking(
        np.concatenate([first.rows, second.rows]),
        np.concatenate([first.scores, second.scores]),
        np.concatenate([first.reasons, second.reasons]),
        np.concatenate([first.evidence, second.evidence]),
    )
