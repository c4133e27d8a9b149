"""Live item facts where storefronts read them, and the set of what must not be shown. The port, and its memory implementation.

The laws, the same as ItemTable's: price, stock and catalogue facts each apply only if their ``ts``, then their order, is later than
what stands; a price or quantity inside a catalogue message is a price or stock fact of that message's ``ts``, and yields to a
dedicated message of the same ``ts``, whose offset belongs to another topic. A removal has no ts: it removes the item as it was
listed up to its order. So the same facts in any order, with repeats, end in the same state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from streamrec.events import CatalogItem, Payload, Price, Stock
from streamrec.events.topics import CATALOG

#: Added to the order of a dedicated price or stock message. Offsets stay below it, and a Lua number holds the sum exactly.
DEDICATED: Final = 1 << 52

Fields = dict[str, str]


@dataclass(frozen=True, slots=True)
class Fact:
    """One message of items.catalog, items.price or items.stock; ``order`` is its offset, None as payload removes the item."""

    topic: str
    item_id: str
    payload: Payload | None
    order: int


@dataclass(frozen=True, slots=True)
class Applied:
    """What one fact did."""

    #: False where the fact was older than what stood.
    applied: bool
    became_soldout: bool = False
    became_available: bool = False


class FactStore(Protocol):
    """Facts of items and the guard set. Every method raises StoreUnavailable when the work may be tried again."""

    def apply(self, facts: Sequence[Fact]) -> list[Applied]:
        """Take the facts in one round trip; each is atomic for its item's facts and its place in ``soldout``."""
        ...

    def read(self, item_ids: Sequence[str]) -> list[Fields]:
        """Return each item's facts as storefronts see them, empty for an unknown item."""
        ...

    def soldout(self, item_ids: Sequence[str]) -> list[bool]:
        """Tell for each item whether it must not be shown now: sold out, removed by the catalogue, or hidden by a campaign."""
        ...


class MemoryFactStore:
    """Holds at most ``max_items`` items and refuses facts of further ones; for tests and experiments."""

    def __init__(self, max_items: int) -> None:
        self._max_items = max_items
        self._items: dict[str, Fields] = {}
        self._soldout: set[str] = set()

    def apply(self, facts: Sequence[Fact]) -> list[Applied]:
        """Take the facts."""
        return [self._apply(fact) for fact in facts]

    def read(self, item_ids: Sequence[str]) -> list[Fields]:
        """Return each item's facts."""
        return [dict(self._items.get(item_id, {})) for item_id in item_ids]

    def soldout(self, item_ids: Sequence[str]) -> list[bool]:
        """Tell for each item whether it must not be shown now."""
        return [item_id in self._soldout for item_id in item_ids]

    def exclude(self, item_ids: Sequence[str], *, hide: bool) -> None:
        """Note that campaigns hide these items, or do no more."""
        for item_id in item_ids:
            item = self._items.setdefault(item_id, {})
            item.pop("excluded", None)
            item.update({"excluded": "1"} if hide else {})
            (self._soldout.add if _is_hidden(item) else self._soldout.discard)(item_id)

    def _apply(self, fact: Fact) -> Applied:
        if fact.item_id not in self._items and len(self._items) >= self._max_items:
            return Applied(applied=False)
        item = self._items.setdefault(fact.item_id, {})
        applied = _take(item, fact)
        hidden, was_hidden = _is_hidden(item), fact.item_id in self._soldout
        (self._soldout.add if hidden else self._soldout.discard)(fact.item_id)
        return Applied(applied, became_soldout=hidden and not was_hidden, became_available=was_hidden and not hidden)


def _take(item: Fields, fact: Fact) -> bool:
    payload = fact.payload
    if isinstance(payload, Stock):
        return _set(item, "stock", payload.ts, fact.order + DEDICATED, quantity=str(payload.quantity))
    if isinstance(payload, Price):
        order = fact.order + DEDICATED
        return _set(item, "price", payload.ts, order, price=number(payload.price), list_price=number(payload.list_price))
    if isinstance(payload, CatalogItem):
        return _take_catalogue(item, payload, fact.order)
    if is_removal(fact) and fact.order > int(item.get("removed_order", -1)):
        item["removed_order"] = str(fact.order)
        return True
    return False


def _take_catalogue(item: Fields, payload: CatalogItem, order: int) -> bool:
    applied = False
    if payload.price is not None:
        applied |= _set(item, "price", payload.ts, order, price=number(payload.price), list_price="")
    if payload.quantity is not None:
        applied |= _set(item, "stock", payload.ts, order, quantity=str(payload.quantity))
    applied |= _set(
        item,
        "catalog",
        payload.ts,
        order,
        title=payload.title,
        image_url=payload.image_url,
        category=payload.category,
        brand=payload.brand,
        currency=payload.currency,
    )
    return applied


def _set(item: Fields, group: str, ts: int, order: int, **fields: str) -> bool:
    if (ts, order) <= (int(item.get(f"{group}_ts", -1)), int(item.get(f"{group}_order", -1))):
        return False
    item.update(fields, **{f"{group}_ts": str(ts), f"{group}_order": str(order)})
    if not item.get("list_price", "-"):
        del item["list_price"]
    return True


def _is_hidden(item: Fields) -> bool:
    removed = "removed_order" in item and int(item["removed_order"]) >= int(item.get("catalog_order", -1))
    return removed or item.get("quantity") == "0" or "excluded" in item


def is_removal(fact: Fact) -> bool:
    """Tell whether the fact takes the item out of the catalogue; a null has no meaning on other topics."""
    return fact.payload is None and fact.topic == CATALOG


def number(value: float | None) -> str:
    """Return a price as it stands in Redis: shortest form, whole numbers without a fraction, '' for none.

    >>> number(12.50), number(3.0), number(None)
    ('12.5', '3', '')
    """
    if value is None:
        return ""
    return str(int(value)) if value.is_integer() else repr(value)
