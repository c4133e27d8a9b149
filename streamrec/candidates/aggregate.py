"""Counts who met which items together, from a stream that may repeat itself and arrive out of order.

Per item only the newest visits are kept, as VMIS-kNN does for its session index (Kersbergen, Sprangers and Schelter, Serenade,
SIGMOD 2022): recent sessions predict best, and the cost per item is bounded. A visitor counts once per pair however often the
events say so, which also bounds what one visitor can do to other people's lists.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import msgspec

from streamrec.candidates.contributions import Newest
from streamrec.errors import InvalidMessage
from streamrec.events import ItemActivity, ItemNeighbours, Neighbour

#: Popularity is extrapolated over at most so many times the span that the kept visitors cover.
_MAX_EXTRAPOLATION: Final = 16.0
#: A record may have 65,536 bytes; ids of 128 wide characters would take more.
_MAX_STATE_BYTES: Final = 36_000


class _State(msgspec.Struct, frozen=True, array_like=True):
    """What ``ItemNeighbours.state`` holds: times are ms before ``as_of``, newest first."""

    version: int
    #: (visitor, age).
    touches: list[tuple[int, int]]
    #: Names that ``pairs`` refers to by position.
    names: list[str]
    #: (position in names, visitor, bought, age).
    pairs: list[tuple[int, int, bool, int]]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_State).decode


class _Item:
    """One item's visitors, and (neighbour, visitor, bought) contributions. Bought ones stand apart, so that each is a lattice."""

    __slots__ = ("pairs", "touches")

    def __init__(self, max_touches: int, max_pairs: int) -> None:
        self.touches: Newest[int] = Newest(max_touches)
        self.pairs: Newest[tuple[str, int, bool]] = Newest(max_pairs)

    def __len__(self) -> int:
        return len(self.touches) + len(self.pairs)


