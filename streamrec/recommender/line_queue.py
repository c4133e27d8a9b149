"""Lines of the matrix that wait for something, each once, in arrays: a million are marked in some milliseconds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamrec.lists.edits import Lines


class LineQueue:
    """The most urgent lines are taken first; whoever is dropped from the matrix must be discarded here. 8 bytes per line."""

    def __init__(self) -> None:
        #: Line -> number of the batch that it waits in, 0: it does not wait.
        self._batch_of: NDArray[np.int64] = np.zeros(0, np.int64)
        #: (number, lines) of each batch, the most urgent last and in it the most urgent line last.
        self._batches: list[tuple[int, Lines]] = []
        self._number = 0
        self._waiting = 0
        #: Places in batches, those of lines that wait elsewhere by now included.
        self._places = 0

    def __len__(self) -> int:
        return self._waiting

    def mark(self, lines: Lines) -> None:
        """Let lines wait before all others, also those that wait already; the last one is the most urgent."""
        self._add(lines, urgent=True)

    def append(self, lines: Lines) -> None:
        """Let lines wait behind all others; those that wait already keep their place."""
        self._add(lines[self._numbers(lines) == 0], urgent=False)

    def take(self, n: int) -> Lines:
        """Return the ``n`` most urgent lines, or all there are, the most urgent first; they wait no more."""
        taken: list[Lines] = []
        while n > 0 and self._batches:
            number, lines = self._batches.pop()
            part, rest = lines[-n:], lines[:-n]
            self._places -= len(part)
            if len(rest):
                self._batches.append((number, rest))
            valid = part[self._batch_of[part] == number][::-1]
            self._batch_of[valid] = 0
            taken.append(valid)
            n -= len(valid)
        found = np.concatenate(taken) if taken else np.empty(0, np.intp)
        self._waiting -= len(found)
        return found

    def discard(self, lines: Lines) -> None:
        """Let lines wait no more."""
        waiting = np.unique(lines[self._numbers(lines) > 0])
        self._batch_of[waiting] = 0
        self._waiting -= len(waiting)

    def _add(self, lines: Lines, *, urgent: bool) -> None:
        if not len(lines):
            return
        lines = _last_of_each(lines)
        self._waiting += int(np.count_nonzero(self._numbers(lines) == 0))
        self._number += 1
        self._batch_of[lines] = self._number
        self._batches.insert(len(self._batches) if urgent else 0, (self._number, lines))
        self._places += len(lines)
        if self._places > 2 * self._waiting:
            self._compact()

    def _numbers(self, lines: Lines) -> NDArray[np.int64]:
        highest = int(lines.max(initial=-1))
        if highest >= len(self._batch_of):
            grown = np.zeros(2 * (highest + 1), np.int64)
            grown[: len(self._batch_of)] = self._batch_of
            self._batch_of = grown
        return self._batch_of[lines]

    def _compact(self) -> None:
        kept = [(number, lines[self._batch_of[lines] == number]) for number, lines in self._batches]
        self._batches = [(number, lines) for number, lines in kept if len(lines)]
        self._places = self._waiting


def _last_of_each(lines: Lines) -> Lines:
    """Return distinct lines in the order in which they stand last."""
    distinct, from_end = np.unique(lines[::-1], return_index=True)
    return lines if len(distinct) == len(lines) else lines[np.sort(len(lines) - 1 - from_end)]
