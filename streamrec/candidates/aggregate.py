"""Counts who met which items together, from a stream that may repeat itself and arrive out of order.

Per item only the newest visits are kept, as VMIS-kNN does for its session index (Kersbergen, Sprangers and Schelter, Serenade,
SIGMOD 2022): recent sessions predict best, and the cost per item is bounded. A visitor counts once per pair, by the newest
meeting, however often the events say so; of what is kept of an item a visitor holds a bounded part, and counts with all of it as a
bounded number of visitors. So one visitor can do little to other people's lists; crowds are held off before (crowds.py).
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, Self

import msgspec

from streamrec.candidates.contributions import Newest
from streamrec.candidates.sightings import estimate, sighting
from streamrec.config import AbuseSettings, RankingSettings
from streamrec.errors import InvalidMessage
from streamrec.events import ItemActivity, ItemNeighbours, Neighbour

#: Popularity is extrapolated over at most so many times the span that the kept visitors cover.
_MAX_EXTRAPOLATION: Final = 16.0
#: A record may have 65,536 bytes; ids of 128 wide characters would take more.
_MAX_STATE_BYTES: Final = 36_000
#: Of the state's layout.
_VERSION: Final = 3


class _State(msgspec.Struct, frozen=True, array_like=True):
    """What ``ItemNeighbours.state`` holds: times are ms before ``as_of``, newest first."""

    version: int
    #: (visitor, age).
    touches: list[tuple[int, int]]
    #: Names that ``met`` and ``bought`` refer to by position.
    names: list[str]
    #: (position in names, visitor, distance, age).
    met: list[tuple[int, int, int, int]]
    #: (position in names, visitor, lines of the order beside the item's, age).
    bought: list[tuple[int, int, int, int]]
    #: (visitor, age).
    again: list[tuple[int, int]]
    #: Impressions, see sightings.py, and when the newest was; version 2 had none.
    shown: bytes = b""
    shown_age: int = 0


class _FirstState(msgspec.Struct, frozen=True, array_like=True):
    """What was written before distances were told; read as if all had been 1."""

    version: int
    touches: list[tuple[int, int]]
    names: list[str]
    #: (position in names, visitor, bought, age).
    pairs: list[tuple[int, int, bool, int]]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_State).decode
_decode_first = msgspec.msgpack.Decoder(_FirstState).decode

#: When two items were met, and -distance: of equal times the nearer one is the greater.
_Stamp = tuple[int, int]
_Contributions = list[tuple[_Stamp, tuple[str, int]]]


class _Item:
    """One item's visitors, and what each contributed to (neighbour, visitor) by meeting or buying both."""

    __slots__ = ("again", "bought", "met", "shown", "shown_ts", "touches")

    def __init__(self, max_touches: int, max_pairs: int, visitor_pairs: int) -> None:
        self.touches: Newest[int, int] = Newest(max_touches)
        self.again: Newest[int, int] = Newest(max_touches)
        self.met: Newest[tuple[str, int], _Stamp] = Newest(max_pairs, of_group=visitor_pairs, group=_whose)
        # Apart from the others: one order of twenty lines would push out what four visits told.
        self.bought: Newest[tuple[str, int], _Stamp] = Newest(max_pairs, of_group=visitor_pairs, group=_whose)
        #: Impressions while the item was new, and the ts of the newest.
        self.shown = 0
        self.shown_ts = 0

    def __len__(self) -> int:
        return len(self.touches) + len(self.again) + len(self.met) + len(self.bought)

    def pairs(self, kind: str) -> Newest[tuple[str, int], _Stamp]:
        """Return the contributions of events of a kind."""
        return self.bought if kind == "order" else self.met


