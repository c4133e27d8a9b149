"""How a published list becomes another one of the same ranking: which items go, which come, and in front of which."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Lines = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class ListEdits:
    """Edits of (m,) lines that differ; the other arrays are (e,) over the edits, a line's together, in the order of its list."""

    #: The lines, each once, in the order in which they were asked for.
    lines: Lines
    #: (m, k) bool; which places stand in the published list once it is edited.
    shown: NDArray[np.bool_]
    #: (m,) int; how many places are ranked.
    ranked: NDArray[np.intp]
    #: Edits of each line, (m,).
    counts: NDArray[np.intp]
    #: The place that goes or comes.
    places: NDArray[np.intp]
    comes: NDArray[np.bool_]
    #: The place that what comes stands in front of, k: at the end; for what goes its own place.
    before: NDArray[np.intp]

    @property
    def of(self) -> Lines:
        """The line of each edit, (e,)."""
        return np.repeat(self.lines, self.counts)


def first_open(rows: NDArray[np.int32], hidden: NDArray[np.bool_] | None, n: int) -> NDArray[np.bool_]:
    """Return which of (m, k) ranked rows are published, (m, k) bool: of each line the first ``n`` that are not hidden."""
    shown = rows >= 0
    if hidden is not None:
        # Row -1, an empty place, looks at the last item; it is closed already.
        shown &= ~hidden[rows]
    if n < rows.shape[1]:
        shown &= np.cumsum(shown, axis=1, dtype=np.int16) <= n
    return shown


def edits_between(lines: Lines, rows: NDArray[np.int32], stands: NDArray[np.bool_], shown: NDArray[np.bool_]) -> ListEdits:
    """Return the edits that lead from the (m, k) places that stand to those that are to be shown; unchanged lines are left out."""
    differs = stands != shown
    touched = np.flatnonzero(differs.any(axis=1))
    lines, rows, stands, shown, differs = lines[touched], rows[touched], stands[touched], shown[touched], differs[touched]
    which, places = np.nonzero(differs)
    comes = shown[which, places]
    before = np.where(comes, _next_kept(stands & shown)[which, places], places)
    order = np.lexsort((places, before, which))
    counts = np.bincount(which, minlength=len(lines))
    return ListEdits(lines, shown, np.count_nonzero(rows >= 0, axis=1), counts, places[order], comes[order], before[order])


def _next_kept(kept: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Return for every place the first kept one from there on, k where none is; (m, k) int16."""
    k = kept.shape[1]
    places = np.where(kept, np.arange(k, dtype=np.int16), np.int16(k))
    return np.minimum.accumulate(places[:, ::-1], axis=1)[:, ::-1]
