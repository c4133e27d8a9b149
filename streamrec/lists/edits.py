"""How a published list becomes another one of the same ranking: its items keep their places in the text, shown or blank."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamrec.lists.layout import begins

Lines = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class ListEdits:
    """Edits of (m,) lines that differ; the other arrays are (e,) over the edits, a line's together, in the order of its list."""

    #: The lines, each once, in the order in which they were asked for.
    lines: Lines
    #: (m, k) bool; which places are shown in the published list once it is edited.
    shown: NDArray[np.bool_]
    #: Bytes of each published list, (m,).
    length: NDArray[np.int64]
    #: Edits of each line, (m,).
    counts: NDArray[np.intp]
    #: The place that is edited.
    places: NDArray[np.intp]
    #: Where in the text the edit begins, and how many bytes it writes.
    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]
    #: Whether the item of that place is written.
    comes: NDArray[np.bool_]
    #: Whether the byte for a comma, behind the place, is among what is written, and whether a comma stands there then.
    behind: NDArray[np.bool_]
    comma: NDArray[np.bool_]

    @property
    def of(self) -> Lines:
        """The line of each edit, (e,)."""
        return np.repeat(self.lines, self.counts)

    def only(self, kept: NDArray[np.bool_]) -> ListEdits:
        """Return the edits of the lines that are ``kept``, (m,) bool."""
        if kept.all():
            return self
        mine = np.repeat(kept, self.counts)
        return ListEdits(
            self.lines[kept],
            self.shown[kept],
            self.length[kept],
            self.counts[kept],
            self.places[mine],
            self.offsets[mine],
            self.sizes[mine],
            self.comes[mine],
            self.behind[mine],
            self.comma[mine],
        )


def edits_between(
    lines: Lines, stands: NDArray[np.bool_], shown: NDArray[np.bool_], head: NDArray[np.int64], sizes: NDArray[np.uint16]
) -> ListEdits:
    """Return the edits that lead from the (m, k) places that stand to those that are to be shown; unchanged lines are left out.

    ``head`` (m,) is the bytes in front of the first place, ``sizes`` (m, k) those of each place, 0 where the list has no more.
    Behind each place but the last one is a byte for the comma, which stands there if the place is shown and a later one, too.
    """
    touched = np.flatnonzero((stands != shown).any(axis=1))
    lines, stands, shown, head, sizes = lines[touched], stands[touched], shown[touched], head[touched], sizes[touched]
    commas = _before_another(shown)
    writes = stands != shown
    which, places = np.nonzero(writes | (_before_another(stands) != commas))
    laid = np.count_nonzero(sizes, axis=1)
    starts = head[:, None] + begins(sizes)
    whole, size, behind = writes[which, places], sizes[which, places].astype(np.int64), places < laid[which] - 1
    return ListEdits(
        lines,
        shown,
        # The last place has no byte for a comma, and behind it come two brackets.
        head + sizes.sum(axis=1, dtype=np.int64) + np.maximum(laid - 1, 0) + 2,
        np.bincount(which, minlength=len(lines)),
        places,
        starts[which, places] + np.where(whole, 0, size),
        np.where(whole, size, 0) + behind,
        whole & shown[which, places],
        behind,
        commas[which, places],
    )


def _before_another(shown: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which shown places have a shown one behind them, (m, k) bool."""
    later = np.zeros_like(shown)
    later[:, :-1] = np.logical_or.accumulate(shown[:, :0:-1], axis=1)[:, ::-1]
    return shown & later