class CovisitationAggregator:
    """Joins activities into bounded per-item state; ``record`` depends only on the set of messages, not on order or repeats.

    A visitor who met two items counts 1 / distance for the pair: neighbours in a session say most of each other, as in the
    position decay of VMIS-kNN. In an order, which has no places, distance is the number of the other lines.

    Bounds: ``max_touches`` newest visitors, and of what they met and of what they bought ``max_pairs`` newest contributions per
    item, of which ``visitor_pairs`` may be one visitor's, who counts with all of them as ``visitor_weight`` visitors at most. Past
    ``max_items`` items, or ``max_entries`` of all over all items (some 150 bytes each), those updated longest ago are forgotten.
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
        visitor_pairs: int = 32,
        visitor_weight: float = 5.0,
        max_neighbours: int = 50,
    ) -> None:
        self._popularity_ms = popularity_half_life_s * 1000
        self._together_ms = together_half_life_s * 1000
        self._max_items = max_items
        self._max_entries = max_entries
        self._max_touches = max_touches
        self._max_pairs = max_pairs
        self._visitor_pairs = visitor_pairs
        self._visitor_weight = visitor_weight
        self._max_neighbours = max_neighbours
        self._items: OrderedDict[str, _Item] = OrderedDict()
        self._entries = 0

    @classmethod
    def from_settings(cls, ranking: RankingSettings, abuse: AbuseSettings) -> Self:
        """Return an empty one whose half-lives are those with which every recommender reads its records."""
        return cls(
            popularity_half_life_s=ranking.trending_half_life_s,
            together_half_life_s=ranking.together_half_life_s,
            visitor_pairs=abuse.visitor_pairs,
            visitor_weight=abuse.visitor_weight,
        )

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
        if activity.shown:
            return _see(item, sighting(activity.visitor, activity.ts), activity.ts)
        before, changed = len(item), False
        if not activity.echo:
            changed = item.touches.put(activity.visitor, activity.ts)
            if activity.again:
                changed |= item.again.put(activity.visitor, activity.ts)
        pairs = item.pairs(activity.kind)
        for place, neighbour in enumerate(activity.neighbours, 1):
            if neighbour != item_id:
                distance = len(activity.neighbours) if activity.kind == "order" else activity.distance if activity.echo else place
                changed |= pairs.put((neighbour, activity.visitor), (activity.ts, -distance))
        self._entries += len(item) - before
        return changed

    def _open(self, item_id: str) -> _Item:
        item = self._items.get(item_id)
        if item is None:
            item = self._items[item_id] = _Item(self._max_touches, self._max_pairs, self._visitor_pairs)
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
        if item is None or not (len(item) or item.shown):
            return None
        touches, again = list(item.touches.newest_first()), list(item.again.newest_first())
        met, bought = list(item.met.newest_first()), list(item.bought.newest_first())
        as_of = max([item.shown_ts, *(ts for ts, _ in touches[:1]), *(ts for (ts, _), _ in (*met[:1], *bought[:1]))])
        neighbours = self._neighbours(met, bought, as_of)
        ages = [as_of - ts for ts, _ in touches]
        return ItemNeighbours(
            as_of=as_of,
            popularity=self._popularity(ages, self._popularity_ms),
            neighbours=tuple(neighbours[: self._max_neighbours]),
            state=_pack(touches, met, bought, again, item, as_of),
            total=math.fsum(neighbour.together for neighbour in neighbours),
            visitors=self._popularity(ages, self._together_ms),
            again=self._share([as_of - ts for ts, _ in again], ages),
            shown=estimate(item.shown),
        )

    def _share(self, again_ms: list[int], ages_ms: list[int]) -> float:
        """Return the decayed share of the kept visitors, ``ages_ms``, who met the item again; those of older times do not count."""
        kept = math.fsum(2.0 ** (-age / self._together_ms) for age in ages_ms)
        if not kept:
            return 0.0
        repeated = math.fsum(2.0 ** (-age / self._together_ms) for age in again_ms if age <= ages_ms[-1])
        return min(repeated / kept, 1.0)

    def _popularity(self, ages_ms: list[int], half_life: float) -> float:
        """Sum the decayed visitors; where only the newest are kept, go on at their rate into the past.

        Without that all best-sellers would be equally popular, as popular as ``max_touches`` visitors.
        """
        seen = math.fsum(2.0 ** (-age / half_life) for age in ages_ms)
        if len(ages_ms) < self._max_touches:
            return seen
        span = max(ages_ms[-1] - ages_ms[0], 1)
        start, end = ages_ms[-1], ages_ms[-1] + (_MAX_EXTRAPOLATION - 1) * span
        rate = len(ages_ms) / span
        tail: float = rate * half_life / math.log(2) * (2.0 ** (-start / half_life) - 2.0 ** (-end / half_life))
        return seen + tail

    def _neighbours(self, met: _Contributions, bought: _Contributions, as_of: int) -> list[Neighbour]:
        """Return all neighbours, best first. Of a visitor's contributions to a neighbour the greatest counts.

        A visitor who counts as more than ``visitor_weight`` in all counts for each in proportion less. One visit tells 4.6 at most:
        1 + 1/2 + … + 1/5 of what came before, and as much of what came after.
        """
        together: dict[str, dict[int, float]] = {}
        purchases: dict[str, list[float]] = {}
        for contributions, are_bought in ((met, False), (bought, True)):
            for (ts, negative), (neighbour, visitor) in contributions:
                decay = 2.0 ** ((ts - as_of) / self._together_ms)
                visitors = together.setdefault(neighbour, {})
                visitors[visitor] = max(visitors.get(visitor, 0.0), decay / -negative)
                if are_bought:
                    purchases.setdefault(neighbour, []).append(decay)
        # fsum is exact, so that no order of arrival can be seen in the last bit.
        of_visitor: dict[int, list[float]] = {}
        for visitors in together.values():
            for visitor, weight in visitors.items():
                of_visitor.setdefault(visitor, []).append(weight)
        most = self._visitor_weight
        less = {visitor: most / total for visitor, weights in of_visitor.items() if (total := math.fsum(weights)) > most}
        found = [
            Neighbour(
                item_id=name,
                together=math.fsum(weight * less.get(visitor, 1.0) for visitor, weight in visitors.items()),
                bought=math.fsum(purchases.get(name, ())),
            )
            for name, visitors in together.items()
        ]
        found.sort(key=lambda n: (-(n.together + n.bought), n.item_id))
        return found

    def restore(self, item_id: str, record: ItemNeighbours) -> None:
        """Join the state that a record carries, so that the compacted topic is all that is needed after a restart.

        Raises InvalidMessage if the state is not this version's.
        """
        if not record.state:
            return
        state = _unpack(item_id, record.state)
        item = self._open(item_id)
        before = len(item)
        for visitor, age in state.touches:
            item.touches.put(visitor, record.as_of - age)
        for visitor, age in state.again:
            item.again.put(visitor, record.as_of - age)
        for pairs, told in ((item.met, state.met), (item.bought, state.bought)):
            for place, visitor, distance, age in told:
                pairs.put((state.names[place], visitor), (record.as_of - age, -distance))
        if state.shown:
            _see(item, int.from_bytes(state.shown, "big"), record.as_of - state.shown_age)
        self._entries += len(item) - before
        self._forget_surplus()


def _whose(pair: tuple[str, int]) -> int:
    return pair[1]


def _see(item: _Item, sightings: int, ts: int) -> bool:
    """Join impressions; False where all are known."""
    before = item.shown, item.shown_ts
    item.shown |= sightings
    item.shown_ts = max(item.shown_ts, ts)
    return before != (item.shown, item.shown_ts)


def _unpack(item_id: str, packed: bytes) -> _State:
    """Return a state of this version or of one before. Raises InvalidMessage if it is of neither."""
    try:
        state = _decode(packed)
    except msgspec.MsgspecError as error:
        try:
            first = _decode_first(packed)
        except msgspec.MsgspecError:
            raise InvalidMessage(f"state of item {item_id}: {error}; let a new event rebuild it") from error
        of_kind: tuple[list[tuple[int, int, int, int]], list[tuple[int, int, int, int]]] = ([], [])
        for place, visitor, was_bought, age in first.pairs:
            of_kind[was_bought].append((place, visitor, 1, age))
        state = _State(_VERSION, first.touches, first.names, *of_kind, [])
    if any(place >= len(state.names) for place, *_ in (*state.met, *state.bought)):
        raise InvalidMessage(f"state of item {item_id}: a name is missing; let a new event rebuild it")
    return state


def _pack(  # noqa: PLR0917 - record names them
    touches: list[tuple[int, int]],
    met: _Contributions,
    bought: _Contributions,
    again: list[tuple[int, int]],
    item: _Item,
    as_of: int,
) -> bytes:
    """Pack the state; where ids are so long that a record would outgrow its topic, the older contributions stay behind."""
    names = {name: i for i, name in enumerate(sorted({name for _, (name, _) in (*met, *bought)}))}

    def told(contributions: _Contributions) -> list[tuple[int, int, int, int]]:
        return [(names[name], visitor, -negative, as_of - ts) for (ts, negative), (name, visitor) in contributions]

    aged, repeated = ([(visitor, as_of - ts) for ts, visitor in pairs] for pairs in (touches, again))
    shown = item.shown.to_bytes(-(-item.shown.bit_length() // 8), "big")
    shown_age = as_of - item.shown_ts if shown else 0
    packed = _encode(_State(_VERSION, aged, list(names), told(met), told(bought), repeated, shown, shown_age))
    if len(packed) <= _MAX_STATE_BYTES or not (met or bought):
        return packed
    return _pack(touches, met[: len(met) // 2], bought[: len(bought) // 2], again, item, as_of)
