"""Who is boosted, buried, pinned and excluded, and when.

Precedence, where campaigns overlap:

1. An exclusion wins over everything. Of several the item is hidden until the last one that matches it has ended.
2. A pin wins over boost and bury. Of several pins for a slot that of the campaign whose id comes first in the alphabet wins; items
   left over in its campaign stand by for a slot whose item may not be shown, then the next campaign's items do. An item has one
   slot, the first.
3. Factors of boosts and buries multiply, in any order, within [1e-6, 1e6].

A campaign runs from ``starts_at`` until just before ``ends_at``, by the clock; no event is needed. What it does to everybody
(segment all) is done where lists are read: exclusions by the guard set, pins by the clock of the reader. Stored lists follow in the
background, whoever was here last first. Campaigns of a segment are in lists once those are ranked again. Per campaign the newest
message counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from streamrec.catalogue.codes import CodeBook
from streamrec.catalogue.table import ItemTable
from streamrec.events import Campaign

#: The segments that a visitor can be in; "all" is everybody.
EVERYBODY: Final = frozenset({"all"})
#: Combinations of running campaigns and segments whose effects are kept at once.
_MAX_CACHED: Final = 8
#: Products of factors stay within this, so that a score can neither overflow nor vanish.
_MULTIPLIER_BOUNDS: Final = (1e-6, 1e6)


_MAX_SUBSTITUTES: Final = 20

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Pin:
    """One item fixed to one list position."""

    #: 1 is the first position.
    slot: int
    row: int
    #: Campaign number, see ``CampaignBook.name``.
    campaign: int


@dataclass(frozen=True, slots=True)
class Effects:
    """What the campaigns of one moment do to the lists of one group of segments; arrays are (n_items,)."""

    #: float32; 1 where no campaign touches the item.
    multiplier: NDArray[np.float32]
    excluded: NDArray[np.bool_]
    #: int32; number of the campaign whose boost factor is the largest, -1 where none boosts.
    boosted_by: NDArray[np.int32]
    #: int32; number of the campaign that excludes the item, -1 where none does.
    excluded_by: NDArray[np.int32]
    #: Ordered by slot; of several pins for a slot the first that can be shown wins.
    pins: tuple[Pin, ...]
    #: int32; rows with a multiplier above 1, in no special order.
    boosted_rows: NDArray[np.int32]


@dataclass(slots=True)
class _Entry:
    campaign: Campaign
    order: int
    number: int
    rows: NDArray[np.int32] | None = None
    rows_version: int = -1


class CampaignBook:
    """The running and coming campaigns; per campaign the newest message counts, a null cancels it.

    Ended campaigns are dropped once ``now_ms`` is past them, so memory follows what runs or is to come, and at most
    ``max_campaigns`` are kept: past it those that end first go.
    """

    def __init__(self, max_campaigns: int = 10_000) -> None:
        self._max = max_campaigns
        self._entries: dict[str, _Entry] = {}
        #: Orders of cancellations, and (ts, order) of campaigns that are over: a re-delivered older message must not revive one.
        self._cancelled: dict[str, int] = {}
        self._past: dict[str, tuple[int, int]] = {}
        self._numbers: dict[str, int] = {}
        self._names: dict[int, str] = {}
        self._next_number = 0
        self._revision = 0
        self._cache: dict[tuple[str, ...], Effects] = {}
        self._cached_for: tuple[int, int, int] = (0, 0, 0)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def revision(self) -> int:
        """Grows with every message that changed the book; that a campaign starts, ends or is dropped changes nothing."""
        return self._revision

    def update(self, campaign_id: str, campaign: Campaign | None, order: int) -> bool:
        """Take one message; True when it changed the book.

        ``order`` is its offset. A campaign applies if its ``ts``, then its order, is later than any before and it was not
        cancelled at a later order; so a cancelled one returns only with a newer ``ts``.
        """
        if campaign is None:
            return self._cancel(campaign_id, order)
        known = self._entries.get(campaign_id)
        stands = self._past.get(campaign_id, (-1, -1)) if known is None else (known.campaign.ts, known.order)
        if (campaign.ts, order) <= stands:
            return False
        if order < self._cancelled.get(campaign_id, -1):
            _remember(self._past, campaign_id, (campaign.ts, order), self._max)
            return self._remove(campaign_id)
        self._past.pop(campaign_id, None)
        self._entries[campaign_id] = _Entry(campaign, order, self._number(campaign_id))
        self._revision += 1
        self._shrink()
        return True

    def _cancel(self, campaign_id: str, order: int) -> bool:
        _remember(self._cancelled, campaign_id, max(order, self._cancelled.get(campaign_id, -1)), self._max)
        known = self._entries.get(campaign_id)
        if known is None or known.order > order:
            return False
        _remember(self._past, campaign_id, (known.campaign.ts, known.order), self._max)
        return self._remove(campaign_id)

    def _remove(self, campaign_id: str) -> bool:
        if self._entries.pop(campaign_id, None) is None:
            return False
        self._revision += 1
        return True

    def _number(self, campaign_id: str) -> int:
        number = self._numbers.get(campaign_id)
        if number is None:
            number = self._numbers[campaign_id] = self._next_number
            self._names[number] = campaign_id
            self._next_number += 1
            # Names outlive campaigns because lists still give them as reasons; the oldest are forgotten first.
            while len(self._names) > 2 * self._max:
                oldest = next(iter(self._names))
                del self._numbers[self._names.pop(oldest)]
        return number

    def _shrink(self) -> None:
        while len(self._entries) > self._max:
            first = min(self._entries, key=lambda name: (self._entries[name].campaign.ends_at, name))
            del self._entries[first]

    def name(self, number: int) -> str:
        """Return the id of the campaign with this number, empty when it is forgotten."""
        return self._names.get(number, "")

    def number(self, campaign_id: str) -> int:
        """Return the number of the campaign with this id, -1 when it has none."""
        return self._numbers.get(campaign_id, -1)

    def get(self, campaign_id: str) -> Campaign | None:
        """Return the campaign that stands under an id."""
        entry = self._entries.get(campaign_id)
        return None if entry is None else entry.campaign

    def drop_ended(self, now_ms: int) -> int:
        """Forget the campaigns that ended by ``now_ms`` and return how many; effects do not change by it."""
        ended = [name for name, entry in self._entries.items() if entry.campaign.ends_at <= now_ms]
        for name in ended:
            entry = self._entries.pop(name)
            _remember(self._past, name, (entry.campaign.ts, entry.order), self._max)
        return len(ended)

    def active(self, now_ms: int) -> dict[str, Campaign]:
        """Return the campaigns that run at ``now_ms``, by id."""
        return {name: entry.campaign for name, entry in sorted(self._entries.items()) if entry.campaign.active(now_ms)}

    def coming(self, now_ms: int) -> dict[str, Campaign]:
        """Return the campaigns that have not ended by ``now_ms``, running ones too, by id in alphabetical order."""
        return {name: entry.campaign for name, entry in sorted(self._entries.items()) if entry.campaign.ends_at > now_ms}

    def rows(self, campaign_id: str, items: ItemTable) -> NDArray[np.int32]:
        """Return the rows that match any target of a campaign that is in the book, ascending."""
        return _rows(self._entries[campaign_id], items)

    def pins_of(self, campaign_id: str, items: ItemTable) -> list[Pin]:
        """Return the pins of a campaign that is in the book, best first."""
        return _pins(self._entries[campaign_id], items)

    def next_change_ms(self, now_ms: int) -> int | None:
        """Return the first moment after ``now_ms`` at which a campaign starts or ends, None when nothing is to come."""
        moments = (m for e in self._entries.values() for m in (e.campaign.starts_at, e.campaign.ends_at) if m > now_ms)
        return min(moments, default=None)

    # -- effects -----------------------------------------------------------------------------------------------------

    def effects(self, now_ms: int, items: ItemTable, segments: Iterable[str] = EVERYBODY) -> Effects:
        """Return what runs at ``now_ms`` for visitors in ``segments`` ("all" is always among them).

        Arrays are (len(items),) and must not be written to: they are shared by all callers until campaigns or items change.
        """
        wanted = EVERYBODY | frozenset(segments)
        running = [
            (name, entry)
            for name, entry in sorted(self._entries.items())
            if entry.campaign.active(now_ms) and entry.campaign.segment in wanted
        ]
        state = (id(items), items.version, self._revision)
        if state != self._cached_for:
            self._cached_for = state
            self._cache.clear()
        key = tuple(name for name, _ in running)
        cached = self._cache.get(key)
        if cached is None:
            if len(self._cache) >= _MAX_CACHED:
                self._cache.clear()
            cached = self._cache[key] = _combine([entry for _, entry in running], items)
        return cached


def _remember(memory: dict[str, _T], name: str, value: _T, bound: int) -> None:
    """Put a value last and let the oldest go past the bound."""
    memory.pop(name, None)
    memory[name] = value
    if len(memory) > bound:
        del memory[next(iter(memory))]


def _combine(entries: list[_Entry], items: ItemTable) -> Effects:
    n = len(items)
    product, strongest = np.ones(n), np.ones(n)
    excluded = np.zeros(n, np.bool_)
    boosted_by, excluded_by = np.full(n, -1, np.int32), np.full(n, -1, np.int32)
    pins: list[Pin] = []
    for entry in entries:
        rows, campaign = _rows(entry, items), entry.campaign
        if campaign.action == "exclude":
            excluded[rows] = True
            excluded_by[rows] = entry.number
        elif campaign.action == "pin":
            pins += _pins(entry, items)
        else:
            factor = campaign.factor if campaign.action == "boost" else 1 / campaign.factor
            product[rows] *= factor
            stronger = rows[strongest[rows] < factor]
            strongest[stronger] = factor
            boosted_by[stronger] = entry.number
    multiplier = np.clip(product, *_MULTIPLIER_BOUNDS).astype(np.float32)
    boosted = np.flatnonzero((multiplier > 1) & ~excluded).astype(np.int32)
    pins.sort(key=lambda pin: pin.slot)  # stable: campaigns stand in the order of their ids, items in that of their campaign
    return Effects(multiplier, excluded, boosted_by, excluded_by, tuple(pins), boosted)


def _pins(entry: _Entry, items: ItemTable) -> list[Pin]:
    """Slots take the items in the order in which the campaign names them; items left over stand by for a slot that fails."""
    slots, targets = sorted(set(entry.campaign.slots)), entry.campaign.targets.items
    substitutes = targets[len(slots) :][:_MAX_SUBSTITUTES]
    return [
        Pin(slot, row, entry.number)
        for position, slot in enumerate(slots)
        for item_id in (*targets[position : position + 1], *substitutes)
        if (row := items.find(item_id)) >= 0
    ]


def _rows(entry: _Entry, items: ItemTable) -> NDArray[np.int32]:
    """Rows that match any of the campaign's targets; kept until items change."""
    if entry.rows is None or entry.rows_version != items.version:
        targets = entry.campaign.targets
        mask = np.zeros(len(items), np.bool_)
        named = items.find_all(targets.items)
        mask[named[named >= 0]] = True
        mask |= _matches(items.category, items.categories, targets.categories)
        mask |= _matches(items.brand, items.brands, targets.brands)
        mask |= _matches(items.seller, items.sellers, targets.sellers)
        entry.rows, entry.rows_version = np.flatnonzero(mask).astype(np.int32), items.version
    return entry.rows


def _matches(column: NDArray[np.int32], book: CodeBook, names: tuple[str, ...]) -> NDArray[np.bool_] | Any:
    codes = [code for code in map(book.find, names) if code >= 0]
    return np.isin(column, codes) if codes else False
