"""Every visitor's ranked list as rows of dense arrays, so that the lists that hold an item are found by one scan, with no index
from items to visitors to keep."""  # noqa: D205, D209 - one law, one sentence

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streamrec.ranking import Ranking

_FIRST_CAPACITY: Final = 1024
#: Rows looked at in one step of the scan: the temporary mask stays within a core's cache.
_SCAN_ROWS: Final = 16_384
_COLUMNS: Final[dict[str, tuple[type[np.generic], int]]] = {
    "rows": (np.int32, -1),
    "scores": (np.float32, 0),
    "reasons": (np.uint8, 0),
    "evidence": (np.int32, -1),
}


class ListMatrix:
    """Holds the ranked lists of the ``max_visitors`` visitors that were put last, each cut to ``k`` items.

    What is kept is what was *ranked*, sold-out items included: what is published is ranked minus unavailable, so sold-out and
    restock are both "publish again". 13 bytes per item of a list.
    A line keeps its number until its visitor is dropped or displaced.
    """

    def __init__(self, max_visitors: int, k: int) -> None:
        self._max_visitors = max_visitors
        self._k = k
        self._columns: dict[str, NDArray[Any]] = {}
        self._made_at = np.zeros(0, np.int64)
        #: user id -> line, the longest untouched first.
        self._lines: OrderedDict[str, int] = OrderedDict()
        self._users: list[str | None] = []
        self._queries: list[str] = []
        self._free: list[int] = []
        self._resize(min(_FIRST_CAPACITY, max_visitors))

    def __len__(self) -> int:
        return len(self._lines)

    def __contains__(self, user_id: str) -> bool:
        return user_id in self._lines

    def users(self) -> list[str]:
        """Return the visitors held, the longest untouched first."""
        return list(self._lines)

    def put(self, user_ids: Sequence[str], rankings: Sequence[Ranking], made_at: int = 0) -> None:
        """Keep each visitor's ranking in the place of an earlier one; beyond the bound the longest untouched visitors go.

        ``made_at`` is that of the lists that were published from them, in ms.
        """
        for user_id, ranking in zip(user_ids, rankings, strict=True):
            line = self._line(user_id)
            n = min(len(ranking), self._k)
            for name, (_, empty) in _COLUMNS.items():
                column = self._columns[name]
                column[line, :n] = getattr(ranking, name)[:n]
                column[line, n:] = empty
            self._queries[line] = ranking.query
            self._made_at[line] = made_at

    def get(self, user_id: str) -> Ranking | None:
        """Return a visitor's ranking, None for a visitor not held."""
        line = self._lines.get(user_id)
        return None if line is None else self.ranking(line)

    def made_at(self, user_id: str) -> int:
        """Return when the visitor's published list was made, in ms; 0 for a visitor not held."""
        line = self._lines.get(user_id)
        return 0 if line is None else int(self._made_at[line])

    def ranking(self, line: int) -> Ranking:
        """Return the ranking on a line; its arrays are copies."""
        n = int(np.count_nonzero(self._columns["rows"][line] >= 0))
        rows, scores, reasons, evidence = (self._columns[name][line, :n].copy() for name in _COLUMNS)
        return Ranking(rows, scores, reasons, evidence, self._queries[line])

    def user(self, line: int) -> str:
        """Return the visitor on a line. Raises KeyError for a free line."""
        user_id = self._users[line]
        if user_id is None:
            raise KeyError(line)
        return user_id

    def users_holding(self, item_rows: Iterable[int] | NDArray[np.integer[Any]]) -> list[str]:
        """Return the visitors whose ranked lists hold any of the items."""
        return [self.user(line) for line in self.lines_holding(item_rows).tolist()]

    def lines_holding(self, item_rows: Iterable[int] | NDArray[np.integer[Any]]) -> NDArray[np.intp]:
        """Return the lines whose ranked lists hold any of the items, ascending; one scan whatever the number of items."""
        wanted = np.unique(np.asarray(item_rows if isinstance(item_rows, np.ndarray) else list(item_rows), dtype=np.int64))
        wanted = wanted[wanted >= 0]
        if not wanted.size:
            return np.empty(0, np.intp)
        rows = self._columns["rows"][: len(self._users)]
        highest = int(rows.max(initial=-1))
        # One place more than the highest row: the empty places of a list, -1, look there and find False.
        mask = np.zeros(highest + 2, np.bool_)
        mask[wanted[wanted <= highest]] = True
        found = [start + np.flatnonzero(_any(mask, rows[start : start + _SCAN_ROWS])) for start in range(0, len(rows), _SCAN_ROWS)]
        return np.concatenate(found) if found else np.empty(0, np.intp)

    def drop(self, user_ids: Iterable[str]) -> int:
        """Forget visitors and return how many there were."""
        lines = [line for line in (self._lines.pop(user_id, None) for user_id in user_ids) if line is not None]
        for line in lines:
            self._columns["rows"][line] = -1
            self._users[line] = None
            self._queries[line] = ""
        self._free.extend(lines)
        return len(lines)

    def _line(self, user_id: str) -> int:
        line = self._lines.get(user_id)
        if line is None:
            line = self._new_line()
            self._lines[user_id] = line
            self._users[line] = user_id
        self._lines.move_to_end(user_id)
        return line

    def _new_line(self) -> int:
        if self._free:
            return self._free.pop()
        if len(self._users) >= self._max_visitors:
            return self._lines.popitem(last=False)[1]
        if len(self._users) >= len(self._columns["rows"]):
            self._resize(min(self._max_visitors, 2 * len(self._users)))
        self._users.append(None)
        self._queries.append("")
        return len(self._users) - 1

    def _resize(self, capacity: int) -> None:
        made_at = np.zeros(capacity, np.int64)
        made_at[: len(self._users)] = self._made_at[: len(self._users)]
        self._made_at = made_at
        for name, (dtype, empty) in _COLUMNS.items():
            column = np.full((capacity, self._k), empty, dtype)
            if name in self._columns:
                column[: len(self._users)] = self._columns[name][: len(self._users)]
            self._columns[name] = column

    # -- overlays ----------------------------------------------------------------------------------------------------

    def lines_of(self, user_ids: Iterable[str]) -> NDArray[np.intp]:
        """Return the lines of those visitors that are held, in their order."""
        found = (self._lines.get(user_id, -1) for user_id in user_ids)
        return np.array([line for line in found if line >= 0], np.intp)

    def ranked(
        self, lines: NDArray[np.intp]
    ) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.uint8], NDArray[np.int32]]:
        """Return (m, k) rows (-1 for empty places), scores, reasons and evidence of the lines; copies."""
        columns = self._columns
        return columns["rows"][lines], columns["scores"][lines], columns["reasons"][lines], columns["evidence"][lines]

    def rescore(self, lines: NDArray[np.intp], scores: NDArray[np.float32]) -> None:
        """Keep (m, k) other scores on the lines; the order stays."""
        self._columns["scores"][lines] = scores


def _any(mask: NDArray[np.bool_], rows: NDArray[np.int32]) -> NDArray[np.bool_]:
    return np.asarray(mask[rows].any(axis=1))
