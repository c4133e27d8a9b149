"""What a storefront in Python uses: guarded lists from Redis, by one function call or by plain commands, with the same answer.

The guard: an item in ``soldout`` is never in an answer, on any list or fallback. A visitor's list that is missing or short after
the guard is filled from ``trending:all`` without what the visitor bought or has in the cart. What campaigns pin for everybody now
stands in its slot of the home list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal, Self

import msgspec
import redis

from streamrec.clock import Clock, SystemClock
from streamrec.config import RedisSettings
from streamrec.lists import functions, keys
from streamrec.lists.connection import connect
from streamrec.lists.functions import call, fcall_ro, run
from streamrec.lists.packing import ListItem, RankedList, unpack_or_none
from streamrec.lists.pins import Placed, TimedPin, place, unpack_pins
from streamrec.lists.visitors import REVISION_BYTES

#: More than any list holds; a typing error must not ask Redis for millions.
MAX_ITEMS: Final = 200

#: list: as ranked for this key; filled: that, then the fallback's items; fallback: the fallback alone; none: nothing to show;
#: recommender: answered by a recommender's page and not out of Redis.
Source = Literal["list", "filled", "fallback", "none", "recommender"]


class Answer(msgspec.Struct, frozen=True):
    """What to show, best first, and what made the list that it began with."""

    source: Source
    #: Milliseconds since the epoch, UTC; 0 when there is no list.
    made_at: int
    variant: str
    digest: str
    items: tuple[ListItem, ...]

    def ids(self) -> list[str]:
        """Return the item ids, best first."""
        return [item.id for item in self.items]


#: Of the given item ids, those that must not be shown.
Hidden = Callable[[Sequence[str]], set[str]]

_NOTHING: Final = Answer("none", 0, "", "", ())
_answer_decoder: Final = msgspec.json.Decoder(Answer)


class _Owned(msgspec.Struct):
    """What of a packed profile keeps items out of a fallback; see ``streamrec.profiles.profile`` for the layout."""

    b: dict[str, int] = {}
    c: dict[str, tuple[int, int]] = {}
    f: int = 0


_owned_decoder: Final = msgspec.msgpack.Decoder(_Owned)


class Storefront:
    """Reads guarded lists; may be shared by threads. Every method raises StoreUnavailable when Redis does not answer.

    ``cluster=True`` uses plain commands in two round trips where functions cannot reach across slots (Redis Cluster) or may not be
    called; otherwise one function call in one round trip. Which pins run is then told by ``clock``, otherwise by that of Redis.
    """

    def __init__(self, client: redis.Redis, *, cluster: bool = False, clock: Clock | None = None) -> None:
        self._client = client
        self._cluster = cluster
        self._clock = clock or SystemClock()

    @classmethod
    def from_settings(cls, settings: RedisSettings) -> Self:
        """Connect as the settings say."""
        return cls(connect(settings), cluster=settings.cluster)

    def top(self, user_id: str, n: int = 10, placement: str = keys.HOME) -> Answer:
        """Return the ``n`` best items for a visitor on a placement; an unknown visitor gets what is trending."""
        _check(n)
        names = [keys.rec(user_id, placement), keys.profile(user_id), keys.SOLDOUT, keys.trending()]
        return self._top_plain(names, n, placement) if self._cluster else self._call(functions.TOPK, names, n)

    def similar(self, item_id: str, n: int = 10) -> Answer:
        """Return up to ``n`` alternatives of an item."""
        return self._list(keys.similar(item_id), n)

    def together(self, item_id: str, n: int = 10) -> Answer:
        """Return up to ``n`` items that are bought together with an item."""
        return self._list(keys.together(item_id), n)

    def trending(self, category: str = keys.ALL, n: int = 10) -> Answer:
        """Return up to ``n`` items that are popular now, in a category or in the whole shop."""
        return self._list(keys.trending(category), n)

    def new(self, category: str = keys.ALL, n: int = 10) -> Answer:
        """Return up to ``n`` items that came in last, in a category or in the whole shop."""
        return self._list(keys.new(category), n)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- one function call -------------------------------------------------------------------------------------------

    def _call(self, name: str, names: Sequence[str], n: int) -> Answer:
        return _answer_decoder.decode(call(self._client, fcall_ro(name, names, n), "reading a list"))

    # -- plain commands ----------------------------------------------------------------------------------------------

    def _list(self, name: str, n: int) -> Answer:
        _check(n)
        if not self._cluster:
            return self._call(functions.LIST, [name, keys.SOLDOUT], n)
        ranked = unpack_or_none(call(self._client, ("GET", name), "reading a list"))
        if ranked is None:
            return _NOTHING
        items = _guarded(ranked.items, self._hidden(ranked.ids()), set(), n)
        return _answer("list", ranked, items) if items else _NOTHING

    def _top_plain(self, names: Sequence[str], n: int, placement: str) -> Answer:
        rec, profile, _, trending = names
        commands = [("GET", name) for name in (rec, profile, trending, keys.PINS)]
        values = run(self._client, commands, "reading a list")
        pins = unpack_pins(values[3]) if placement == keys.HOME else ()
        running = [pin for pin in pins if pin.runs(self._clock.now_ms())] if pins else []
        return assemble(unpack_or_none(values[0]), values[1], unpack_or_none(values[2]), n, self._hidden, running)

    def _hidden(self, item_ids: Sequence[str]) -> set[str]:
        if not item_ids:
            return set()
        marks = call(self._client, ("SMISMEMBER", keys.SOLDOUT, *item_ids), "reading soldout")
        return {item_id for item_id, mark in zip(item_ids, marks, strict=True) if mark}


def assemble(  # noqa: PLR0917 - what was read, in the order of reading
    ranked: RankedList | None,
    profile: bytes | None,
    fallback: RankedList | None,
    n: int,
    hidden: Hidden,
    running: Sequence[TimedPin] = (),
) -> Answer:
    """Return the answer that ``streamrec_topk`` gives: the list, guarded, then the fallback, and the pins that run in their slots.

    ``hidden`` takes item ids and returns those that must not be shown; it is asked once, for all that may be needed.
    """
    mine: tuple[ListItem, ...] = ranked.items if ranked else ()
    theirs: tuple[ListItem, ...] = fallback.items if fallback else ()
    away = hidden(list(dict.fromkeys([pin.id for pin in running] + [item.id for item in (*mine, *theirs)])))
    owned = _owned(profile)
    pins = Placed({}) if owned is None else place(running, away | owned)
    need, apart = n - pins.within(n), pins.ids()
    items = _guarded(mine, away, apart, need)
    fill: tuple[ListItem, ...] = ()
    if owned is not None and (len(items) < need or not ranked):
        fill = _guarded(theirs, away, owned | apart | {item.id for item in mine}, need - len(items))
    shown = pins.lay((*items, *fill), mine, n)
    if ranked and (items or not fill):
        return _answer("filled" if fill else "list", ranked, shown) if shown else _NOTHING
    return _answer("fallback", fallback, shown) if fallback and owned is not None and shown else _NOTHING


def _guarded(items: Sequence[ListItem], hidden: set[str], skip: set[str], n: int) -> tuple[ListItem, ...]:
    """Return the first ``n`` items that are neither hidden nor to be skipped, each once."""
    unique = {item.id: item for item in reversed(items)}
    seen = dict.fromkeys(item.id for item in items)
    return tuple(unique[item_id] for item_id in seen if item_id not in hidden and item_id not in skip)[:n]


def _owned(profile: bytes | None) -> set[str] | None:
    """Return what the visitor bought or has in the cart; None when the profile cannot be read: then nothing may be filled in."""
    if profile is None:
        return set()
    try:
        owned = _owned_decoder.decode(profile[REVISION_BYTES:])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    # As Profile.in_cart: an entry that is not newer than the newest forgotten purchase may be that purchase.
    return set(owned.b) | {item_id for item_id, (quantity, ts) in owned.c.items() if quantity > 0 and ts > owned.f}


def _answer(source: Source, ranked: RankedList, items: tuple[ListItem, ...]) -> Answer:
    return Answer(source, ranked.made_at, ranked.variant, ranked.digest, items)


def _check(n: int) -> None:
    if not 1 <= n <= MAX_ITEMS:
        msg = f"n is {n}; ask for 1 to {MAX_ITEMS} items"
        raise ValueError(msg)
