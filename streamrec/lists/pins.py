"""What campaigns pin for everybody, applied where lists are read: by the clock to the millisecond, also while no worker runs.

One key, ``campaigns:pins``, holds the pins that run now and those that are to come, as JSON:
``{"v":1,"from":ms,"pins":[{"slot","id","campaign","starts_at","ends_at"}…]}``, times in ms since the epoch, ``ends_at`` exclusive,
best first; before ``from`` none runs, which spares the decoding. Slots are counted from 1. Of several pins for a slot the
first that may be shown wins, and an item has one slot: that of its first pin that wins. A pin may be shown unless its item is in
``soldout``, or the visitor bought it or has it in the cart. Only home lists have pins, and what a visitor without one gets instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Protocol

import msgspec
import redis
from msgspec import Meta

from streamrec.lists import keys
from streamrec.lists.functions import call
from streamrec.lists.packing import ListItem

VERSION: Final = 1


class TimedPin(msgspec.Struct, frozen=True):
    """One item that has one slot of everybody's home list from ``starts_at`` until just before ``ends_at``, ms since the epoch."""

    slot: int
    id: str
    campaign: str
    starts_at: int
    ends_at: int

    def runs(self, now_ms: int) -> bool:
        """Tell whether it is its time."""
        return self.starts_at <= now_ms < self.ends_at


class _Board(msgspec.Struct, frozen=True):
    """The fields in the order in which functions.lua counts on: ``from`` stands before anything that a name could imitate."""

    v: Annotated[int, Meta(ge=VERSION, le=VERSION)]
    starts_at: int = msgspec.field(name="from")
    pins: tuple[TimedPin, ...]


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(_Board)


def pack_pins(pins: Sequence[TimedPin]) -> bytes:
    """Return the JSON value."""
    return _encoder.encode(_Board(VERSION, min((pin.starts_at for pin in pins), default=0), tuple(pins)))


def unpack_pins(value: bytes | None) -> tuple[TimedPin, ...]:
    """Return the pins of a JSON value, none where there is none of this version: readers then show lists as they were ranked."""
    if value is None:
        return ()
    try:
        return _decoder.decode(value).pins
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ()


@dataclass(frozen=True, slots=True)
class Placed:
    """The pins that have a slot in one visitor's list now."""

    slots: dict[int, TimedPin]

    def ids(self) -> set[str]:
        """Return the items that stand nowhere but in their slots."""
        return {pin.id for pin in self.slots.values()}

    def within(self, n: int) -> int:
        """Return how many of the first ``n`` slots are taken."""
        return sum(slot <= n for slot in self.slots)

    def lay(self, items: Sequence[ListItem], own: Sequence[ListItem], n: int) -> tuple[ListItem, ...]:
        """Return the first ``n`` of ``items``, which hold none of the pins, with the pins in their slots.

        Where the items end, the pins that are left over follow, the last slot's first, as in ranking. A pin that the visitor's
        ``own`` list has among its first ``n`` keeps the score that it has there; others have 0.
        """
        scores = {item.id: item.score for item in reversed(own[:n])}
        slots, waiting, out = dict(self.slots), iter(items), list[ListItem]()
        for slot in range(1, n + 1):
            item = None if slot in slots else next(waiting, None)
            if item is None and not slots:
                break
            if item is None:
                pin = slots.pop(slot if slot in slots else max(slots))
                item = ListItem(pin.id, scores.get(pin.id, 0.0), f"campaign:{pin.campaign}")
            out.append(item)
        return tuple(out)


def place(running: Sequence[TimedPin], away: set[str]) -> Placed:
    """Give each slot its first pin that is not ``away`` (hidden, bought or in the cart) and has no slot yet."""
    slots: dict[int, TimedPin] = {}
    used: set[str] = set()
    for pin in running:
        if pin.slot not in slots and pin.id not in used and pin.id not in away:
            slots[pin.slot] = pin
            used.add(pin.id)
    return Placed(slots)


class PinStore(Protocol):
    """Where readers find the pins. Every method raises StoreUnavailable."""

    def put(self, pins: Sequence[TimedPin]) -> None:
        """Write the pins in the place of all others."""
        ...

    def get(self) -> bytes | None:
        """Return the value that stands there."""
        ...


class MemoryPinStore:
    """Holds the pins that were put last."""

    def __init__(self) -> None:
        self.value: bytes | None = None

    def put(self, pins: Sequence[TimedPin]) -> None:
        """Write the pins."""
        self.value = pack_pins(pins) if pins else None

    def get(self) -> bytes | None:
        """Return the value."""
        return self.value


class RedisPinStore:
    """The key ``campaigns:pins``; without pins there is none, and it goes by itself when the last pin has ended."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def put(self, pins: Sequence[TimedPin]) -> None:
        """Write the pins."""
        until = max((pin.ends_at for pin in pins), default=0)
        command = ("SET", keys.PINS, pack_pins(pins), "PXAT", until) if pins else ("DEL", keys.PINS)
        call(self._client, command, "writing pins")

    def get(self) -> bytes | None:
        """Return the value."""
        value: bytes | None = call(self._client, ("GET", keys.PINS), "reading pins")
        return value
