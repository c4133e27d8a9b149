"""What visitors met near what: the recommender's replica of item-neighbours, and candidates out of it.

For items, similarity is the co-visitation count normalised by both items' totals, t / sqrt(d_a d_b), as in item-to-item
collaborative filtering (Linden, Smith and York, IEEE Internet Computing 2003), damped where few visitors stand behind it. For
visitors, what comes next is estimated as language models estimate the next word: see ``transitions``.
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
_NOTHING: Final = (-np.inf, -np.inf, -np.inf, -np.inf)
#: Of one item, see the table.
Logs = tuple[float, float, float, float]
#: Weights are summed as whole numbers of this fraction: exact, so that no order of arrival can be seen in the sum.
_GRAIN: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Related:
    """Items met together with others: rows int32, strengths float64 in [0, 1], because int32 row that speaks for each the most."""

    rows: NDArray[np.int32]
    strengths: NDArray[np.float64]
    because: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Transitions:
    """What visitors turned to next to the items that one visitor met last."""

    #: Strengths are estimated probabilities, each what the neighbours' counts alone say; together at most 1 - ``unexplained``.
    related: Related
    #: In [0, 1]: how much is left for other estimates, the more the fewer visitors met the seeds.
    unexplained: float
    #: (s,) float64: the share of visitors that meets each seed again at once.
    again: NDArray[np.float64]


@dataclass(slots=True)
class _Record:
    ids: tuple[str, ...]
    together: NDArray[np.float64]
    bought: NDArray[np.float64]
    any_bought: bool
    #: as_of in half-lives.
    age: float
    #: As in ``ItemNeighbours``, at ``as_of``.
    total: float
    visitors: float
    again: float
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
    #: (n, 3): total, visitors and again of each record.
    sums: NDArray[np.float64]
    names: list[str]
    #: (4, rows), see the table.
    logs: NDArray[np.float64]
    waiting: dict[str, Logs]
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
        #: (4, rows): log2 at the epoch of each row's popularity, of its degree, the sum of its ``together``, and of its
        #: visitors; and log2 of how often it was shown while it was new.
        self._logs = np.full((4, _FIRST_CAPACITY), -np.inf)
        #: The same numbers of items that the item table does not know yet.
        self._waiting: dict[str, Logs] = {}
        self._waited_for = 0
        #: Over all records, in grains: visitors, and those that met their item again.
        self._visitors = self._again = 0
        #: Event time of the newest record so far, in half-lives of ``together`` since the epoch.
        self._latest = 0.0
        #: Grows with every change of one of these numbers.
        self.version = 0

    def __len__(self) -> int:
        return len(self._records)

    def update(self, item_id: str, record: ItemNeighbours | None) -> None:
        """Replace what is known of an item; None forgets it."""
        self._count(self._records.pop(item_id, None), -1)
        if record is None:
            self._set(item_id, _NOTHING)
            return
        neighbours = record.neighbours
        together = np.array([n.together for n in neighbours], np.float64)
        bought = np.array([n.bought for n in neighbours], np.float64)
        age = record.as_of / self._together_ms
        self._latest = max(self._latest, age)
        # Records of older aggregators tell no total, and of no visitor.
        total = max(record.total, math.fsum(together.tolist()))
        ids = tuple([n.item_id for n in neighbours])
        kept = _Record(ids, together, bought, bool(bought.any()), age, total, record.visitors, record.again)
        self._records[item_id] = kept
        self._count(kept, 1)
        popularity = _log2(record.popularity) + record.as_of / self._popularity_ms
        degree, visitors = _log2(float(together.sum())) + age, _log2(record.visitors) + age
        self._set(item_id, (popularity, degree, visitors, _log2(record.shown)))
        if len(self._records) > self._max_items:
            oldest, forgotten = self._records.popitem(last=False)
            self._count(forgotten, -1)
            self._set(oldest, _NOTHING)

    def _count(self, record: _Record | None, sign: int) -> None:
        if record is not None:
            self._visitors += sign * int(record.visitors * _GRAIN)
            self._again += sign * int(record.visitors * record.again * _GRAIN)

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
            np.array([(record.total, record.visitors, record.again) for record in records], np.float64).reshape(-1, 3),
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
        if not (
            n == len(state.ends) == len(state.ages) == len(state.sums) and m == len(state.together) == len(state.bought) == last
        ):
            msg = f"{n} records of {m} neighbours do not belong together; read the topic instead"
            raise ValueError(msg)
        ids = list(map(state.names.__getitem__, state.places.tolist()))
        purchases = np.concatenate([[0], np.cumsum(state.bought != 0)])
        ends = state.ends.tolist()
        starts = [0, *ends[:-1]]
        any_bought = (purchases[ends] > purchases[starts[:n]]).tolist()
        spans = zip(state.owners, starts, ends, any_bought, state.ages.tolist(), state.sums.tolist(), strict=False)
        self._records = OrderedDict(
            (owner, _Record(tuple(ids[a:b]), state.together[a:b], state.bought[a:b], any_, age, *sums))
            for owner, a, b, any_, age, sums in spans
        )
        self._latest = float(state.ages.max(initial=0.0))
        self._visitors = self._again = 0
        for record in self._records.values():
            self._count(record, 1)
        self._logs, self._waiting, self._waited_for, self.version = state.logs, dict(state.waiting), 0, state.version

    # -- numbers by row ----------------------------------------------------------------------------------------------

    def _set(self, item_id: str, logs: Logs) -> None:
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
            grown = np.full((4, max(n, 2 * have)), -np.inf)
            grown[:, :have] = self._logs
            self._logs = grown

    def _settle(self) -> NDArray[np.float64]:
        """Give rows to what waited for the item table to know it; return the numbers of all rows, (4, n)."""
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

    def log_visitors(self) -> NDArray[np.float64]:
        """Return the same with the half-life of ``together``: what sells well and not only today."""
        visitors: NDArray[np.float64] = self._settle()[2]
        return visitors

    def log_shown(self) -> NDArray[np.float64]:
        """Return log2 of about how often each row was shown while it was new; -inf where it was not."""
        shown: NDArray[np.float64] = self._settle()[3]
        return shown

    def visitors_now(self, rows: NDArray[np.int32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the decayed visitors of ``rows`` of late and over weeks, as of the newest event of the shop; (n,) each."""
        logs = self._settle()[:, rows]
        of_late, over_weeks = logs[0] - self._latest * self._together_ms / self._popularity_ms, logs[2] - self._latest
        return np.exp2(of_late), np.exp2(over_weeks)

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

    def counts(
        self, seeds: NDArray[np.int32], *, bought: bool = False
    ) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.intp], NDArray[np.float64]]:
        """Return the neighbours of items as rows, their counts, the position of the seed that each belongs to, and (s,) totals.

        With ``bought`` only what was bought together counts, for each seed where anything was.
        """
        totals = np.zeros(len(seeds))
        found = [(i, record) for i, row in enumerate(seeds.tolist()) if (record := self._records.get(self._items.id(row)))]
        if not found:
            return np.empty(0, np.int32), np.empty(0), np.empty(0, np.intp), totals
        for i, record in found:
            totals[i] = math.fsum(record.bought.tolist()) if bought and record.any_bought else record.total
        rows = np.concatenate([self._rows(record) for _, record in found])
        counts = np.concatenate([r.bought if bought and r.any_bought else r.together for _, r in found])
        of_seed = np.repeat(np.array([i for i, _ in found], np.intp), [len(record.ids) for _, record in found])
        known = (rows >= 0) & (counts > 0) & (rows != seeds[of_seed])
        return rows[known], counts[known], of_seed[known], totals

    def again(self, seeds: NDArray[np.int32], smoothing: float) -> NDArray[np.float64]:
        """Return (s,) shares of visitors who meet an item again at once, drawn to the shop's by ``smoothing`` visitors."""
        shop = self._again / self._visitors if self._visitors else 0.0
        records = [self._records.get(self._items.id(row)) for row in seeds.tolist()]
        told = np.array([(r.visitors, r.visitors * r.again) if r else (0.0, 0.0) for r in records]).reshape(-1, 2)
        shares: NDArray[np.float64] = (told[:, 1] + smoothing * shop) / (told[:, 0] + smoothing)
        return shares

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
    joined = _joined(rows, similarity * weights[of_seed], seeds[of_seed])
    return Related(joined.rows, joined.strengths / (joined.strengths + 0.1), joined.because)


