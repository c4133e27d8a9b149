"""Events as columns, one line for each item that an event names, and which of two kinds of event follows which."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

#: (n,) columns by name.
Table = dict[str, NDArray[Any]]

#: Per column its type. ``first`` is 1 on the first line of a message, ``assigned`` the variant that the visitor is in.
_COLUMNS: Final = {"visitor": "q", "item": "q", "ts": "q", "event": "q", "label": "b", "assigned": "b", "first": "b"}


class Rows:
    """Lines that are added one after the other, 35 bytes each."""

    def __init__(self) -> None:
        self._columns: dict[str, array[int]] = {name: array(code) for name, code in _COLUMNS.items()}

    def __len__(self) -> int:
        return len(self._columns["ts"])

    def add(self, items: Sequence[int], **same: int) -> None:
        """Add a message: a line for each of its items, of which there is at least one; all else is the ``same``."""
        n, columns = len(items), self._columns
        columns["item"].extend(items)
        columns["first"].append(1)
        columns["first"].extend([0] * (n - 1))
        for name, value in same.items():
            columns[name].extend([value] * n)

    def column(self, name: str) -> NDArray[Any]:
        """Return a column, (n,); a copy."""
        return np.array(self._columns[name], np.dtype(_COLUMNS[name]))

    def keep(self, mask: NDArray[np.bool_]) -> None:
        """Forget the lines that are not in ``mask``, (n,)."""
        for name, code in _COLUMNS.items():
            self._columns[name] = array(code, self.column(name)[mask].tobytes())

    def once(self, names: Sequence[str]) -> Table:
        """Return the lines in the order of ``names``, of those that agree in all of them the earliest alone.

        Of equally early ones that of the greatest label, so that the order of arrival decides nothing.
        """
        told = {name: self.column(name) for name in _COLUMNS}
        order = np.lexsort([-told["label"], told["ts"], *(told[name] for name in reversed(names))])
        ordered = {name: column[order] for name, column in told.items()}
        return taken(ordered, starts(ordered, names))


def taken(table: Table, mask: NDArray[np.bool_]) -> Table:
    """Return the lines of a table that are in ``mask``, (n,)."""
    return {name: column[mask] for name, column in table.items()}


def starts(table: Table, names: Sequence[str]) -> NDArray[np.bool_]:
    """Return (n,) bool: which lines of an ordered table differ in any of ``names`` from the line before."""
    first = np.ones(len(table[names[0]]), np.bool_)
    for name in names:
        # The first line has none before it, whatever is asked.
        first[1:] &= table[name][1:] == table[name][:-1]
    first[1:] = ~first[1:]
    return first


def follow(shown: Table, acts: Table, names: Sequence[str], window_ms: int) -> tuple[NDArray[np.intp], int]:
    """Return which lines of ``shown`` were followed by an act that agrees with them in all ``names``, and how many acts did so.

    An act follows the latest line of ``shown`` that is no later than it, if that is no more than ``window_ms`` ago; one line may be
    followed by several.
    """
    n, m = len(shown["ts"]), len(acts["ts"])
    is_act = np.repeat([False, True], [n, m])
    both = {name: np.concatenate([shown[name], acts[name]]) for name in (*names, "ts")}
    # At one moment what is shown comes first.
    order = np.lexsort([is_act, both["ts"], *(both[name] for name in names)])
    is_act, both = is_act[order], {name: column[order] for name, column in both.items()}
    latest = np.maximum.accumulate(np.where(is_act, -1, np.arange(n + m)))
    act = np.flatnonzero(is_act & (latest >= 0))
    before = latest[act]
    follows = both["ts"][act] - both["ts"][before] <= window_ms
    for name in names:
        follows &= both[name][act] == both[name][before]
    return np.unique(order[before[follows]]), int(follows.sum())
