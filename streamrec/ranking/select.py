"""From scores to slots: pins first, new items at their places, caps on categories and brands."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

How = Literal["score", "pin", "explore", "overflow", "absent"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How a list is laid out; code 0 (no category, no brand) is never capped."""

    size: int
    per_category: int
    per_brand: int
    #: Each so-many-th slot goes to a new item; 0: none.
    explore_every: int


@dataclass(slots=True)
class Selection:
    """The positions chosen, best first, and how each came to its slot."""

    chosen: list[int] = field(default_factory=list)
    how: list[How] = field(default_factory=list)
    #: Positions that waited because their category or brand was full.
    capped: list[int] = field(default_factory=list)


class _Slots:
    """Fills slots one after the other. What is chosen for a slot depends only on the orders and on what was chosen before."""

    def __init__(self, categories: Sequence[int], brands: Sequence[int], limits: Limits) -> None:
        self._categories = categories
        self._brands = brands
        self._limits = limits
        self._in_category: defaultdict[int, int] = defaultdict(int)
        self._of_brand: defaultdict[int, int] = defaultdict(int)
        self.taken: set[int] = set()
        self.selection = Selection()

    def put(self, position: int, how: How) -> None:
        """Give the next slot to a candidate."""
        self.taken.add(position)
        category, brand = self._categories[position], self._brands[position]
        # Code 0 is never counted, so it is never full.
        self._in_category[category] += category > 0
        self._of_brand[brand] += brand > 0
        self.selection.chosen.append(position)
        self.selection.how.append(how)

    def next_free(self, waiting: Iterator[int], held: list[int]) -> int | None:
        """Take candidates off an order until one is free and neither its category nor its brand is full; those go to ``held``.

        What is taken or full stays so, so no candidate needs to be looked at twice.
        """
        categories, brands, limits = self._categories, self._brands, self._limits
        for position in waiting:
            if position in self.taken:
                continue
            if (
                self._in_category[categories[position]] < limits.per_category
                and self._of_brand[brands[position]] < limits.per_brand
            ):
                return position
            held.append(position)
        return None


def select(
    order: Sequence[int],
    new: Sequence[int],
    pins: Mapping[int, int],
    *,
    categories: Sequence[int],
    brands: Sequence[int],
    limits: Limits,
) -> Selection:
    """Lay out a list of candidates, which are positions into ``categories`` and ``brands``.

    ``order`` is best first, ``new`` those of it that are new, best first, ``pins`` maps slots (1 is the first) to positions. What
    the caps hold back is used, best first, only where the list would be short. Raising a candidate in ``order`` and ``new`` never
    lowers its slot.
    """
    slots = _Slots(categories, brands, limits)
    reserved = {position: slot for slot, position in pins.items() if slot <= limits.size}
    waiting = (position for position in order if position not in reserved)
    fresh = (position for position in new if position not in reserved)
    held, held_fresh = slots.selection.capped, list[int]()
    for slot in range(1, limits.size + 1):
        pinned = pins.get(slot)
        exploring = limits.explore_every and slot % limits.explore_every == 0
        if pinned is not None and pinned not in slots.taken:
            slots.put(pinned, "pin")
        elif exploring and (found := slots.next_free(fresh, held_fresh)) is not None:
            slots.put(found, "explore")
        elif (position := slots.next_free(waiting, held)) is not None:
            slots.put(position, "score")
        elif not _overflow(slots, held, reserved):
            break
    return slots.selection


def _overflow(slots: _Slots, held: list[int], reserved: Mapping[int, int]) -> bool:
    """Use what the caps held back, then pins whose slot lies beyond the end; False when nothing is left.

    Of those the last slot's go first: where the list ends between two pins, the earlier one keeps its slot.
    """
    for position in (*held, *sorted(reserved, key=lambda p: -reserved[p])):
        if position not in slots.taken:
            slots.put(position, "pin" if position in reserved else "overflow")
            return True
    return False


def keep_places(
    selection: Selection, absent: Sequence[int], scores: NDArray[np.float64], size: int, pinned: Mapping[int, int]
) -> None:
    """Put candidates that nobody may see now, best first, into the list, each before the first ordinary one that scores less.

    Slots count what is seen, so these get none: the others stay in their order, and the list's end goes beyond ``size`` places. One
    that is ``pinned``, position to slot, waits where its slot is: it is right at once when it is back.
    """
    chosen, how = selection.chosen, selection.how
    for position in absent:
        lower = (n for n, other in enumerate(chosen) if how[n] in {"score", "overflow"} and scores[other] < scores[position])
        place = min(pinned[position] - 1, len(chosen)) if position in pinned else next(lower, len(chosen))
        chosen.insert(place, position)
        how.insert(place, "absent")
        del chosen[size:], how[size:]
