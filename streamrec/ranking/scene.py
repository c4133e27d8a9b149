"""What all visitors have in common: computed once for each state of the shop and set of running campaigns, then only read."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamrec.campaigns import Effects
from streamrec.candidates import NeighbourTable, Trend, newness
from streamrec.candidates.leaders import Leaders
from streamrec.candidates.ordering import distinct, top
from streamrec.catalogue.table import ItemTable
from streamrec.config import RankingSettings
from streamrec.index import VectorIndex

#: Scenes kept at once: combinations of segments for which different campaigns run.
_MAX_SCENES = 16
#: An item counts as new for so many half-lives after its first sight, measured from the newest item.
NEW_FOR_HALF_LIVES = 7


class Shelf:
    """What may be shown, and what of it is new: the part of a scene that visitors' events do not change.

    ``allowed`` is (n_items,) bool: available and not excluded by a campaign. ``newest`` are the leaders by first sight.
    """

    def __init__(self, items: ItemTable, effects: Effects, settings: RankingSettings, newest: Leaders) -> None:
        self.effects = effects
        self.allowed: NDArray[np.bool_] = items.available & ~effects.excluded
        self.hashes = items.id_hash
        self.first_seen = items.first_seen_ms
        self._half_life_s = settings.new_half_life_s
        n = settings.candidates_per_interest
        rows = newest.first(self.first_seen, self.hashes, self.allowed, n, items.seen_version)
        self._newest = int(newest.greatest())
        since = self._newest - int(NEW_FOR_HALF_LIVES * self._half_life_s * 1000)
        self.fresh = np.sort(rows[self.first_seen[rows] >= since])

    def newness(self, rows: NDArray[np.int32]) -> NDArray[np.float64]:
        """Return the newness of ``rows`` in [0, 1]; 0 where the catalogue never had the item."""
        first_seen = self.first_seen[rows]
        return np.where(first_seen > 0, newness(first_seen, self._newest, self._half_life_s), 0.0)


class Scene:
    """Popular, new and boosted items that may be shown, and the measures that scores are relative to."""

    def __init__(
        self,
        shelf: Shelf,
        index: VectorIndex,
        neighbours: NeighbourTable,
        settings: RankingSettings,
        leaders: tuple[Leaders, Leaders],
    ) -> None:
        self._shelf = shelf
        self.effects = shelf.effects
        self.allowed = shelf.allowed
        self._log_shown = neighbours.log_shown()
        self._log_budget = np.log2(settings.explore_impressions) if settings.explore_impressions else np.inf
        #: New items that are explored.
        self.fresh = shelf.fresh[~self._is_known(shelf.fresh)]
        #: Of each row, see ``NeighbourTable``.
        self.log_popularity = neighbours.log_popularity()
        n = settings.candidates_per_interest
        state = (neighbours.version, len(self.log_popularity))
        self.trending = leaders[0].first(self.log_popularity, shelf.hashes, self.allowed, n, state)
        self.log_visitors = neighbours.log_visitors()
        well_sold = leaders[1].first(self.log_visitors, shelf.hashes, self.allowed, n, state)
        #: How popular rows are now.
        self.trend = Trend(neighbours, well_sold, settings.trending_smoothing).amounts
        boosted = self.effects.boosted_rows
        boosted = boosted[self.allowed[boosted]]
        # A boost of a whole category brings its most popular items in; nearer ones come by the visitor's own interests.
        self.boosted = boosted[top(self._standing(boosted), shelf.hashes[boosted], n)] if len(boosted) else boosted
        self.common = distinct(np.concatenate([self.trending, well_sold, self.fresh, self.boosted]))
        #: (len(common), dim) float32.
        self.vectors = index.vectors(self.common)
        self._more: NDArray[np.int32] = np.empty(0, np.int32)
        self._has_all = False

    def _standing(self, rows: NDArray[np.int32] | slice) -> NDArray[np.float64]:
        """Order items: the popular ones by popularity, then the others by age; finite for every row."""
        log_popularity, first_seen = self.log_popularity[rows], self._shelf.first_seen[rows].astype(np.float64)
        return np.where(log_popularity > -np.inf, log_popularity + 1e15, first_seen)

    def _is_known(self, rows: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Tell of which rows were shown as often as a new item is to be: what visitors did with them says more than their age."""
        known: NDArray[np.bool_] = self._log_shown[rows] >= self._log_budget
        return known

    def newness(self, rows: NDArray[np.int32]) -> NDArray[np.float64]:
        """Return the newness of ``rows`` in [0, 1]; 0 of what the catalogue never had or was shown as often as it is to be."""
        return np.where(self._is_known(rows), 0.0, self._shelf.newness(rows))

    def more(self, n: int) -> NDArray[np.int32]:
        """Return at least ``n`` rows that may be shown, or all there are: popular ones first, then the newest.

        For lists that personal filters left short.
        """
        if n > len(self._more) and not self._has_all:
            n = 1 << (n - 1).bit_length()  # so that visitors who need slightly different numbers share one computation
            self._more = top(np.where(self.allowed, self._standing(slice(None)), -np.inf), self._shelf.hashes, n).astype(np.int32)
            self._has_all = len(self._more) < n
        return self._more


class Scenes:
    """The scenes of the present state; what did not change since the last batch is not computed again.

    The shelf changes with the catalogue, the stock and campaigns only; the rest changes with whatever visitors do. Neither looks
    through all items for the newest and the most popular: those are kept as leaders, of whom the ones that may be shown are taken.
    """

    def __init__(self, items: ItemTable, index: VectorIndex, neighbours: NeighbourTable, settings: RankingSettings) -> None:
        self._items = items
        self._index = index
        self._neighbours = neighbours
        self._settings = settings
        self._newest = Leaders(nothing=0)
        #: By popularity of late and over weeks.
        self._popular = Leaders(), Leaders()
        #: By the identity of the effects; what is kept holds them, so it is not given to others.
        self._shelves: dict[int, Shelf] = {}
        self._scenes: dict[int, Scene] = {}
        self._shelves_of = -1
        self._scenes_of = (-1, -1, -1)

    def get(self, effects: Effects) -> Scene:
        """Return the scene of these effects in the present state."""
        self._forget_old()
        scene = self._scenes.get(id(effects))
        if scene is None:
            shelf = self._shelves.get(id(effects))
            if shelf is None:
                shelf = self._shelves[id(effects)] = Shelf(self._items, effects, self._settings, self._newest)
            scene = self._scenes[id(effects)] = Scene(shelf, self._index, self._neighbours, self._settings, self._popular)
        return scene

    def _forget_old(self) -> None:
        items, full = self._items.shown_version, len(self._shelves) >= _MAX_SCENES
        if self._shelves_of != items or full:
            self._shelves_of = items
            self._shelves.clear()
        state = (items, self._neighbours.version, self._index.version)
        if self._scenes_of != state or full:
            self._scenes_of = state
            self._scenes.clear()