def transitions(
    table: NeighbourTable, seeds: NDArray[np.int32], weights: NDArray[np.float64], smoothing: float, *, bought: bool = False
) -> Transitions:
    """Estimate what a visitor turns to who met ``seeds`` (s,), each counting by its weight, which is at least 0.

    The probability of i after a seed s is t_si / (d_s + smoothing), with t_si the visitors that met both, the nearer in a session
    the more, and d_s the sum of t_si over all i; what is missing to 1, smoothing / (d_s + smoothing), is left to those that know
    items which nobody met there yet. This is smoothing by a Dirichlet prior (Zhai and Lafferty, ACM TOIS 22(2), 2004), and over the
    seeds a linear mixture by weight. With ``bought`` those count that bought both, for each seed where anyone did.
    """
    if not len(seeds):
        return Transitions(Related(np.empty(0, np.int32), np.empty(0), np.empty(0, np.int32)), 1.0, np.empty(0))
    shares = weights / max(float(weights.sum()), 1e-300)
    rows, counts, of_seed, totals = table.counts(seeds, bought=bought)
    votes = counts * (shares / (totals + smoothing))[of_seed]
    unexplained = math.fsum((shares * smoothing / (totals + smoothing)).tolist())
    return Transitions(_joined(rows, votes, seeds[of_seed]), unexplained, table.again(seeds, smoothing))


def _joined(rows: NDArray[np.int32], votes: NDArray[np.float64], because: NDArray[np.int32]) -> Related:
    """Sum the votes of each row, rows ascending; each row's reason is its strongest vote's."""
    unique, place = np.unique(rows, return_inverse=True)
    sums = np.bincount(place, votes, len(unique)).astype(np.float64)
    # Writing votes in rising order leaves the greatest standing; of equal ones the earliest.
    rising = np.lexsort((-np.arange(len(votes)), votes))
    strongest = np.empty(len(unique), np.int32)
    strongest[place[rising]] = because[rising]
    return Related(unique.astype(np.int32), sums, strongest)


def _log2(value: float) -> float:
    return math.log2(value) if value > 0 else -math.inf
