"""Which lines hold an item: blocks of lines sorted by item, and a scan of the lines that changed since their block was sorted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

#: Lines sorted together: their numbers within the block take two bytes.
_LINES: Final = 16_384
#: Lines of a block that may have changed before it is sorted again: a look scans them all.
_CHANGED: Final = _LINES // 8


@dataclass(frozen=True, slots=True)
class _Sorted:
    """A block's places by item: (u,) items ascending, (u + 1,) where each one's lines begin, (p,) lines within the block."""

    items: NDArray[np.int32]
    begins: NDArray[np.int64]
    lines: NDArray[np.uint16]


class Postings:
    """Finds the lines that hold items, without an index to keep up: whoever changes a line says so, and the next looks sort.

    A look sorts one block at most, so the first ones over many lines scan most of them. Two bytes per item of a list.
    """

    def __init__(self) -> None:
        self._blocks: list[_Sorted] = []
        self._changed: NDArray[np.bool_] = np.ones(0, np.bool_)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return self._changed.nbytes + sum(b.items.nbytes + b.begins.nbytes + b.lines.nbytes for b in self._blocks)

    def changed(self, lines: NDArray[np.intp]) -> None:
        """Know that the lines hold other items than before."""
        self._changed[lines[lines < len(self._changed)]] = True

    def holding(self, rows: NDArray[np.int32], mask: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Return the lines of (n, k) ``rows`` that hold an item in ``mask``, ascending; empty places, -1, never are."""
        self._grow(len(rows))
        wanted = np.flatnonzero(mask).astype(np.int32)
        found, may_sort = np.zeros(len(rows), np.bool_), True
        for start in range(0, len(rows), _LINES):
            part = rows[start : start + _LINES]
            touched = np.flatnonzero(self._changed[start : start + len(part)])
            if may_sort and len(touched) > _CHANGED:
                self._sort(start, part)
                touched, may_sort = touched[:0], False
            found[start + _scan(part, touched, mask)] = True
            if len(touched) < len(part):
                found[self._look_up(start, wanted)] = True
        return np.flatnonzero(found)

    def _grow(self, n: int) -> None:
        if n > len(self._changed):
            # By half more, so that lines that come one by one do not copy it each time.
            grown = np.ones(n + n // 2, np.bool_)
            grown[: len(self._changed)] = self._changed
            self._changed = grown
        nothing = np.empty(0, np.int32)
        while len(self._blocks) * _LINES < n:
            self._blocks.append(_Sorted(nothing, np.zeros(1, np.int64), nothing.astype(np.uint16)))

    def _sort(self, start: int, part: NDArray[np.int32]) -> None:
        # Sorting one array of both takes half of what sorting places by item does.
        places = (part.astype(np.int64) << 16) | np.arange(len(part))[:, None]
        places = np.sort(places[part >= 0], axis=None)
        items, lines = (places >> 16).astype(np.int32), (places & 0xFFFF).astype(np.uint16)
        begins = np.flatnonzero(np.diff(items, prepend=np.int32(-1)))
        self._blocks[start // _LINES] = _Sorted(items[begins], np.append(begins, len(lines)), lines)
        self._changed[start : start + len(part)] = False

    def _look_up(self, start: int, wanted: NDArray[np.int32]) -> NDArray[np.intp]:
        block = self._blocks[start // _LINES]
        at = np.searchsorted(block.items, wanted)
        there = at < len(block.items)
        there[there] = block.items[at[there]] == wanted[there]
        begins, ends = block.begins[at[there]], block.begins[at[there] + 1]
        counts = ends - begins
        # The ranges begins..ends, one behind the other.
        places = np.repeat(ends - np.cumsum(counts), counts) + np.arange(counts.sum())
        lines = start + block.lines[places].astype(np.intp)
        return lines[~self._changed[lines]]


def _scan(part: NDArray[np.int32], lines: NDArray[np.intp], mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    rows = part if len(lines) == len(part) else part[lines]
    # With "clip" there is no copy in between. An empty place, -1, then looks at the first item, so it is left out apart.
    found = np.take(mask, rows, mode="clip", out=np.empty(rows.shape, np.bool_)) & (rows >= 0)
    return lines[found.any(axis=1)]
