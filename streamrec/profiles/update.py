"""The one way in which an event changes a profile."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

from streamrec.config import ProfileSettings
from streamrec.events import Cart, Click, Event, Order, Search
from streamrec.events.messages import FILTER_NAMES
from streamrec.profiles.newest import keep_impression, keep_interaction, keep_newest
from streamrec.profiles.profile import KINDS, Interaction, Kind, Profile

#: Longer queries are cut: eight of them must not outweigh the rest of the profile, and encoders read no further anyway.
MAX_QUERY_CHARS: Final = 256


def apply(profile: Profile, event: Event, settings: ProfileSettings) -> bool:
    """Join an event into the profile; True exactly when the profile changed.

    A repeat, and an event older than everything that is kept, change nothing and return False. Two events with the same
    ``event_id`` and kind are one; without an id, two of the same kind, item and ``ts`` are one.
    """
    if isinstance(event, Click):
        return _interact(profile, event, "click", (event.item_id,), settings)
    if isinstance(event, Cart):
        return _cart(profile, event, settings)
    if isinstance(event, Order):
        return _order(profile, event, settings)
    if isinstance(event, Search):
        return _search(profile, event, settings)
    return keep_impression(profile.impressions, event.ts, event.item_ids, settings.max_shown)


def plain_query(text: str) -> str:
    """Return a query as it is remembered and searched for: single spaces, ``MAX_QUERY_CHARS`` at most."""
    return " ".join(text.split())[:MAX_QUERY_CHARS]


def _search(profile: Profile, event: Search, settings: ProfileSettings) -> bool:
    """Keep the query and its filters; of two searches for it the later one counts, at equal times the one with greater filters."""
    query = plain_query(event.query)
    if not query:
        return False
    filters = tuple((name, event.filters[name][:MAX_QUERY_CHARS]) for name in sorted(FILTER_NAMES) if event.filters.get(name))
    held = profile.searches.get(query), profile.filters.get(query, ())
    changed = keep_newest(profile.searches, query, event.ts, settings.max_searches, _itself).changed
    if profile.searches.get(query) == event.ts and (held[0] != event.ts or filters > held[1]):
        changed |= filters != held[1]
        profile.filters[query] = filters
    for unfiltered in [query for query, told in profile.filters.items() if not told or query not in profile.searches]:
        del profile.filters[unfiltered]
    return changed


def _itself(ts: int) -> int:
    return ts


def _cart_rank(entry: tuple[int, int]) -> tuple[int, int]:
    quantity, ts = entry
    return ts, quantity


def _interact(
    profile: Profile, event: Click | Cart | Order, kind: Kind, item_ids: Iterable[str], settings: ProfileSettings
) -> bool:
    identity = _hash(kind, event.event_id, event.ts)
    code = KINDS.index(kind)
    changed = False
    for item_id in item_ids:
        new = Interaction(event.ts, code, item_id, identity)
        changed |= keep_interaction(profile.recent, new, settings.max_interactions)
    return changed


def _hash(kind: Kind, event_id: str, ts: int) -> int:
    """Return what tells one event from another; the item is no part of it, one order has many."""
    name = f"{kind}\x00{event_id}" if event_id else f"{kind}\x01{ts}"
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")


def _cart(profile: Profile, event: Cart, settings: ProfileSettings) -> bool:
    """Set the item's quantity, the newest event wins whole; taking out is a quantity of 0 and no sign of interest."""
    quantity = event.quantity if event.op == "add" else 0
    changed = keep_newest(profile.cart, event.item_id, (quantity, event.ts), settings.max_cart, _cart_rank).changed
    if event.op == "add":
        changed |= _interact(profile, event, "cart", (event.item_id,), settings)
    return changed


def _order(profile: Profile, event: Order, settings: ProfileSettings) -> bool:
    item_ids = {line.item_id for line in event.lines}
    changed = _interact(profile, event, "order", item_ids, settings)
    for item_id in item_ids:
        kept = keep_newest(profile.bought, item_id, event.ts, settings.max_bought, _itself)
        changed |= kept.changed
        if kept.lost is not None and kept.lost > profile.bought_floor:
            profile.bought_floor = kept.lost
            changed = True
    return changed
