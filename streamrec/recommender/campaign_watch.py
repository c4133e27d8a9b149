"""Notices what campaigns change when they start, end or are edited, so that only the lists that this can touch are ranked again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from streamrec.campaigns import CampaignBook, Pin
from streamrec.catalogue.table import ItemTable
from streamrec.recommender.knowledge import Rows

#: Every combination of segments that a visitor can be in; compared one by one, because what two segments feel may cancel out.
_KINDS: Final = tuple(frozenset({"all", *rest}) for rest in (("new",), ("returning",), ("new", "buyers"), ("returning", "buyers")))
_T = TypeVar("_T", bound=np.generic)
_NEVER: Final = 1 << 62
_NOBODY: Final = np.empty(0, np.int32)
#: Items may enter and leave what an exclusion names at any time, a bulk load does so without end: looked at so often at most.
_RELOOK_MS: Final = 1000


@dataclass(frozen=True, slots=True)
class Shift:
    """What is different since the last look."""

    #: Rows that nobody may see now, or that everybody may see again: as what sold out or is back.
    hidden: Rows
    #: Rows that lost a slot or are kept from a segment: lists that hold them are wrong until they are ranked again.
    withdrawn: Rows
    #: Rows that weigh less than before: lists that hold them are to be ranked again, too.
    lowered: Rows
    #: Whether anything weighs more than before, won a slot or is shown to a segment again: it may belong into any list.
    raised: bool
    #: (n_items,) float32; by how much more everybody's scores are multiplied than before, None where no factor changed.
    factors: NDArray[np.float32] | None = None
    #: Lists made later may have been ranked with all of this, in ms.
    since_ms: int = 0


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one kind of visitor felt at the last look; arrays are (n_items,) of then."""

    multiplier: NDArray[np.float32]
    #: From this kind, and not from everybody.
    excluded: NDArray[np.bool_]
    pins: frozenset[Pin]


class CampaignWatch:
    """Compares the effects of the running campaigns with those of the last look; cheap until a campaign's moment has come."""

    def __init__(self, book: CampaignBook, items: ItemTable) -> None:
        self._book = book
        self._items = items
        self._seen = [_Seen(np.empty(0, np.float32), np.empty(0, np.bool_), frozenset()) for _ in _KINDS]
        self._excluded: Rows = _NOBODY
        self._multiplier = np.empty(0, np.float32)
        self._looked_ms = 0
        self._next_ms = 0
        self._version = -1
        self._relook_ms = 0

    @property
    def pinned(self) -> frozenset[int]:
        """Rows of the items that had a slot, in any segment, at the last look."""
        return frozenset(pin.row for seen in self._seen for pin in seen.pins)

    def edited(self) -> None:
        """Hear that a campaign message came in: the next look compares."""
        self._next_ms = 0

    def look(self, now_ms: int) -> Shift | None:
        """Return what changed, None while no campaign's moment has come and no item moved into or out of one."""
        since_ms, self._looked_ms = self._looked_ms, now_ms
        if now_ms >= self._next_ms:
            return self._compare(now_ms, since_ms)
        if len(self._book) and self._items.version != self._version and now_ms >= self._relook_ms:
            self._note_items(now_ms)
            hidden = self._hidden(now_ms)
            return Shift(hidden, withdrawn=_NOBODY, lowered=_NOBODY, raised=False) if len(hidden) else None
        return None

    def _compare(self, now_ms: int, since_ms: int) -> Shift:
        self._book.drop_ended(now_ms)
        following = self._book.next_change_ms(now_ms)
        self._next_ms = _NEVER if following is None else following
        self._note_items(now_ms)
        withdrawn, lowered, raised, hidden = [_NOBODY], [_NOBODY], False, self._hidden(now_ms)
        from_all = self._book.effects(now_ms, self._items).excluded
        for number, kind in enumerate(_KINDS):
            effects = self._book.effects(now_ms, self._items, kind)
            seen = _Seen(effects.multiplier, effects.excluded & ~from_all, frozenset(effects.pins))
            lost, less, more = _difference(self._seen[number], seen, from_all)
            withdrawn.append(lost)
            lowered.append(less)
            raised |= more
            self._seen[number] = seen
        gone, less = np.unique(np.concatenate(withdrawn)), np.unique(np.concatenate(lowered))
        return Shift(hidden, gone, less, raised, self._factors(now_ms), since_ms)

    def _factors(self, now_ms: int) -> NDArray[np.float32] | None:
        now = self._book.effects(now_ms, self._items).multiplier
        factors: NDArray[np.float32] = now / _grown(self._multiplier, len(now), 1)
        self._multiplier = now
        return factors if (factors != 1).any() else None

    def _note_items(self, now_ms: int) -> None:
        self._version, self._relook_ms = self._items.version, now_ms + _RELOOK_MS

    def _hidden(self, now_ms: int) -> Rows:
        excluded = np.flatnonzero(self._book.effects(now_ms, self._items).excluded).astype(np.int32)
        hidden = np.setxor1d(excluded, self._excluded).astype(np.int32)
        self._excluded = excluded
        return hidden


def _difference(before: _Seen, now: _Seen, from_all: NDArray[np.bool_]) -> tuple[Rows, Rows, bool]:
    """Return the rows that one kind of visitor must not see as before, those to see less of, and whether any are to be seen more.

    What is kept ``from_all``, (n_items,) bool, leaves and enters their lists as what is sold out does.
    """
    multiplier = _grown(before.multiplier, len(now.multiplier), 1)
    excluded = _grown(before.excluded, len(now.excluded), 0)
    unpinned = np.array([pin.row for pin in before.pins - now.pins], np.int32)
    less = np.flatnonzero(now.multiplier < multiplier).astype(np.int32)
    kept = np.flatnonzero(now.excluded & ~excluded).astype(np.int32)
    back = excluded & ~now.excluded & ~from_all
    more = (now.multiplier > multiplier).any() or back.any() or now.pins - before.pins
    return np.union1d(kept, unpinned).astype(np.int32), less, bool(more)


def _grown(column: NDArray[_T], n: int, empty: int) -> NDArray[_T]:
    """Return a column of ``n`` rows: those that were there, then rows that no campaign touched."""
    grown = np.full(n, empty, column.dtype)
    grown[: len(column)] = column
    return grown
