"""A visitor's profile and its bytes.

The packed layout, version 1: an 8-byte big-endian revision, then one MessagePack map (no extension types, so Redis' ``cmsgpack``
reads it; times are milliseconds, which a Lua number holds exactly)::

    "v"  1, the version of the layout
    "r"  [[ts, kind, item_id, event], …]  interactions, newest first; kind is an index into KINDS, event a 64-bit hash
    "b"  {item_id: ts}                    when an item was bought last, oldest first
    "c"  {item_id: [quantity, ts]}        the last word on an item in the cart, oldest first; quantity 0 is a removal
    "q"  {query: ts}                      when a query was searched last, oldest first
    "g"  {query: {name: value}}           the filters of these searches; absent where none has any
    "s"  [[ts, [item_id, …]], …]          impressions, oldest first
    "f"  ts                               the newest purchase that "b" had no room for, 0 if none

A reader that knows only "b" and "c" has an item in the cart when its quantity is above 0 and its ts is newer than both its
entry in "b" and "f". Unknown keys are ignored; another "v" is refused, because half-read profiles would be written back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec

from streamrec.errors import ProfileError

Kind = Literal["search", "click", "cart", "order"]
#: Kinds of interaction by their packed code, weakest first: at equal times the stronger one counts as the newer.
KINDS: Final[tuple[Kind, ...]] = ("search", "click", "cart", "order")
#: The layout that ``pack`` writes and ``unpack`` reads.
VERSION: Final = 1
#: Visitors with fewer interactions are "new", the others "returning".
RETURNING_AFTER: Final = 5
_REVISION_BYTES: Final = 8


class Interaction(msgspec.Struct, frozen=True, order=True, array_like=True, gc=False):
    """One thing that a visitor did with one item; the greater one is the newer."""

    #: Event time in ms since the epoch.
    ts: int
    #: Index into KINDS.
    code: int
    item_id: str
    #: 64-bit hash that tells one event from another; with ``item_id`` it is the interaction's identity.
    event: int

    @property
    def kind(self) -> Kind:
        """What was done: click, cart or order."""
        return KINDS[self.code]


class _Wire(msgspec.Struct):
    v: int
    r: list[Interaction]
    b: dict[str, int]
    c: dict[str, tuple[int, int]]
    q: dict[str, int]
    s: list[tuple[int, list[str]]]
    f: int = 0
    g: dict[str, dict[str, str]] | msgspec.UnsetType = msgspec.UNSET


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Wire).decode


@dataclass(slots=True)
class Profile:
    """What is remembered of one visitor: the same set of events, in any order and with repeats, gives the same profile.

    Every part keeps the newest entries under a total order, so what was dropped is older than all that is kept and can never
    come back in; a join of two such parts is their union cut to the same bound. ``streamrec.profiles.apply`` is the only writer.
    """

    #: Counts writes; owned by the store's compare-and-set, not by ``apply``.
    revision: int = 0
    #: Clicks, cart additions and order lines, newest first.
    recent: list[Interaction] = field(default_factory=list)
    #: item -> ts of its last order, oldest first.
    bought: dict[str, int] = field(default_factory=dict)
    #: item -> (quantity, ts) of its last cart event, oldest first; quantity 0 is a removal. Read it through ``in_cart``.
    cart: dict[str, tuple[int, int]] = field(default_factory=dict)
    #: query -> ts of its last search, oldest first.
    searches: dict[str, int] = field(default_factory=dict)
    #: (ts, items shown then), oldest first; items sorted. Read it through ``shown``.
    impressions: list[tuple[int, list[str]]] = field(default_factory=list)
    #: ts of the newest purchase that ``bought`` had no room for; 0 if none.
    bought_floor: int = 0
    #: query -> (name, value) pairs, sorted, of the filters of its last search; only of queries in ``searches`` that have any.
    filters: dict[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)

    @classmethod
    def unpack(cls, data: bytes) -> Profile:
        """Read what ``pack`` wrote.

        Raises ProfileError if the bytes are damaged or of another version: starting afresh would silently lose a visitor.
        """
        try:
            wire = _decode(memoryview(data)[_REVISION_BYTES:])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            msg = (
                f"a profile of {len(data)} bytes cannot be read ({error}); it is damaged or newer than this version: "
                "upgrade streamrec, or `streamrec forget` the visitor"
            )
            raise ProfileError(msg) from error
        if wire.v != VERSION:
            msg = (
                f"a profile has layout {wire.v}, this version reads {VERSION}; upgrade streamrec, or `streamrec forget` the visitor"
            )
            raise ProfileError(msg)
        filters = {} if wire.g is msgspec.UNSET else {query: tuple(sorted(told.items())) for query, told in wire.g.items()}
        return cls(int.from_bytes(data[:_REVISION_BYTES], "big"), wire.r, wire.b, wire.c, wire.q, wire.s, wire.f, filters)

    def pack(self) -> bytes:
        """Write the profile down; equal profiles give equal bytes."""
        filters = {query: dict(self.filters[query]) for query in self.searches if query in self.filters} or msgspec.UNSET
        wire = _Wire(VERSION, self.recent, self.bought, self.cart, self.searches, self.impressions, self.bought_floor, filters)
        return self.revision.to_bytes(_REVISION_BYTES, "big") + _encode(wire)

    @property
    def latest_ts(self) -> int:
        """When the visitor last did anything, in ms; 0 if nothing is known. Being shown something is not doing."""
        return max(
            self.recent[0].ts if self.recent else 0,
            next(reversed(self.bought.values()), 0),
            next(reversed(self.cart.values()), (0, 0))[1],
            next(reversed(self.searches.values()), 0),
        )

    @property
    def queries(self) -> list[tuple[str, int]]:
        """What the visitor searched for, as (query, ts), newest first."""
        return list(reversed(self.searches.items()))

    def in_cart(self) -> dict[str, int]:
        """Return item -> quantity of what lies in the cart now.

        Decided at reading, from the last cart event and the last order of the item, so it does not matter which of the two
        arrived first. Entries older than a purchase that ``bought`` had no room for count as gone: they may be that purchase.
        """
        return {item: quantity for item, (quantity, ts) in self.cart.items() if quantity and ts > self._emptied(item)}

    def _emptied(self, item_id: str) -> int:
        return max(self.bought.get(item_id, 0), self.bought_floor)

    def bought_since(self, ms: int) -> set[str]:
        """Return the items whose last order is at ``ms`` or later."""
        return set(self._bought_since(ms))

    def _bought_since(self, ms: int) -> Iterator[str]:
        for item_id, ts in reversed(self.bought.items()):
            if ts < ms:
                return
            yield item_id

    @property
    def shown(self) -> dict[str, tuple[int, int]]:
        """Return item -> (how often it was shown since the visitor last did something with it, when last).

        An approximation from below: only the newest ``max_shown`` impressions of single items are remembered.
        """
        touched: dict[str, int] = {}
        for interaction in self.recent:
            touched.setdefault(interaction.item_id, interaction.ts)
        counts: dict[str, tuple[int, int]] = {}
        for ts, item_ids in self.impressions:
            for item_id in item_ids:
                if ts > touched.get(item_id, 0):
                    counts[item_id] = (counts.get(item_id, (0, 0))[0] + 1, ts)
        return counts

    def segment(self) -> set[str]:
        """Return the names of the visitor's segments: ``all``, ``new`` or ``returning``, and ``buyers``."""
        names = {"all", "new" if len(self.recent) < RETURNING_AFTER else "returning"}
        if self.bought:
            names.add("buyers")
        return names
