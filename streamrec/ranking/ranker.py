"""A visitor's list: candidates, scores, boosts, diversity, exploration, filters. Reading never changes anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from streamrec.campaigns import CampaignBook
from streamrec.candidates import Interests, NeighbourTable, Related, Transitions, interests, transitions
from streamrec.candidates.ordering import best_first, distinct, marks
from streamrec.catalogue.filters import ANY, Filter
from streamrec.catalogue.table import ItemTable
from streamrec.config import ProfileSettings, RankingSettings
from streamrec.errors import ModelError
from streamrec.index import VectorIndex
from streamrec.lists.keys import CART, HOME
from streamrec.profiles import Profile, plain_query
from streamrec.ranking.estimate import alike, relative, shares, squashed
from streamrec.ranking.explain import Explanation, explain, explain_unknown
from streamrec.ranking.item_lists import ItemLists
from streamrec.ranking.nearest import NearestItems
from streamrec.ranking.prices import affinity, level
from streamrec.ranking.queries import QueryVectors
from streamrec.ranking.reasons import Ranking, Reason
from streamrec.ranking.scene import Scene, Scenes
from streamrec.ranking.score import ESTIMATED, PARTS, Scores, combine, cosines
from streamrec.ranking.search import FilteredSearch
from streamrec.ranking.select import Limits, Selection, keep_places, select
from streamrec.ranking.taste import Hidden, Taste, hidden_from, taste_of

#: Visitors whose vectors are held at once: 64 × 64 recent items × 512 float32 are 8 MB.
_CHUNK: Final = 64
#: Co-visited candidates per visitor; the strongest are kept.
_MAX_RELATED: Final = 120
_NOBODY: Final = np.empty(0, np.int32)
#: The parts of a score that are no part of the estimate.
_ADDED: Final = [place for place in range(len(PARTS)) if place not in ESTIMATED]

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is searched for on behalf of one visitor, and what was found."""

    profile: Profile
    taste: Taste
    interests: Interests
    #: (i or i + 1, dim) float32; the interests' vectors and, where there is one, the latest query's.
    vectors: Vectors
    #: int32; nearest items of interests and query, -1 where there are fewer.
    found: NDArray[np.int32]
    #: Where the list is to stand.
    placement: str


@dataclass(frozen=True, slots=True)
class Trace:
    """Everything that made one list; arrays are (c,) over the candidates."""

    wish: Wish
    scene: Scene
    hidden: Hidden
    rows: NDArray[np.int32]
    #: Whether the row may take an ordinary slot: False for rows that are only pinned or only asked about.
    organic: NDArray[np.bool_]
    scores: Scores
    evidence: NDArray[np.int32]
    #: Positions that compete, best first.
    order: NDArray[np.intp]
    #: Slot -> (position, campaign number).
    pins: dict[int, tuple[int, int]]
    selection: Selection


