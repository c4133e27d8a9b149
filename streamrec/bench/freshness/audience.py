"""Who has what in their list: from the lists of the histories, without a look into Redis."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamrec.bench.freshness.histories import visitors_of
from streamrec.bench.freshness.visitors import user_id

#: Items that take turns in flash sales, at most: those that stand in hardly more lists than they have to.
_HOT: Final = 16
#: Fewer are not enough for sales in turns.
_FEWEST: Final = 2


class Audience:
    """``members`` (h, k) are the items of each history's list, -1 where it is shorter; visitor n has history n modulo h."""

    def __init__(self, members: NDArray[np.int32], items: int, users: int, item_id: Callable[[int], str]) -> None:
        self._members, self._users, self._item_id = members, users, item_id
        histories = len(members)
        visitors = np.array([len(visitors_of(history, histories, users)) for history in range(histories)])
        counts = np.zeros(items, np.int64)
        for column in members.T:
            inside = column >= 0
            np.add.at(counts, column[inside], visitors[inside])
        #: How many lists hold each item, (items,).
        self.holders = counts

    def hot(self, share: float) -> list[int]:
        """Return items that at least ``share`` of the lists hold, the fewest holders first; else those with most holders."""
        order = np.argsort(self.holders, kind="stable")
        enough = order[self.holders[order] >= share * self._users]
        hot: list[int] = (enough[:_HOT] if len(enough) >= _FEWEST else order[-_HOT:]).tolist()
        return hot

    def coldest(self, n: int) -> list[int]:
        """Return the ``n`` items in fewest lists."""
        found: list[int] = np.argsort(self.holders, kind="stable")[:n].tolist()
        return found

    def top(self, n: int) -> dict[str, int]:
        """Return the ``n`` items in most lists, and in how many."""
        order = np.argsort(-self.holders, kind="stable")[:n]
        return {self._item_id(int(i)): int(self.holders[i]) for i in order}

    def sample(self, item: int, count: int, rng: Random) -> list[str]:
        """Return up to ``count`` visitors whose list held the item when it was made, from all over."""
        histories = np.flatnonzero((self._members == item).any(axis=1)).tolist()
        if not histories:
            return []
        wanted = {rng.choice(visitors_of(rng.choice(histories), len(self._members), self._users)) for _ in range(2 * count)}
        return [user_id(number) for number in sorted(wanted, key=lambda _: rng.random())[:count]]

    def anybody(self, count: int, rng: Random) -> list[str]:
        """Return ``count`` visitors, some perhaps twice."""
        return [user_id(rng.randrange(self._users)) for _ in range(count)]
