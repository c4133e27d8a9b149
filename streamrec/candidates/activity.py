"""What a visitor's event tells of items that are met together."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final, Literal

from streamrec.events import Cart, Click, Event, ItemActivity, Order
from streamrec.profiles import Profile

#: Items met within so long of each other belong to one visit.
SESSION_MS: Final = 3_600_000
#: Neighbours that a click or cart event names, nearest in time first.
MAX_MET: Final = 5
#: Neighbours that a line of an order names.
MAX_LINES: Final = 20


def activities(user_id: str, profile: Profile, event: Event) -> list[tuple[str, ItemActivity]]:
    """Return (item_id, activity) messages for an event that was new to the visitor's ``profile``, which already holds it.

    Both sides of a pair are told, the neighbour's as an echo. Searches, impressions and removals from the cart tell nothing.
    """
    visitor = visitor_hash(user_id)
    if isinstance(event, Order):
        return _order(visitor, event)
    if isinstance(event, Click):
        return _met(visitor, profile, event.item_id, event.ts, "click")
    if isinstance(event, Cart) and event.op == "add":
        return _met(visitor, profile, event.item_id, event.ts, "cart")
    return []


def visitor_hash(user_id: str) -> int:
    """Return 63 bits of BLAKE2b of a visitor's id: fits a signed 64-bit integer, counts visitors and does not name them."""
    return int.from_bytes(blake2b(user_id.encode(), digest_size=8).digest(), "big") >> 1


def _met(visitor: int, profile: Profile, item_id: str, ts: int, kind: Literal["click", "cart"]) -> list[tuple[str, ItemActivity]]:
    """Pair an item with those nearest in time, before or after: a late event finds what overtook it.

    The nearer of two neighbours says more, so both sides are told the place: 1 for the nearest.
    """
    nearest = sorted(
        (abs(other.ts - ts), other.item_id)
        for other in profile.recent
        if other.item_id != item_id and abs(other.ts - ts) <= SESSION_MS
    )
    neighbours = tuple(dict.fromkeys(other for _, other in nearest))[:MAX_MET]
    again = kind == "click" and _clicked_before(profile, ts) == item_id
    own = ItemActivity(visitor=visitor, kind=kind, ts=ts, neighbours=neighbours, again=again)
    echoes = [
        (other, ItemActivity(visitor=visitor, kind=kind, ts=ts, neighbours=(item_id,), echo=True, distance=distance))
        for distance, other in enumerate(neighbours, 1)
    ]
    return [(item_id, own), *echoes]


def _clicked_before(profile: Profile, ts: int) -> str:
    """Return the item of the last click before ``ts`` in the same visit, or the empty string."""
    return next((i.item_id for i in profile.recent if i.kind == "click" and ts - SESSION_MS <= i.ts < ts), "")


def _order(visitor: int, event: Order) -> list[tuple[str, ItemActivity]]:
    """Pair each line with those beside it in a ring, as far to the left as to the right, so that both sides tell the same pairs."""
    lines = sorted({line.item_id for line in event.lines})
    n = len(lines)
    reach = (
        range(1, min(n - 1, MAX_LINES) + 1) if n <= MAX_LINES + 1 else [*range(1, MAX_LINES // 2 + 1), *range(-(MAX_LINES // 2), 0)]
    )
    return [
        (item_id, ItemActivity(visitor=visitor, kind="order", ts=event.ts, neighbours=tuple(lines[(i + d) % n] for d in reach)))
        for i, item_id in enumerate(lines)
    ]