class Ranker:
    """Ranks items for visitors from the state that it is given; the same state and ``now_ms`` give the same lists.

    Nothing in a list depends on row numbers, on the order of arrival or on the other visitors of a batch. Time matters only to
    campaigns and to how long bought items stay hidden: all decay is relative, so an idle minute reorders nothing.
    """

    def __init__(  # noqa: PLR0917 - the composition root names them
        self,
        items: ItemTable,
        index: VectorIndex,
        neighbours: NeighbourTable,
        campaigns: CampaignBook,
        settings: RankingSettings,
        encode_queries: Callable[[Sequence[str]], NDArray[Any]] | None = None,
        *,
        profiles: ProfileSettings | None = None,
        can_encode: Callable[[], bool] = lambda: True,
        model: Callable[[], str | None] = lambda: None,
        max_queries: int = 10_000,
        max_searches: int = 20_000,
    ) -> None:
        self.items = items
        self.index = index
        self.neighbours = neighbours
        self.campaigns = campaigns
        self.settings = settings
        #: Placement → (len(PARTS),) factors on the weights of the parts, as far as any were learnt; only ever replaced.
        self.learnt: dict[str, NDArray[np.float64]] = {}
        self._profiles = profiles or ProfileSettings()
        self._queries = QueryVectors(encode_queries, index, max_queries, can_encode, model)
        self._nearest = NearestItems(index, max_searches)
        self._scenes = Scenes(items, index, neighbours, settings)
        self._search = FilteredSearch(items, index, campaigns)
        self._lists = ItemLists(items, index, neighbours, campaigns, settings, search=self._search, max_searches=max_searches)

    def with_settings(self, settings: RankingSettings) -> Self:
        """Return a ranker of visitors' lists by other settings over the same state, as a new one would rank.

        What is searched for and encoded is kept once for both. Lists of items and of the whole shop stay those of the first. What
        the first learnt stays its own.
        """
        other = copy(self)
        other.settings, other.learnt = settings, {}
        other._scenes = Scenes(self.items, self.index, self.neighbours, settings)  # noqa: SLF001 - of our own class
        return other

    # -- visitors ----------------------------------------------------------------------------------------------------

    def rank(
        self,
        visitors: Sequence[Profile],
        now_ms: int,
        *,
        k: int | None = None,
        placement: str = HOME,
        absent: Sequence[NDArray[np.int32]] = (),
    ) -> list[Ranking]:
        """Return each visitor's list of at most ``k`` (default ``list_size``) items.

        Never shown: what is unavailable, excluded, not in the catalogue, bought within ``hide_bought_days`` or in the cart; nor
        anything twice. A list is shorter than ``k`` only when nothing else may be shown. ``absent``, one or none for each visitor,
        are rows that get a place by their score although nobody may see them now: whoever publishes the list leaves it blank. They
        change nothing of what is seen but its end.
        """
        size = self.settings.list_size if k is None else k
        return [self.ranking(trace) for trace in self.traces(visitors, now_ms, size, placement, absent=absent)]

    def traces(
        self,
        visitors: Sequence[Profile],
        now_ms: int,
        size: int,
        placement: str = HOME,
        *,
        ask: NDArray[np.int32] = _NOBODY,
        absent: Sequence[NDArray[np.int32]] = (),
    ) -> Iterator[Trace]:
        """Yield how each visitor's list comes about; ``ask`` are rows that are scored too, whether candidates or not."""
        scenes: dict[frozenset[str], Scene] = {}
        absent = absent or [_NOBODY] * len(visitors)
        from_all = self.campaigns.effects(now_ms, self.items).excluded
        for start in range(0, len(visitors), _CHUNK):
            wishes = self._wishes(visitors[start : start + _CHUNK], placement)
            for segments in {wish.taste.segments for wish in wishes} - scenes.keys():
                scenes[segments] = self._scenes.get(self.campaigns.effects(now_ms, self.items, segments))
            for wish, away in zip(wishes, absent[start : start + _CHUNK], strict=True):
                scene = scenes[wish.taste.segments]
                # What is kept from these visitors alone must not come back with the others' list.
                may_return = away[from_all[away] | ~scene.effects.excluded[away]]
                yield self._trace(wish, scene, now_ms, size, ask, may_return)

    def explain(self, profile: Profile, item_id: str, now_ms: int, *, k: int | None = None, placement: str = HOME) -> Explanation:
        """Tell why an item is in the visitor's list of ``k``, or everything that keeps it out."""
        row = self.items.find(item_id)
        if row < 0:
            return explain_unknown(item_id)
        size = self.settings.list_size if k is None else k
        trace = next(self.traces([profile], now_ms, size, placement, ask=np.array([row], np.int32)))
        return explain(self, trace, row, size)

    def wanted(self, profile: Profile, now_ms: int, placement: str) -> tuple[Taste, Hidden]:
        """Return what a list for the placement would be for, and what would be kept off it; nothing is searched for."""
        taste = taste_of(profile, self.items, self._profiles, self.settings, placement)
        return taste, hidden_from(profile, self.items, self.settings, now_ms, placement)

    def _wishes(self, profiles: Sequence[Profile], placement: str) -> list[Wish]:
        """Read the profiles and search for all of their interests and queries at once."""
        tastes = [taste_of(p, self.items, self._profiles, self.settings, placement) for p in profiles]
        met = distinct(np.concatenate([np.empty(0, np.int32), *(t.rows for t in tastes)]))
        met_vectors = self.index.vectors(met)
        queries = self._queries.get([t.query for t in tastes])
        n = self.settings.candidates_per_interest
        found: list[Interests] = []
        wanted: list[Vectors] = []
        filtered: list[tuple[Vectors, NDArray[np.int32]]] = []
        keys: list[int | str] = []
        for taste, query in zip(tastes, queries, strict=True):
            near, vectors = self._interests(taste, met, met_vectors)
            searched = bool(self.settings.weight_search and len(query))
            found.append(near)
            if searched and taste.wanted is not None:
                filtered.append((query, self._search.nearest(taste.query, query, taste.wanted, n)))
                searched = False
            else:
                filtered.append((query[:0], _NOBODY))
            wanted.append(np.concatenate([vectors, query]) if searched else vectors)
            keys += [*near.medoids.tolist(), taste.query] if searched else near.medoids.tolist()
        labels = self._nearest.get(keys, np.concatenate([met_vectors[:0], *wanted]), n)
        ends = np.cumsum([len(w) for w in wanted])
        wishes = []
        for profile, taste, near, w, end, (query, rows) in zip(profiles, tastes, found, wanted, ends, filtered, strict=True):
            mine = np.concatenate([labels[end - len(w) : end].ravel(), rows])
            wishes.append(Wish(profile, taste, near, np.concatenate([w, query]), mine, placement))
        return wishes

    def _interests(self, taste: Taste, met: NDArray[np.int32], met_vectors: Vectors) -> tuple[Interests, Vectors]:
        """Cluster what the visitor met; medoids are returned as rows of the item table."""
        vectors = met_vectors[np.searchsorted(met, taste.rows)]
        real = vectors.any(axis=1) if self.settings.weight_content else np.zeros(len(vectors), np.bool_)
        rows, vectors = taste.rows[real], vectors[real]
        found = interests(vectors, taste.weights[real], self.items.id_hash[rows], self.settings.max_interests)
        return Interests(rows[found.medoids].astype(np.intp), found.weights), vectors[found.medoids]

    # -- one visitor -------------------------------------------------------------------------------------------------

    def _trace(  # noqa: PLR0917 - traces names them
        self, wish: Wish, scene: Scene, now_ms: int, size: int, ask: NDArray[np.int32], absent: NDArray[np.int32]
    ) -> Trace:
        hidden = hidden_from(wish.profile, self.items, self.settings, now_ms, wish.placement)
        hidden_rows = hidden.rows
        following = self._following(wish.taste, wish.placement)
        latest = wish.taste.rows[: len(following.again)] if self.settings.weight_again else _NOBODY
        rows = distinct(np.concatenate([wish.found[wish.found >= 0], following.related.rows, latest, scene.common, absent]))
        shown = scene.allowed[rows] & ~marks(rows, hidden_rows)
        if int(shown.sum()) < size:
            rows = np.union1d(rows, scene.more(size + len(rows) + len(hidden_rows)))
        organic = np.ones(len(rows), np.bool_)
        extra = [pin.row for pin in scene.effects.pins] + ask.tolist()
        if extra:
            own, rows = rows, np.union1d(rows, np.array(extra, np.int32))
            organic = marks(rows, own)
        if len(rows) > len(shown):
            shown = scene.allowed[rows] & ~marks(rows, hidden_rows)
        # Estimates are shared out among what everybody may see, so that what is absent takes nothing from it.
        scores, evidence = self._score(wish, scene, following, rows, organic & scene.allowed[rows])
        competing = np.flatnonzero(shown & organic)
        order = competing[best_first(scores.total[competing], self.items.id_hash[rows[competing]])]
        pins = self._pins(scene, rows, shown)
        selection = self._select(scene, rows, order, pins, size)
        if len(absent):
            away = np.flatnonzero(marks(rows, absent) & ~marks(rows, hidden_rows) & ~scene.allowed[rows])
            best = away[best_first(scores.total[away], self.items.id_hash[rows[away]])]
            slots = {pin.row: pin.slot for pin in reversed(scene.effects.pins)}
            pinned = {
                position: slots[row] for position, row in zip(best.tolist(), rows[best].tolist(), strict=True) if row in slots
            }
            # Those of slots last, so that none of the others moves them.
            last = sorted(best.tolist(), key=lambda position: pinned.get(position, 0))
            keep_places(selection, last, scores.total, size, pinned)
        return Trace(wish, scene, hidden, rows, organic, scores, evidence, order, pins, selection)

    def _following(self, taste: Taste, placement: str) -> Transitions:
        n = self.settings.seeds if self.settings.weight_together else 0
        # What goes with the cart is what was bought with it, as far as anything was.
        bought = placement == CART
        following = transitions(self.neighbours, taste.rows[:n], taste.weights[:n], self.settings.smoothing, bought=bought)
        related = following.related
        if len(related.rows) <= _MAX_RELATED:
            return following
        best = best_first(related.strengths, self.items.id_hash[related.rows])[:_MAX_RELATED]
        best = np.sort(best)  # rows stay ascending
        kept = Related(related.rows[best], related.strengths[best], related.because[best])
        return Transitions(kept, following.unexplained, following.again)

    def _score(
        self, wish: Wish, scene: Scene, following: Transitions, rows: NDArray[np.int32], organic: NDArray[np.bool_]
    ) -> tuple[Scores, NDArray[np.int32]]:
        settings, n, interests, related = self.settings, len(rows), wish.interests, following.related
        parts = np.zeros((len(PARTS), n))
        near_row = np.full(n, -1, np.int32)
        near_because = np.full(n, -1, np.int32)
        near = self._near(scene, rows, wish.vectors) if len(wish.vectors) else np.empty((n, 0))
        content = np.zeros(n)
        if len(interests.medoids):
            standing = relative(scene.log_visitors[rows])
            of_interests = near[:, : len(interests.medoids)]
            content, nearest = alike(of_interests, interests.weights, standing, organic, settings.content_temperature)
            near_row = interests.medoids[nearest].astype(np.int32)
        trend = shares(scene.trend(rows), organic)
        weights = np.array([settings.weight_content * bool(content.any()), settings.weight_trending * bool(trend.any())])
        by_content, by_trend = following.unexplained * weights / max(float(weights.sum()), 1e-300)
        if wish.placement == CART:
            by_content *= settings.cart_content
        parts[0], parts[3] = by_content * content, by_trend * trend
        if len(related.rows):
            places = np.searchsorted(related.rows, rows).clip(max=len(related.rows) - 1)
            has = related.rows[places] == rows
            parts[1, has] = settings.weight_together * related.strengths[places[has]]
            near_because[has] = related.because[places[has]]
        self._meet_again(parts, wish.taste, following, rows)
        learnt = self.learnt.get(wish.placement) if settings.learnt else None
        if learnt is not None:
            parts *= learnt[:, None]
        if settings.weight_price and (wanted := level(wish.taste, self.items.price_levels, settings.price_doubt)):
            parts *= affinity(rows, wanted, self.items.price_levels, settings.weight_price)
        parts = squashed(parts)
        if near.shape[1] > len(interests.medoids):
            parts[2] = settings.weight_search * wish.taste.query_strength * near[:, -1]
            if wish.taste.wanted is not None:
                # What the visitor ruled out is not what was searched for, however near; other reasons may still speak for it.
                parts[2] *= self._search.masks.get(wish.taste.wanted)[rows]
        parts[4] = settings.weight_new * scene.newness(rows)
        parts[5] = settings.weight_discount * self.items.reduction[rows]
        if learnt is not None:
            parts[_ADDED] *= learnt[_ADDED, None]
        clicked = (self.items.category[rows][:, None] == wish.taste.clicked).any(axis=1)
        eased = np.where(clicked, 1 / (1 - settings.threshold_drop), 1.0)
        multiplier = scene.effects.multiplier[rows].astype(np.float64)
        scores = combine(parts, self._penalty(wish.profile, rows), eased, multiplier)
        evidence = np.full(n, -1, np.int32)
        for reason, because in (
            (Reason.CONTENT, near_row),
            (Reason.TOGETHER, near_because),
            (Reason.CAMPAIGN, scene.effects.boosted_by[rows]),
        ):
            np.copyto(evidence, because, where=scores.reasons == reason)
        return scores, evidence

    def _meet_again(self, parts: NDArray[np.float64], taste: Taste, following: Transitions, rows: NDArray[np.int32]) -> None:
        """Weigh the visitor's latest items by how often visitors return to what they just met, instead of by what leads there."""
        seeds = taste.rows[: self.settings.seeds]
        places = np.searchsorted(rows, seeds).clip(max=len(rows) - 1)
        has = rows[places] == seeds if len(rows) else np.zeros(len(seeds), np.bool_)
        parts[:, places[has]] *= self.settings.seen_factor
        if len(following.again):
            weights = taste.weights[: len(seeds)]
            parts[6, places[has]] = self.settings.weight_again * (following.again * weights / weights.sum())[has]

    def _near(self, scene: Scene, rows: NDArray[np.int32], queries: Vectors) -> NDArray[np.float64]:
        """Return the cosines of ``rows`` with queries, (c, q); the vectors of what everybody gets are fetched once.

        One product for all visitors of a batch would be faster still, but its last bits depend on who else is in the batch.
        """
        near = np.empty((len(rows), len(queries)))
        common = marks(rows, scene.common)
        near[common] = cosines(scene.vectors @ queries.T)
        near[~common] = cosines(self.index.similarity(rows[~common], queries))
        return near

    def _penalty(self, profile: Profile, rows: NDArray[np.int32]) -> NDArray[np.float64]:
        penalty = np.zeros(len(rows))
        shown = profile.shown if self.settings.shown_penalty and len(rows) else {}
        if shown:
            shown_rows = self.items.find_all(tuple(shown))
            places = np.searchsorted(rows, shown_rows).clip(max=len(rows) - 1)
            hit = rows[places] == shown_rows
            counts = np.fromiter((count for count, _ in shown.values()), np.float64, len(shown))
            penalty[places[hit]] = self.settings.shown_penalty * counts[hit]
        return penalty

    @staticmethod
    def _pins(scene: Scene, rows: NDArray[np.int32], shown: NDArray[np.bool_]) -> dict[int, tuple[int, int]]:
        """Give each slot its first pin that may be shown and has no other slot."""
        pins: dict[int, tuple[int, int]] = {}
        used: set[int] = set()
        for pin in scene.effects.pins:
            position = int(np.searchsorted(rows, pin.row))
            if pin.slot not in pins and position not in used and shown[position]:
                pins[pin.slot] = (position, pin.campaign)
                used.add(position)
        return pins

    def _select(
        self, scene: Scene, rows: NDArray[np.int32], order: NDArray[np.intp], pins: dict[int, tuple[int, int]], size: int
    ) -> Selection:
        settings = self.settings
        limits = Limits(size, settings.max_per_category, settings.max_per_brand, settings.explore_every)
        new = order[marks(rows, scene.fresh)[order]] if settings.explore_every else order[:0]
        return select(
            order.tolist(),
            new.tolist(),
            {slot: position for slot, (position, _) in pins.items()},
            categories=self.items.category[rows].tolist(),
            brands=self.items.brand[rows].tolist(),
            limits=limits,
        )

    def ranking(self, trace: Trace) -> Ranking:
        """Return the list of a trace."""
        chosen = np.array(trace.selection.chosen, np.intp)
        reasons, evidence = trace.scores.reasons[chosen], trace.evidence[chosen]
        campaign_of = dict(trace.pins.values())
        for place, how in enumerate(trace.selection.how):
            if how == "pin":
                reasons[place], evidence[place] = Reason.CAMPAIGN, campaign_of[trace.selection.chosen[place]]
            elif how == "explore":
                reasons[place], evidence[place] = Reason.NEW, -1
        scores = trace.scores.total[chosen].astype(np.float32)
        return Ranking(trace.rows[chosen], scores, reasons, evidence, trace.wish.taste.query, trace.rows)

    # -- items -------------------------------------------------------------------------------------------------------

    def trending(self, now_ms: int, n: int, category: str | None = None) -> Ranking:
        """Return the ``n`` most popular items that everybody may see, in a category or in the whole shop."""
        return self._lists.trending(now_ms, n, category)

    def newest(self, now_ms: int, n: int, category: str | None = None) -> Ranking:
        """Return the ``n`` newest items that everybody may see, in a category or in the whole shop."""
        return self._lists.newest(now_ms, n, category)

    def search(self, query: str | Vectors, now_ms: int, n: int, wanted: Filter = ANY) -> Ranking:
        """Return the ``n`` items nearest to a text or a (dim,) vector among those that pass the filter and everybody may see.

        The score is the cosine. Fewer than ``n`` only where no more pass and have a vector.

        Raises ModelError for a text that cannot be compared with the vectors served, VectorIndexError for another dimension.
        """
        if not isinstance(query, str):
            return self._search.rank(np.atleast_2d(query), wanted, now_ms, n)
        text = plain_query(query)
        [vector] = self._queries.get([text])
        if len(vector):
            return self._search.rank(vector, wanted, now_ms, n, text)
        msg = (
            "a text cannot be searched for now: it is empty, or the vectors served are not of this worker's encoder; wait until "
            "its model has rolled through (`model` in the worker's heartbeat), or ask another recommender"
        )
        raise ModelError(msg)

    def similar(self, item_ids: Sequence[str], now_ms: int, n: int, wanted: Filter | None = None) -> list[Ranking]:
        """Return alternatives to each item that pass the filter: near in content, and met together with it."""
        return self._lists.similar(item_ids, now_ms, n, wanted)

    def together(self, item_ids: Sequence[str], now_ms: int, n: int) -> list[Ranking]:
        """Return what others bought with each item or, where nobody bought it yet, met with it."""
        return self._lists.together(item_ids, now_ms, n)
