"""Every visitor's ranked list as rows of dense arrays, so that the lists that hold an item are found by one scan, with no index
from items to visitors to keep."""  # noqa: D205, D209 - one law, one sentence

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streamrec.lists.edits import Lines, ListEdits, edits_between, first_open
from streamrec.ranking import Ranking

_FIRST_CAPACITY: Final = 1024
#: Rows looked at in one step of the scan: the temporary mask stays within a core's cache.
_SCAN_ROWS: Final = 16_384
#: Lines displaced before the oldest are looked for again.
_OLDEST: Final = 4096
_COLUMNS: Final[dict[str, tuple[type[np.generic], int]]] = {
    "rows": (np.int32, -1),
    "scores": (np.float32, 0),
    "reasons": (np.uint8, 0),
    "evidence": (np.int32, -1),
    "shown": (np.bool_, 0),
}
#: Columns that a ranking has.
_RANKED: Final = ("rows", "scores", "reasons", "evidence")
#: One number per line, and that of a free line.
_NUMBERS: Final[dict[str, int]] = {"made_at": 0, "touched": -1, "seen": 0}


class ListMatrix:
    """Holds the ranked lists of the ``max_visitors`` visitors that were put last, each cut to ``k`` items.

    What is kept is what was *ranked*, sold-out items included, and which of it stands in the published list: the first
    ``list_size`` (default ``k``) that were not hidden then. So sold-out and restock are edits of the published list, and whatever
    happened in between, an edit leads from what stands to what should. 14 bytes per item of a list.
    A line keeps its number until its visitor is dropped or displaced.
    """

    def __init__(self, max_visitors: int, k: int, list_size: int | None = None) -> None:
        self._max_visitors = max_visitors
        self._k = k
        self._list_size = k if list_size is None else list_size
        self._columns: dict[str, NDArray[Any]] = {}
        self._numbers: dict[str, NDArray[np.int64]] = {}
        self._lines: dict[str, int] = {}
        self._users: list[str | None] = []
        #: Only of lines that have one.
        self._queries: dict[int, str] = {}
        self._free: list[int] = []
        #: Lines whose ranking is shorter than a list.
        self._short: set[int] = set()
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
        return sum(array.nbytes for array in (*self._columns.values(), *self._numbers.values(), self._holders))

    # -- lines -------------------------------------------------------------------------------------------------------

    def users(self) -> list[str]:
        """Return the visitors held, the longest untouched first."""
        return [self.user(line) for line in self.lines().tolist()]

    def lines(self) -> Lines:
        """Return the lines of the visitors held, the longest untouched first."""
        touched = self._numbers["touched"][: len(self._users)]
        used = np.flatnonzero(touched >= 0)
        return used[np.argsort(touched[used])]

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
        """Return the lines whose ranking is shorter than a list, because there was no more to show; in no special order."""
        return np.fromiter(self._short, np.intp, len(self._short))

    # -- rankings ----------------------------------------------------------------------------------------------------

    def put(
        self,
        user_ids: Sequence[str],
        rankings: Sequence[Ranking],
        made_at: int | Sequence[int] = 0,
        hidden: NDArray[np.bool_] | None = None,
    ) -> None:
        """Keep each visitor's ranking in the place of an earlier one; beyond the bound the longest untouched visitors go.

        ``made_at``, one or one for each, is that of the lists that were published from them, in ms, and ``hidden`` (n_items,) what
        nobody might see then.
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
        self._columns["shown"][lines] = first_open(self._columns["rows"][lines], hidden, self._list_size)
        self._numbers["made_at"][lines] = times
        for line, ranking in zip(put, rankings, strict=True):
            self._say(line, ranking.query)
            (self._short.add if len(ranking) < self._list_size else self._short.discard)(line)

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
        n = int(np.count_nonzero(self._columns["rows"][line] >= 0))
        rows, scores, reasons, evidence = (self._columns[name][line, :n].copy() for name in _RANKED)
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
        """Return the lines whose ranked lists hold any of the items, ascending; one scan whatever the number of items."""
        return np.unique(self.places_holding(item_rows)[0])

    def places_holding(self, item_rows: Iterable[int] | NDArray[np.integer[Any]]) -> tuple[Lines, NDArray[np.int32]]:
        """Return every (line, item) of a list that holds one of the items, as two arrays, lines ascending; one scan."""
        wanted = self.held(np.unique(np.asarray(item_rows if isinstance(item_rows, np.ndarray) else list(item_rows), np.int32)))
        if not wanted.size:
            return np.empty(0, np.intp), np.empty(0, np.int32)
        mask = np.zeros(len(self._holders), np.bool_)
        mask[wanted] = True
        found = list(_scan(self._columns["rows"][: len(self._users)], mask))
        return np.concatenate([lines for lines, _ in found]), np.concatenate([items for _, items in found])

    # -- what is published -------------------------------------------------------------------------------------------

    def edits(self, lines: Lines, hidden: NDArray[np.bool_]) -> ListEdits:
        """Return how the published lists on the lines become what they should be while ``hidden`` (n_items,) may not be seen."""
        rows = self._columns["rows"][lines]
        return edits_between(lines, rows, self._columns["shown"][lines], first_open(rows, hidden, self._list_size))

    def made_at_of(self, lines: Lines) -> list[int]:
        """Return when the published list of each line was made, in ms."""
        times: list[int] = self._numbers["made_at"][lines].tolist()
        return times

    def publish(self, lines: Lines, shown: NDArray[np.bool_], made_at: int) -> None:
        """Know that the published lists were edited: (m,) lines, (m, k) which places of them stand there now."""
        self._columns["shown"][lines] = shown
        self._numbers["made_at"][lines] = made_at

    def at(self, name: str, lines: Lines, places: NDArray[np.intp]) -> NDArray[Any]:
        """Return (e,) values of ``rows``, ``scores``, ``reasons`` or ``evidence``."""
        values: NDArray[Any] = self._columns[name][lines, places]
        return values

    def recognise(self, user_id: str, rows: NDArray[np.int32], made_at: int) -> bool:
        """Know that ``rows`` stand in the visitor's published list; False where the ranking held has not all, in this order."""
        line = self._lines.get(user_id)
        if line is None:
            return False
        held = self._columns["rows"][line]
        shown = np.isin(held, rows) & (held >= 0)
        if not np.array_equal(held[shown], rows):
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


def _scan(rows: NDArray[np.int32], mask: NDArray[np.bool_]) -> Iterator[tuple[Lines, NDArray[np.int32]]]:
    for start in range(0, len(rows), _SCAN_ROWS):
        part = rows[start : start + _SCAN_ROWS]
        places = np.flatnonzero(mask[part])
        yield start + places // part.shape[1], part.ravel()[places]
