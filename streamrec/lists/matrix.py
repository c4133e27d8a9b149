"""Every visitor's ranked list as rows of dense arrays, so that who holds an item, and what to edit, is asked of all at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streamrec.lists.edits import Lines, ListEdits, edits_between
from streamrec.lists.layout import Layout, begins
from streamrec.lists.postings import Postings
from streamrec.ranking import Ranking

_FIRST_CAPACITY: Final = 1024
#: Lines displaced before the oldest are looked for again.
_OLDEST: Final = 4096
_COLUMNS: Final[dict[str, tuple[type[np.generic], int]]] = {
    "rows": (np.int32, -1),
    "scores": (np.float32, 0),
    "reasons": (np.uint8, 0),
    "evidence": (np.int32, -1),
    "shown": (np.bool_, 0),
    "sizes": (np.uint16, 0),
}
#: Columns that a ranking has.
_RANKED: Final = ("rows", "scores", "reasons", "evidence")
#: One number per line, and that of a free line.
_NUMBERS: Final[dict[str, int]] = {"made_at": 0, "touched": -1, "seen": 0, "head": 0, "taken_over": 0}


class ListMatrix:
    """Holds the ranked lists of the ``max_visitors`` visitors that were put last, each cut to ``k`` items.

    What is kept is what was *ranked*, sold-out items included, where it stands in the text of the published list, and which of it
    is shown there. So sold-out and restock are edits of the published list, and whatever happened in between, an edit leads from
    what stands to what should. 18 bytes per item of a list. Lists that show fewer than ``enough`` (default ``k``) can be asked for.
    A line keeps its number until its visitor is dropped or displaced.
    """

    def __init__(self, max_visitors: int, k: int, enough: int | None = None) -> None:
        self._max_visitors = max_visitors
        self._k = k
        self._enough = k if enough is None else enough
        self._columns: dict[str, NDArray[Any]] = {}
        self._numbers: dict[str, NDArray[np.int64]] = {}
        self._lines: dict[str, int] = {}
        self._users: list[str | None] = []
        #: Only of lines that have one.
        self._queries: dict[int, str] = {}
        self._free: list[int] = []
        #: Lines whose ranking is shorter than a list.
        self._short: set[int] = set()
        self._postings = Postings()
        #: Lists that hold an item, by its row. The last place is no item's: the empty places of a list, -1, count there.
        self._holders = np.zeros(_FIRST_CAPACITY, np.int32)
        #: Counts the puts, so that the longest untouched are known.
        self._puts = 0
        #: Lines that may be displaced next, the longest untouched last, and how often lines had been put when they were found.
        self._oldest: list[tuple[int, int]] = []
        self._round = 0
        self._resize(min(_FIRST_CAPACITY, max_visitors))

    def __len__(self) -> int:
        return len(self._lines)

    def __contains__(self, user_id: str) -> bool:
        return user_id in self._lines

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return self._postings.nbytes + sum(a.nbytes for a in (*self._columns.values(), *self._numbers.values(), self._holders))

    # -- lines -------------------------------------------------------------------------------------------------------

    def users(self) -> list[str]:
        """Return the visitors held, the longest untouched first."""
        return [self.user(line) for line in self.lines().tolist()]

    def lines(self) -> Lines:
        """Return the lines of the visitors held, the longest untouched first."""
        touched = self._numbers["touched"][: len(self._users)]
        used = np.flatnonzero(touched >= 0)
        return used[np.argsort(touched[used])]

    def latest(self, lines: Lines) -> Lines:
        """Return the lines, that of the visitor put last first."""
        return lines[np.argsort(-self._numbers["touched"][lines])]

    def lines_of(self, user_ids: Iterable[str]) -> Lines:
        """Return the lines of those visitors that are held, in their order."""
        found = (self._lines.get(user_id, -1) for user_id in user_ids)
        return np.array([line for line in found if line >= 0], np.intp)

    def user(self, line: int) -> str:
        """Return the visitor on a line. Raises KeyError for a free line."""
        user_id = self._users[line]
        if user_id is None:
            raise KeyError(line)
        return user_id

    def used(self, lines: Lines) -> Lines:
        """Return those of the lines that are not free."""
        return lines[self._numbers["touched"][lines] >= 0]

    def short(self) -> Lines:
        """Return the lines whose ranking has not ``enough`` items, because there was no more to show; in no special order."""
        return np.fromiter(self._short, np.intp, len(self._short))

    # -- rankings ----------------------------------------------------------------------------------------------------

    def put(
        self,
        user_ids: Sequence[str],
        rankings: Sequence[Ranking],
        made_at: int | Sequence[int] = 0,
        layouts: Sequence[Layout | None] = (),
        *,
        taken_over: bool = False,
    ) -> None:
        """Keep each visitor's ranking in the place of an earlier one; beyond the bound the longest untouched visitors go.

        ``made_at``, one or one for each, is that of the lists that were published from them, in ms, and ``layouts`` says where
        their items stand in them; what has no layout cannot be edited. A ranking has row -1 where its list has a blank of which
        nobody knows what it was. Lists that somebody else wrote are ``taken_over``.
        """
        # Of several rankings for one line, a visitor's or of visitors who displace each other, the last one stands.
        put = {self._line(user_id): n for n, user_id in enumerate(user_ids)}
        if not put:
            return
        last = list(put.values())
        times = np.broadcast_to(np.asarray(made_at, np.int64), len(user_ids))[last]
        rankings = [rankings[n] for n in last]
        lines = np.fromiter(put, np.intp, len(put))
        self._count(lines, -1)
        for name in _RANKED:
            self._columns[name][lines] = self._block(name, rankings)
        self._count(lines, 1)
        self._postings.changed(lines)
        self._columns["shown"][lines] = self._columns["rows"][lines] >= 0
        self._columns["sizes"][lines] = 0
        self._numbers["made_at"][lines] = times
        self._numbers["taken_over"][lines] = taken_over
        for line, n in put.items() if layouts else ():
            self._lay_out(line, layouts[n])
        for line, ranking in zip(put, rankings, strict=True):
            self._say(line, ranking.query)
            (self._short.add if np.count_nonzero(ranking.rows >= 0) < self._enough else self._short.discard)(line)

    def _lay_out(self, line: int, layout: Layout | None) -> None:
        if layout is None:
            return
        n = min(len(layout.sizes), self._k)
        self._numbers["head"][line] = layout.head
        self._columns["sizes"][line, :n] = layout.sizes[:n]
        self._columns["shown"][line, :n] &= layout.shown[:n]

    def _block(self, name: str, rankings: Collection[Ranking]) -> NDArray[Any]:
        """Return one column of rankings, (m, k)."""
        dtype, empty = _COLUMNS[name]
        block = np.full((len(rankings), self._k), empty, dtype)
        for line, ranking in zip(block, rankings, strict=True):
            values = getattr(ranking, name)[: self._k]
            line[: len(values)] = values
        return block

    def get(self, user_id: str) -> Ranking | None:
        """Return a visitor's ranking, None for a visitor not held."""
        line = self._lines.get(user_id)
        return None if line is None else self.ranking(line)

    def made_at(self, user_id: str) -> int:
        """Return when the visitor's published list was made, in ms; 0 for a visitor not held."""
        line = self._lines.get(user_id)
        return 0 if line is None else int(self._numbers["made_at"][line])

    def ranking(self, line: int) -> Ranking:
        """Return the ranking on a line; its arrays are copies."""
        ranked = self._columns["rows"][line] >= 0
        rows, scores, reasons, evidence = (self._columns[name][line][ranked] for name in _RANKED)
        return Ranking(rows, scores, reasons, evidence, self.query(line))

    def query(self, line: int) -> str:
        """Return the query that the reasons on a line speak of."""
        return self._queries.get(line, "")

    def shown(self, user_id: str) -> NDArray[np.int32]:
        """Return the rows of the visitor's published list, best first; none for a visitor not held."""
        line = self._lines.get(user_id)
        return np.empty(0, np.int32) if line is None else self._columns["rows"][line][self._columns["shown"][line]]

    def drop(self, user_ids: Iterable[str]) -> int:
        """Forget visitors and return how many there were."""
        lines = [line for line in (self._lines.pop(user_id, None) for user_id in user_ids) if line is not None]
        if lines:
            self._count(np.array(lines, np.intp), -1)
            self._postings.changed(np.array(lines, np.intp))
        for line in lines:
            self._columns["rows"][line] = -1
            self._columns["shown"][line] = False
            self._numbers["touched"][line] = -1
            self._users[line] = None
            self._queries.pop(line, None)
            self._short.discard(line)
        self._free.extend(lines)
        return len(lines)

    # -- who holds what ----------------------------------------------------------------------------------------------

    def held(self, item_rows: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return those of the items that are in any ranked list: nothing is scanned for the others."""
        known = item_rows[(item_rows >= 0) & (item_rows < len(self._holders) - 1)]
        return known[self._holders[known] > 0]

    def users_holding(self, item_rows: Iterable[int] | NDArray[np.integer[Any]]) -> list[str]:
        """Return the visitors whose ranked lists hold any of the items."""
        return [self.user(line) for line in self.lines_holding(item_rows).tolist()]

    def lines_holding(self, item_rows: Iterable[int] | NDArray[np.integer[Any]]) -> Lines:
        """Return the lines whose ranked lists hold any of the items, ascending."""
        wanted = self.held(np.unique(np.asarray(item_rows if isinstance(item_rows, np.ndarray) else list(item_rows), np.int32)))
        if not wanted.size:
            return np.empty(0, np.intp)
        mask = np.zeros(len(self._holders), np.bool_)
        mask[wanted] = True
        return self._postings.holding(self._columns["rows"][: len(self._users)], mask)

    def holding(self, user_ids: Sequence[str], mask: NDArray[np.bool_], n: int) -> list[NDArray[np.int32]]:
        """Return, of each visitor's ranked list, the first ``n`` items that are in ``mask``, (n_items,); of one not held none."""
        lines = np.array([self._lines.get(user_id, -1) for user_id in user_ids], np.intp)
        rows = self._columns["rows"][lines]
        # Row -1, an empty place, looks at the last item; line -1, that of a visitor not held, at the last line.
        found = (rows >= 0) & mask[rows] & (lines >= 0)[:, None] if len(mask) else np.zeros(rows.shape, np.bool_)
        return [own[kept][:n] for own, kept in zip(rows, found, strict=True)]

    # -- what is published -------------------------------------------------------------------------------------------

    def edits(self, lines: Lines, hidden: NDArray[np.bool_]) -> ListEdits:
        """Return how the published lists on the lines become what they should be while ``hidden`` (n_items,) may not be seen.

        Lists without a layout are left out.
        """
        sizes = self._columns["sizes"][lines]
        laid = sizes.any(axis=1)
        lines, sizes = lines[laid], sizes[laid]
        rows = self._columns["rows"][lines]
        # Row -1, an empty place, looks at the last item.
        shown = (rows >= 0) & ~hidden[rows]
        return edits_between(lines, self._columns["shown"][lines], shown, self._numbers["head"][lines], sizes)

    def taken_over(self, lines: Lines) -> NDArray[np.bool_]:
        """Return which of the lists stand as somebody else wrote them, (m,) bool."""
        return self._numbers["taken_over"][lines] > 0

    def made_at_of(self, lines: Lines) -> NDArray[np.int64]:
        """Return when the published list of each line was made, in ms, (m,)."""
        times: NDArray[np.int64] = self._numbers["made_at"][lines]
        return times

    def publish(self, lines: Lines, shown: NDArray[np.bool_], made_at: NDArray[np.int64]) -> None:
        """Know that the published lists were edited: (m, k) which places are shown now, and (m,) their ``made_at``, in ms."""
        self._columns["shown"][lines] = shown
        self._numbers["made_at"][lines] = made_at
        self._numbers["taken_over"][lines] = 0

    def ranked_items(self, lines: Lines) -> NDArray[np.intp]:
        """Return how many items each list has, hidden ones included, (m,)."""
        ranked: NDArray[np.intp] = np.count_nonzero(self._columns["rows"][lines] >= 0, axis=1)
        return ranked

    def at(self, name: str, lines: Lines, places: NDArray[np.intp]) -> NDArray[Any]:
        """Return (e,) values of ``rows``, ``scores``, ``reasons`` or ``evidence``."""
        values: NDArray[Any] = self._columns[name][lines, places]
        return values

    def recognise(self, user_id: str, rows: NDArray[np.int32], layout: Layout, made_at: int) -> bool:
        """Know what is shown in the visitor's published list, (n,) ``rows``, and where; False where the list is none of ours.

        It is ours when each item stands where the ranking that is held has it.
        """
        line = self._lines.get(user_id)
        if line is None or layout.head != self._numbers["head"][line]:
            return False
        held = self._columns["rows"][line]
        shown = np.isin(held, rows) & (held >= 0)
        kept, found = begins(self._columns["sizes"][line])[shown], begins(layout.sizes)[layout.shown]
        if not (np.array_equal(held[shown], rows) and np.array_equal(kept, found)):
            return False
        self._columns["shown"][line] = shown
        self._numbers["made_at"][line] = made_at
        return True

    # -- rounds ------------------------------------------------------------------------------------------------------

    def begin_round(self) -> None:
        """Begin to note who is put or seen from now on."""
        self._round += 1

    def see(self, user_id: str) -> None:
        """Note that a visitor was seen in this round, if held."""
        line = self._lines.get(user_id)
        if line is not None:
            self._numbers["seen"][line] = self._round

    def unseen(self) -> list[str]:
        """Return the visitors who were neither put nor seen in this round."""
        numbers, n = self._numbers, len(self._users)
        lines = np.flatnonzero((numbers["touched"][:n] >= 0) & (numbers["seen"][:n] < self._round))
        return [self.user(line) for line in lines.tolist()]

    # -- inside ------------------------------------------------------------------------------------------------------

    def _say(self, line: int, query: str) -> None:
        if query:
            self._queries[line] = query
        else:
            self._queries.pop(line, None)

    def _count(self, lines: Lines, by: int) -> None:
        """Count the lists' items as held, or no more; an item stands in a list once."""
        rows = self._columns["rows"][lines].ravel()
        highest = int(rows.max(initial=-1))
        if highest >= len(self._holders) - 1:
            grown = np.zeros(2 * (highest + 2), np.int32)
            grown[: len(self._holders) - 1] = self._holders[:-1]
            self._holders = grown
        np.add.at(self._holders, rows, np.int32(by))

    def _line(self, user_id: str) -> int:
        line = self._lines.get(user_id)
        if line is None:
            line = self._new_line()
            self._lines[user_id] = line
            self._users[line] = user_id
        self._puts += 1
        self._numbers["touched"][line] = self._puts
        self._numbers["seen"][line] = self._round
        return line

    def _new_line(self) -> int:
        if self._free:
            return self._free.pop()
        if len(self._users) >= self._max_visitors:
            return self._displaced()
        if len(self._users) >= len(self._columns["rows"]):
            self._resize(min(self._max_visitors, 2 * len(self._users)))
        self._users.append(None)
        return len(self._users) - 1

    def _displaced(self) -> int:
        """Take the line of the longest untouched visitor."""
        touched = self._numbers["touched"]
        while True:
            if not self._oldest:
                first = np.argpartition(touched, min(_OLDEST, len(touched) - 1))[:_OLDEST]
                first = first[np.argsort(-touched[first])]
                self._oldest = list(zip(first.tolist(), touched[first].tolist(), strict=True))
            line, at = self._oldest.pop()
            if touched[line] == at:
                del self._lines[self.user(line)]
                return line

    def _resize(self, capacity: int) -> None:
        n = len(self._users)
        for number, empty in _NUMBERS.items():
            numbers = np.full(capacity, empty, np.int64)
            numbers[:n] = self._numbers.get(number, numbers)[:n]
            self._numbers[number] = numbers
        for name, (dtype, nothing) in _COLUMNS.items():
            column = np.full((capacity, self._k), nothing, dtype)
            column[:n] = self._columns.get(name, column)[:n]
            self._columns[name] = column

    # -- overlays ----------------------------------------------------------------------------------------------------

    def ranked(
        self, lines: NDArray[np.intp]
    ) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.uint8], NDArray[np.int32]]:
        """Return (m, k) rows (-1 for empty places), scores, reasons and evidence of the lines; copies."""
        columns = self._columns
        return columns["rows"][lines], columns["scores"][lines], columns["reasons"][lines], columns["evidence"][lines]

    def rescore(self, lines: NDArray[np.intp], scores: NDArray[np.float32]) -> None:
        """Keep (m, k) other scores on the lines; the order stays."""
        self._columns["scores"][lines] = scores
