"""Tells readers ahead of time what campaigns pin for everybody, so that pins start and end without us."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamrec.campaigns import CampaignBook
from streamrec.catalogue.table import ItemTable
from streamrec.clock import Clock
from streamrec.config import RankingSettings
from streamrec.events import Campaign
from streamrec.lists.keys import HOME
from streamrec.lists.pins import PinStore, TimedPin, pack_pins
from streamrec.recommender.knowledge import Knowledge
from streamrec.recommender.share import Share

#: How often it is looked whether items came that a pin waits for, and whether what was written still stands.
RELOOK_MS: Final = 1000
_NEVER: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class _Claim:
    """One item's claim to one slot while its campaign runs."""

    pin: TimedPin
    row: int
    everybody: bool


class PinBoard:
    """Keeps the pins that readers find equal to those of the leading worker's book, which run now or are to come.

    At most ``max_pins`` stand there, the earliest to start, and of those that run the lowest slots; a pin that finds no room is in
    lists once they are ranked. So is one that readers cannot judge, because who sees it depends on the visitor's segment.
    """

    def __init__(self, knowledge: Knowledge, store: PinStore, share: Share, clock: Clock, *, max_pins: int = 100) -> None:
        self._knowledge = knowledge
        self._store = store
        self._share = share
        self._clock = clock
        self._max_pins = max_pins
        self._seen: tuple[int, int] | None = None
        self._look_ms = 0

    def tick(self) -> None:
        """Write the pins if they are others than those that stand there. Raises StoreUnavailable; repeating is safe."""
        if not self._share.leads():
            self._seen = None
            return
        now_ms = self._clock.now_ms()
        revision = self._knowledge.campaigns.revision
        if self._seen is not None and revision == self._seen[0] and now_ms < self._look_ms:
            return
        self._write(now_ms)
        self._seen, self._look_ms = (revision, now_ms), now_ms + RELOOK_MS

    def _write(self, now_ms: int) -> None:
        knowledge = self._knowledge
        # What a variant leaves to ranking is left to it for all: readers do not know who is in which.
        settings = next((r.settings for r in knowledge.variants.rankers if HOME in r.settings.hide_seen), knowledge.ranker.settings)
        pins = timed_pins(knowledge.campaigns, knowledge.items, settings, now_ms, self._max_pins)
        if self._store.get() != (pack_pins(pins) if pins else None):
            self._store.put(pins)


def timed_pins(book: CampaignBook, items: ItemTable, settings: RankingSettings, now_ms: int, max_pins: int) -> tuple[TimedPin, ...]:
    """Return the pins for everybody that run at ``now_ms`` or later, best first, less those that are left to ranking.

    Left to it are slots past the published list's end; all pins where opened items are hidden, which readers cannot tell; and pins
    that share time and slot or item with one of a segment, with an exclusion of a segment, or with another that is left.
    """
    if HOME in settings.hide_seen:
        return ()
    coming = book.coming(now_ms)
    claims = [
        _Claim(TimedPin(pin.slot, items.id(pin.row), name, one.starts_at, one.ends_at), pin.row, one.segment == "all")
        for name, one in coming.items()
        if one.action == "pin"
        for pin in book.pins_of(name, items)
        if pin.slot <= settings.list_size and items.listed[pin.row]
    ]
    if not claims:
        return ()
    partial = [(one, book.rows(name, items)) for name, one in coming.items() if one.action == "exclude" and one.segment != "all"]
    left, until = _left(claims, partial, now_ms, max_pins)
    kept = [claim.pin for claim, is_left in zip(claims, left.tolist(), strict=True) if not is_left and claim.pin.starts_at < until]
    kept.sort(key=lambda pin: pin.slot)  # stable: campaigns stay in the order of their ids, as in ranking
    return tuple(msgspec.structs.replace(pin, ends_at=min(pin.ends_at, until)) for pin in kept)


def _left(
    claims: Sequence[_Claim], partial: Sequence[tuple[Campaign, NDArray[np.int32]]], now_ms: int, max_pins: int
) -> tuple[NDArray[np.bool_], int]:
    """Return which claims are left to ranking: those that readers cannot judge or have no room, and all that depend on such.

    And until when that is so: the moment at which the first claim begins that has no room yet.
    """
    columns = np.array([(c.pin.slot, c.row, c.pin.starts_at, c.pin.ends_at) for c in claims], np.int64)
    slots, rows, starts, ends = columns.T
    left = np.array([not claim.everybody for claim in claims])
    for exclusion, excluded in partial:
        left |= np.isin(rows, excluded) & (starts < exclusion.ends_at) & (exclusion.starts_at < ends)
    judged = np.flatnonzero(~left)
    begin = np.maximum(starts, now_ms)
    beyond = judged[np.lexsort((slots[judged], begin[judged]))[max_pins:]]
    left[beyond[starts[beyond] <= now_ms]] = True
    until = int(starts[beyond[starts[beyond] > now_ms]].min(initial=_NEVER))
    waiting = np.flatnonzero(left).tolist()
    while waiting:
        one = waiting.pop()
        meet = ((slots == slots[one]) | (rows == rows[one])) & (starts < ends[one]) & (starts[one] < ends) & ~left
        left |= meet
        waiting += np.flatnonzero(meet).tolist()
    return left, until
