"""Notices what campaigns change when they start, end or are edited, so that only the lists that this can touch are ranked again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamrec.campaigns import CampaignBook, Effects, Pin
from streamrec.catalogue.table import ItemTable
from streamrec.recommender.knowledge import Rows

#: Every segment: what changes for some visitors is noticed too.
_SEGMENTS: Final = frozenset({"all", "new", "returning", "buyers"})
_NEVER: Final = 1 << 62
_NOBODY: Final = np.empty(0, np.int32)


@dataclass(frozen=True, slots=True)
class Shift:
    """What is different since the last look."""

    #: Rows that nobody may see now, or that everybody may see again: lists that hold them are to be published again.
    hidden: Rows
    #: Rows that weigh less than before, or lost a slot: lists that hold them are to be ranked again.
    lowered: Rows
    #: Whether anything weighs more than before, won a slot or came back: it may belong into any list.
    raised: bool


class CampaignWatch:
    """Compares the effects of the running campaigns with those of the last look; cheap until a campaign's moment has come."""

    def __init__(self, book: CampaignBook, items: ItemTable) -> None:
        self._book = book
        self._items = items
        self._multiplier = np.empty(0, np.float32)
        self._excluded: Rows = _NOBODY
        self._pins: frozenset[Pin] = frozenset()
        self._next_ms = 0

    def edited(self) -> None:
        """Hear that a campaign message came in: the next look compares."""
        self._next_ms = 0

    def look(self, now_ms: int) -> Shift | None:
        """Return what changed, None while no campaign's moment has come."""
        if now_ms < self._next_ms:
            return None
        self._book.drop_ended(now_ms)
        following = self._book.next_change_ms(now_ms)
        self._next_ms = _NEVER if following is None else following
        everybody = self._book.effects(now_ms, self._items)
        return self._shift(self._book.effects(now_ms, self._items, _SEGMENTS), np.flatnonzero(everybody.excluded).astype(np.int32))

    def _shift(self, effects: Effects, excluded: Rows) -> Shift:
        before = np.ones(len(effects.multiplier), np.float32)
        before[: len(self._multiplier)] = self._multiplier
        pins = frozenset(effects.pins)
        unpinned = np.array([pin.row for pin in self._pins - pins], np.int32)
        back = np.setdiff1d(self._excluded, excluded)
        shift = Shift(
            hidden=np.setxor1d(excluded, self._excluded).astype(np.int32),
            lowered=np.union1d(_rows(effects.multiplier < before), unpinned).astype(np.int32),
            raised=bool((effects.multiplier > before).any() or pins - self._pins or len(back)),
        )
        self._multiplier, self._excluded, self._pins = effects.multiplier, excluded, pins
        return shift


def _rows(mask: NDArray[np.bool_]) -> Rows:
    return np.flatnonzero(mask).astype(np.int32)