class CovisitationAggregator:
    """Joins activities into bounded per-item state; ``record`` depends only on the set of messages, not on order or repeats.

    Bounds: ``max_touches`` newest visitors and ``max_pairs`` newest contributions per item; past ``max_items`` items, or
    ``max_entries`` of both over all items (some 150 bytes each), the items updated longest ago are forgotten.
    """

    def __init__(
        self,
        *,
        popularity_half_life_s: float = 6 * 3600.0,
        together_half_life_s: float = 30 * 86_400.0,
        max_items: int = 500_000,
        max_entries: int = 5_000_000,
        max_touches: int = 128,
        max_pairs: int = 256,
        max_neighbours: int = 50,
    ) -> None:
        self._popularity_ms = popularity_half_life_s * 1000
        self._together_ms = together_half_life_s * 1000
        self._max_items = max_items
        self._max_entries = max_entries
        self._max_touches = max_touches
        self._max_pairs = max_pairs
        self._max_neighbours = max_neighbours
        self._items: OrderedDict[str, _Item] = OrderedDict()
        self._entries = 0

    def __len__(self) -> int:
        return len(self._items)

    @property
    def entries(self) -> int:
        """How many visitors and contributions are held over all items."""
        return self._entries

    def update(self, messages: Sequence[tuple[str, ItemActivity]]) -> list[str]:
        """Join messages; return the ids whose record changed, each once, forgotten items among them.

        Publish ``record`` of each; it is None for a forgotten one.
        """
        changed: dict[str, None] = {}
        for item_id, activity in messages:
            if self._join(item_id, activity):
                changed[item_id] = None
        for item_id in self._forget_surplus():
            changed[item_id] = None
        return list(changed)

    def _join(self, item_id: str, activity: ItemActivity) -> bool:
        item = self._open(item_id)
        before, changed = len(item), False
        if not activity.echo:
            changed = item.touches.put(activity.visitor, activity.ts)
        for neighbour in activity.neighbours:
            if neighbour != item_id:
                changed |= item.pairs.put((neighbour, activity.visitor, activity.kind == "order"), activity.ts)
        self._entries += len(item) - before
        return changed

    def _open(self, item_id: str) -> _Item:
        item = self._items.get(item_id)
        if item is None:
            item = self._items[item_id] = _Item(self._max_touches, self._max_pairs)
        self._items.move_to_end(item_id)
        return item

    def _forget_surplus(self) -> list[str]:
        forgotten = []
        while len(self._items) > self._max_items or (self._entries > self._max_entries and len(self._items) > 1):
            item_id, item = self._items.popitem(last=False)
            self._entries -= len(item)
            forgotten.append(item_id)
        return forgotten

    # -- records -----------------------------------------------------------------------------------------------------

    def record(self, item_id: str) -> ItemNeighbours | None:
        """Return an item's popularity and neighbours as of its newest event, None where nothing is known."""
        item = self._items.get(item_id)
        if item is None or not len(item):
            return None
        touches, pairs = list(item.touches.newest_first()), list(item.pairs.newest_first())
        as_of = max(ts for ts, _ in (*touches[:1], *pairs[:1]))
        return ItemNeighbours(
            as_of=as_of,
            popularity=self._popularity([as_of - ts for ts, _ in touches]),
            neighbours=self._neighbours(pairs, as_of),
            state=_pack(touches, pairs, as_of),
        )

    def _popularity(self, ages_ms: list[int]) -> float:
        """Sum the decayed visitors; where only the newest are kept, go on at their rate into the past.

        Without that all best-sellers would be equally popular, as popular as ``max_touches`` visitors.
        """
        half_life = self._popularity_ms
        seen = math.fsum(2.0 ** (-age / half_life) for age in ages_ms)
        if len(ages_ms) < self._max_touches:
            return seen
        span = max(ages_ms[-1] - ages_ms[0], 1)
        start, end = ages_ms[-1], ages_ms[-1] + (_MAX_EXTRAPOLATION - 1) * span
        rate = len(ages_ms) / span
        tail: float = rate * half_life / math.log(2) * (2.0 ** (-start / half_life) - 2.0 ** (-end / half_life))
        return seen + tail

    def _neighbours(self, pairs: list[tuple[int, tuple[str, int, bool]]], as_of: int) -> tuple[Neighbour, ...]:
        met: dict[str, dict[int, float]] = {}
        bought: dict[str, list[float]] = {}
        for ts, (neighbour, visitor, was_bought) in pairs:  # newest first, so the first weight of a visitor is the greatest
            weight = 2.0 ** ((ts - as_of) / self._together_ms)
            met.setdefault(neighbour, {}).setdefault(visitor, weight)
            if was_bought:
                bought.setdefault(neighbour, []).append(weight)
        # fsum is exact, so that no order of arrival can be seen in the last bit.
        found = [
            Neighbour(item_id=name, together=math.fsum(visitors.values()), bought=math.fsum(bought.get(name, ())))
            for name, visitors in met.items()
        ]
        found.sort(key=lambda n: (-(n.together + n.bought), n.item_id))
        return tuple(found[: self._max_neighbours])

    def restore(self, item_id: str, record: ItemNeighbours) -> None:
        """Join the state that a record carries, so that the compacted topic is all that is needed after a restart.

        Raises InvalidMessage if the state is not this version's.
        """
        if not record.state:
            return
        try:
            state = _decode(record.state)
            names = [state.names[i] for i, *_ in state.pairs]
        except (msgspec.MsgspecError, IndexError) as error:
            raise InvalidMessage(f"state of item {item_id}: {error}; let a new event rebuild it") from error
        item = self._open(item_id)
        before = len(item)
        for visitor, age in state.touches:
            item.touches.put(visitor, record.as_of - age)
        for name, (_, visitor, was_bought, age) in zip(names, state.pairs, strict=True):
            item.pairs.put((name, visitor, was_bought), record.as_of - age)
        self._entries += len(item) - before
        self._forget_surplus()


def _pack(touches: list[tuple[int, int]], pairs: list[tuple[int, tuple[str, int, bool]]], as_of: int) -> bytes:
    """Pack the state; where ids are so long that a record would outgrow its topic, the older contributions stay behind."""
    names = {name: i for i, name in enumerate(sorted({name for _, (name, *_) in pairs}))}
    state = _State(
        version=1,
        touches=[(visitor, as_of - ts) for ts, visitor in touches],
        names=list(names),
        pairs=[(names[name], visitor, was_bought, as_of - ts) for ts, (name, visitor, was_bought) in pairs],
    )
    packed = _encode(state)
    return packed if len(packed) <= _MAX_STATE_BYTES or not pairs else _pack(touches, pairs[: len(pairs) // 2], as_of)
