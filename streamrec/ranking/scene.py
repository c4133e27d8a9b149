"""What all visitors of a batch have in common: computed once per batch and group of segments, then only read."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamrec.campaigns import Effects
from streamrec.candidates import NeighbourTable, fresh, newness, popularity, trending
from streamrec.candidates.ordering import top
from streamrec.catalogue.table import ItemTable
from streamrec.config import RankingSettings
from streamrec.index import VectorIndex

#: An item counts as new for so many half-lives after its first sight, measured from the newest item.
_NEW_FOR_HALF_LIVES = 7


class Scene:
    """Popular, new and boosted items that may be shown, and the measures that scores are relative to.

    ``allowed`` is (n_items,) bool: available and not excluded by a campaign.
    """

    def __init__(
        self, items: ItemTable, index: VectorIndex, neighbours: NeighbourTable, effects: Effects, settings: RankingSettings
    ) -> None:
        self.effects = effects
        self.allowed: NDArray[np.bool_] = items.available & ~effects.excluded
        self._hashes = items.id_hash
        self._first_seen = items.first_seen_ms
        self._half_life_s = settings.new_half_life_s
        self._log_popularity = neighbours.log_popularity()
        self._greatest = float(self._log_popularity.max(initial=-np.inf))
        self._newest = int(self._first_seen.max(initial=0))
        n = settings.candidates_per_interest
        self.trending = trending(self._log_popularity, self.allowed, self._hashes, n)
        since = max(1, self._newest - int(_NEW_FOR_HALF_LIVES * self._half_life_s * 1000))
        self.fresh = np.sort(fresh(self._first_seen, self.allowed, self._hashes, n, since_ms=since))
        boosted = effects.boosted_rows
        boosted = boosted[self.allowed[boosted]]
        # A boost of a whole category brings its most popular items in; nearer ones come by the visitor's own interests.
        self.boosted = boosted[top(self._standing()[boosted], self._hashes[boosted], n)] if len(boosted) else boosted
        self.common = np.unique(np.concatenate([self.trending, self.fresh, self.boosted]))
        #: (len(common), dim) float32.
        self.vectors = index.vectors(self.common)
        self._more: NDArray[np.int32] = np.empty(0, np.int32)
        self._has_all = False

    def popularity(self, rows: NDArray[np.int32]) -> NDArray[np.float64]:
        """Return the popularity of ``rows`` in [0, 1]."""
        return popularity(self._log_popularity, rows, self._greatest)

    def newness(self, rows: NDArray[np.int32]) -> NDArray[np.float64]:
        """Return the newness of ``rows`` in [0, 1]; 0 where the catalogue never had the item."""
        first_seen = self._first_seen[rows]
        return np.where(first_seen > 0, newness(first_seen, self._newest, self._half_life_s), 0.0)

    def _standing(self) -> NDArray[np.float64]:
        """Order all items: the popular ones by popularity, then the others by age; finite for every row."""
        first_seen = self._first_seen.astype(np.float64)
        return np.where(self._log_popularity > -np.inf, self._log_popularity + 1e15, first_seen)

    def more(self, n: int) -> NDArray[np.int32]:
        """Return at least ``n`` rows that may be shown, or all there are: popular ones first, then the newest.

        For lists that personal filters left short.
        """
        if n > len(self._more) and not self._has_all:
            n = 1 << (n - 1).bit_length()  # so that visitors who need slightly different numbers share one computation
            self._more = top(np.where(self.allowed, self._standing(), -np.inf), self._hashes, n).astype(np.int32)
            self._has_all = len(self._more) < n
        return self._more
