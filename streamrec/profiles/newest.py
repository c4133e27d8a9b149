"""Bounded parts of a profile that keep what is newest, so that the order of arrival cannot be seen in them.

Both are lattices of the same kind: a set of elements under a total order, joined by union, cut to the greatest ``bound``. Cutting
commutes with joining, because an element that was cut has ``bound`` greater ones for ever. Where an element has a key, only the
greatest of each key counts, and the same argument holds key by key.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from streamrec.profiles.profile import Interaction

V = TypeVar("V")


class Kept(NamedTuple):
    """Whether a map changed, and the value that found no room in it."""

    changed: bool
    lost: Any = None


def keep_newest(entries: dict[str, V], key: str, value: V, bound: int, rank: Callable[[V], Any]) -> Kept:
    """Join ``key: value`` into a map that holds, lowest first, the ``bound`` greatest (rank(value), key), one per key."""
    held = entries.get(key)
    place = (rank(value), key)
    if held is not None:
        if (rank(held), key) >= place:
            return Kept(changed=False)
        del entries[key]
    elif len(entries) >= bound and place < _lowest(entries, rank):
        return Kept(changed=False, lost=value)
    last = next(reversed(entries), None)
    entries[key] = value
    if last is not None and (rank(entries[last]), last) > place:
        # Late events are rare; only they pay for a sort.
        ordered = sorted(entries.items(), key=lambda entry: (rank(entry[1]), entry[0]))
        entries.clear()
        entries.update(ordered)
    lost = None
    while len(entries) > bound:
        lost = entries.pop(next(iter(entries)))
    return Kept(changed=True, lost=lost)


def _lowest(entries: dict[str, V], rank: Callable[[V], Any]) -> tuple[Any, str]:
    key = next(iter(entries))
    return rank(entries[key]), key


def keep_interaction(recent: list[Interaction], new: Interaction, bound: int) -> bool:
    """Join an interaction into the ``bound`` newest, newest first; of one event and item only the newest counts."""
    for position, held in enumerate(recent):
        if held.event == new.event and held.item_id == new.item_id:
            if held >= new:
                return False
            del recent[position]
            break
    position = next((i for i, held in enumerate(recent) if held < new), len(recent))
    if position >= bound:
        return False
    recent.insert(position, new)
    del recent[bound:]
    return True


def keep_impression(impressions: list[tuple[int, list[str]]], ts: int, item_ids: tuple[str, ...], bound: int) -> bool:
    """Join what was shown at ``ts`` into the ``bound`` greatest (ts, item), oldest first."""
    place = bisect_left(impressions, ts, key=lambda group: group[0])
    known = impressions[place][1] if place < len(impressions) and impressions[place][0] == ts else []
    new = {item_id for item_id in item_ids if item_id not in known}
    newer = sum(len(items) for _, items in impressions[place + bool(known) :])
    room = bound - newer
    kept = sorted({*known, *new}, reverse=True)[: max(room, 0)][::-1]
    if kept == known:
        return False
    if known:
        impressions[place] = (ts, kept)
    else:
        insort(impressions, (ts, kept))
    _trim(impressions, bound)
    return True


def _trim(impressions: list[tuple[int, list[str]]], bound: int) -> None:
    """Drop the oldest (ts, item) pairs beyond ``bound``; within one moment the lowest ids go first."""
    surplus = sum(len(items) for _, items in impressions) - bound
    while surplus > 0:
        ts, items = impressions[0]
        if len(items) <= surplus:
            del impressions[0]
            surplus -= len(items)
        else:
            impressions[0] = (ts, items[surplus:])
            surplus = 0
