"""What visitors met near what: the recommender's replica of item-neighbours, and candidates out of it.

Similarity is the co-visitation count normalised by both items' totals, t / sqrt(d_a d_b), as in item-to-item collaborative
filtering (Linden, Smith and York, IEEE Internet Computing 2003), damped where few visitors stand behind it.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamrec.catalogue.table import ItemTable
from streamrec.events import ItemNeighbours

#: A similarity that rests on one visitor counts half, on nine visitors nine tenths.
_DOUBT: Final = 1.0
_FIRST_CAPACITY: Final = 1024
_NOTHING: Final = (-np.inf, -np.inf)


@dataclass(frozen=True, slots=True)
class Related:
    """Items met together with others: rows int32, strengths float64 in [0, 1], because int32 row that speaks for each the most."""

    rows: NDArray[np.int32]
    strengths: NDArray[np.float64]
    because: NDArray[np.int32]


@dataclass(slots=True)
class _Record:
    ids: tuple[str, ...]
    together: NDArray[np.float64]
    bought: NDArray[np.float64]
    any_bought: bool
    #: as_of in half-lives.
    age: float
    rows: NDArray[np.int32] | None = None
    #: Length of the item table when ``rows`` were looked up; -1 once all were found.
    looked_at: int = 0


@dataclass(frozen=True, slots=True)
class NeighbourState:
    """Everything that a neighbour table holds: n records, the longest ago updated first, with m neighbours in all."""

    owners: list[str]
    #: (n,): where each record's neighbours end in the arrays below, and its age.
    ends: NDArray[np.int64]
    ages: NDArray[np.float64]
    #: (m,): the place of each neighbour's id in ``names``, its ``together`` and its ``bought``.
    places: NDArray[np.int32]
    together: NDArray[np.float64]
    bought: NDArray[np.float64]
    names: list[str]
    #: (2, rows), see the table.
    logs: NDArray[np.float64]
    waiting: dict[str, tuple[float, float]]
    version: int


class NeighbourTable:
    """Holds the newest record of each item; at ``max_items`` the one that was updated longest ago is forgotten.

    Weights decay exponentially, so only their ratios matter and none depends on the time of reading: everything is kept as log2 at
    the epoch. ``popularity_half_life_s`` and ``together_half_life_s`` are those of the aggregator that wrote the records.
    """

    def __init__(
        self,
        items: ItemTable,
        *,
        popularity_half_life_s: float = 6 * 3600.0,
        together_half_life_s: float = 30 * 86_400.0,
        max_items: int = 2_000_000,
    ) -> None:
        self._items = items
        self._popularity_ms = popularity_half_life_s * 1000
        self._together_ms = together_half_life_s * 1000
        self._max_items = max_items
        self._records: OrderedDict[str, _Record] = OrderedDict()
        #: (2, rows): log2 at the epoch of each row's popularity and of its degree, the sum of its ``together``.
        self._logs = np.full((2, _FIRST_CAPACITY), -np.inf)
        #: The same two numbers of items that the item table does not know yet.
        self._waiting: dict[str, tuple[float, float]] = {}
        self._waited_for = 0
        #: Grows with every change of a popularity.
        self.version = 0

    def __len__(self) -> int:
        return len(self._records)

    def update(self, item_id: str, record: ItemNeighbours | None) -> None:
        """Replace what is known of an item; None forgets it."""
        self._records.pop(item_id, None)
        if record is None:
            self._set(item_id, _NOTHING)
            return
        neighbours = record.neighbours
        together = np.array([n.together for n in neighbours], np.float64)
        bought = np.array([n.bought for n in neighbours], np.float64)
        age = record.as_of / self._together_ms
        self._records[item_id] = _Record(tuple([n.item_id for n in neighbours]), together, bought, bool(bought.any()), age)
        self._set(item_id, (_log2(record.popularity) + record.as_of / self._popularity_ms, _log2(float(together.sum())) + age))
        if len(self._records) > self._max_items:
            oldest, _ = self._records.popitem(last=False)
            self._set(oldest, _NOTHING)

    # -- the whole ---------------------------------------------------------------------------------------------------

    def state(self) -> NeighbourState:
        """Return everything; an id that many records name is held once."""
        records = self._records.values()
        places: dict[str, int] = {}
        flat = [places.setdefault(item_id, len(places)) for record in records for item_id in record.ids]
        nothing = np.empty(0)
        return NeighbourState(
            list(self._records),
            np.cumsum([len(record.ids) for record in records], dtype=np.int64),
            np.array([record.age for record in records], np.float64),
            np.array(flat, np.int32),
            np.concatenate([nothing, *(record.together for record in records)]),
            np.concatenate([nothing, *(record.bought for record in records)]),
            list(places),
            self._logs,
            self._waiting,
            self.version,
        )

    def restore(self, state: NeighbourState) -> None:
        """Become what ``state`` was of; the item table must be the same, row by row.

        Raises ValueError where the arrays do not belong together.
        """
        n, m = len(state.owners), len(state.places)
        last = int(state.ends[-1]) if len(state.ends) else 0
        if not (n == len(state.ends) == len(state.ages) and m == len(state.together) == len(state.bought) == last):
            msg = f"{n} records of {m} neighbours do not belong together; read the topic instead"
            raise ValueError(msg)
        ids = list(map(state.names.__getitem__, state.places.tolist()))
        purchases = np.concatenate([[0], np.cumsum(state.bought != 0)])
        ends = state.ends.tolist()
        starts = [0, *ends[:-1]]
        any_bought = (purchases[ends] > purchases[starts[:n]]).tolist()
        spans = zip(state.owners, starts, ends, any_bought, state.ages.tolist(), strict=False)
        self._records = OrderedDict(
            (owner, _Record(tuple(ids[a:b]), state.together[a:b], state.bought[a:b], any_, age)) for owner, a, b, any_, age in spans
        )
        self._logs, self._waiting, self._waited_for, self.version = state.logs, dict(state.waiting), 0, state.version

    # -- numbers by row ----------------------------------------------------------------------------------------------

    def _set(self, item_id: str, logs: tuple[float, float]) -> None:
        row = self._items.find(item_id)
        if row >= 0:
            self._waiting.pop(item_id, None)
            self._reserve(row + 1)
            self._logs[:, row] = logs
            self.version += 1
        elif logs != _NOTHING:
            self._waiting[item_id] = logs
        else:
            self._waiting.pop(item_id, None)

    def _reserve(self, n: int) -> None:
        have = self._logs.shape[1]
        if n > have:
            grown = np.full((2, max(n, 2 * have)), -np.inf)
            grown[:, :have] = self._logs
            self._logs = grown

    def _settle(self) -> NDArray[np.float64]:
        """Give rows to what waited for the item table to know it; return the numbers of all rows, (2, n)."""
        n = len(self._items)
        self._reserve(n)
        if self._waiting and n != self._waited_for:
            self._waited_for = n
            for item_id in [item_id for item_id in self._waiting if item_id in self._items]:
                self._set(item_id, self._waiting[item_id])
        return self._logs[:, :n]

    def log_popularity(self) -> NDArray[np.float64]:
        """Return log2 of each row's decayed visitors, on one scale for all rows and moments; -inf where there were none."""
        popularity: NDArray[np.float64] = self._settle()[0]
        return popularity

    # -- neighbours --------------------------------------------------------------------------------------------------

    def related(
        self, seeds: NDArray[np.int32], *, bought: bool = False
    ) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.intp]]:
        """Return the neighbours of items as rows, similarities in (0, 1] and the position of the seed that each belongs to.

        With ``bought`` only what was bought together counts, for each seed where anything was.
        """
        found = [(i, record) for i, row in enumerate(seeds.tolist()) if (record := self._records.get(self._items.id(row)))]
        if not found:
            return np.empty(0, np.int32), np.empty(0), np.empty(0, np.intp)
        rows = np.concatenate([self._rows(record) for _, record in found])
        counts = np.concatenate([r.bought if bought and r.any_bought else r.together for _, r in found])
        lengths = [len(record.ids) for _, record in found]
        of_seed = np.repeat(np.array([i for i, _ in found], np.intp), lengths)
        ages = np.repeat(np.array([record.age for _, record in found]), lengths)
        known = (rows >= 0) & (counts > 0) & (rows != seeds[of_seed])
        rows, counts, of_seed, ages = rows[known], counts[known], of_seed[known], ages[known]
        degrees = self._settle()[1]
        mine, theirs = degrees[seeds[of_seed]], degrees[rows]
        # An item whose own record has not come yet is taken to be as well known as the one that names it.
        theirs = np.where(theirs > -np.inf, theirs, mine)
        similarity = np.minimum(np.exp2(np.log2(counts) + ages - (mine + theirs) / 2), 1.0)
        return rows, similarity * counts / (counts + _DOUBT), of_seed

    def _rows(self, record: _Record) -> NDArray[np.int32]:
        if record.rows is None or (record.looked_at >= 0 and record.looked_at != len(self._items)):
            record.rows = self._items.find_all(record.ids)
            record.looked_at = len(self._items) if (record.rows < 0).any() else -1
        return record.rows


def from_seeds(table: NeighbourTable, seeds: NDArray[np.int32], weights: NDArray[np.float64], *, bought: bool = False) -> Related:
    """Join the neighbours of ``seeds`` (s,), each counting by its weight in [0, 1].

    A strength is s / (s + 0.1) of the summed similarity s: two seeds that agree say more than one, and none says everything.
    """
    rows, similarity, of_seed = table.related(seeds, bought=bought)
    if not len(rows):
        return Related(np.empty(0, np.int32), np.empty(0), np.empty(0, np.int32))
    votes = similarity * weights[of_seed]
    unique, place = np.unique(rows, return_inverse=True)
    sums = np.bincount(place, votes, len(unique))
    # The strongest vote for each: writing votes in rising order leaves the greatest standing; of equal ones the earliest seed.
    rising = np.lexsort((-np.arange(len(votes)), votes))
    because = np.empty(len(unique), np.int32)
    because[place[rising]] = seeds[of_seed[rising]]
    return Related(unique.astype(np.int32), sums / (sums + 0.1), because)


def _log2(value: float) -> float:
    return math.log2(value) if value > 0 else -math.inf
