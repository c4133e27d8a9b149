"""Whether the list of a placement still is what ranking would make of it: asked at each of a visitor's events, in place of ranking.

What a list is for is in the profile: what lies in the cart, what is hidden, the latest query, the categories clicked in. What it
is made of are its candidates: which may be shown, what they cost, what campaigns do to them. Both are remembered as digests of
what stood when it was made. What crept in since (what others met, what is popular, impressions) is not looked at: after
``max_age_s`` a list is made anew whatever stands.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streamrec.profiles import Profile
from streamrec.recommender.knowledge import Knowledge

#: Changes of a reduction below this are none, as for the lists of home.
_NOTICEABLE: Final = 0.05
#: Of one list's candidates.
_MOST_ROWS: Final = 1000


@dataclass(frozen=True, slots=True)
class _Made:
    #: Of the profile that stood with it last: another one was written by somebody who also wrote the list.
    revision: int
    at_ms: int
    wish: bytes
    shop: bytes
    #: The candidates, (c,) int32.
    rows: NDArray[np.int32]


class Standing:
    """Remembers the lists of one placement that this worker made last, ``max_visitors`` of them, some 4 KB each at most."""

    def __init__(self, knowledge: Knowledge, placement: str, max_age_s: float, *, max_visitors: int = 20_000) -> None:
        self._knowledge = knowledge
        self._placement = placement
        self._max_age_ms = max_age_s * 1000
        self._max_visitors = max_visitors
        self._made: OrderedDict[str, _Made] = OrderedDict()

    def __len__(self) -> int:
        return len(self._made)

    def holds(self, user_id: str, revision: int, profile: Profile, now_ms: int) -> bool:
        """Tell whether the list that stands may stay; ``revision`` is that under which the profile was loaded."""
        made = self._made.get(user_id)
        return (
            made is not None
            and made.revision == revision
            and 0 <= now_ms - made.at_ms < self._max_age_ms
            and made.wish == self._wish(user_id, profile, now_ms)
            and made.shop == self._shop(user_id, profile, made.rows, now_ms)
        )

    def made(self, user_id: str, profile: Profile, rows: NDArray[np.int32], now_ms: int) -> None:
        """Note that a list was made from these candidates and written with the profile.

        Earlier candidates are watched on: what was sold out since is none, and is missed on the list once it is back.
        """
        before = self._made.get(user_id)
        if before is not None:
            both = np.union1d(before.rows, rows)
            rows = both if len(both) <= _MOST_ROWS else rows
        wish, shop = self._wish(user_id, profile, now_ms), self._shop(user_id, profile, rows, now_ms)
        self._made[user_id] = _Made(profile.revision, now_ms, wish, shop, rows)
        self._made.move_to_end(user_id)
        if len(self._made) > self._max_visitors:
            self._made.popitem(last=False)

    def kept(self, user_id: str, profile: Profile) -> None:
        """Note that a profile was written and the list beside it stayed, if one is known."""
        made = self._made.get(user_id)
        if made is not None:
            self._made[user_id] = replace(made, revision=profile.revision)

    def _wish(self, user_id: str, profile: Profile, now_ms: int) -> bytes:
        ranker = self._knowledge.variants.ranker(user_id)
        taste, hidden = ranker.wanted(profile, now_ms, self._placement)
        words = (
            sorted(profile.in_cart().items()),
            taste.query,
            round(taste.query_strength, 1),
            taste.wanted,
            sorted(taste.segments),
        )
        return _digest(words, taste.rows, taste.weights.round(6), taste.clicked, np.sort(hidden.rows))

    def _shop(self, user_id: str, profile: Profile, rows: NDArray[np.int32], now_ms: int) -> bytes:
        knowledge = self._knowledge
        items = knowledge.items
        effects = knowledge.campaigns.effects(now_ms, items, frozenset(profile.segment()))
        pins = sorted((pin.slot, pin.row, pin.campaign) for pin in effects.pins)
        reduced = (items.reduction[rows] / _NOTICEABLE).round()
        shown = items.available[rows] & ~effects.excluded[rows]
        boosted = np.sort(effects.boosted_rows)
        return _digest((knowledge.stamp(user_id), pins), shown, reduced, effects.multiplier[rows], boosted)


def _digest(words: object, *arrays: NDArray[Any]) -> bytes:
    digest = blake2b(repr(words).encode(), digest_size=16)
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes() + b"|")
    return digest.digest()
