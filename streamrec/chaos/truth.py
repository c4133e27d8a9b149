"""What must be in Redis after everything that the broker acknowledged: a fold of its own, which shares no code with the system.

It reads the contract (README, the layouts in the docstrings), not the implementation: plain dicts from plain JSON.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final, NamedTuple

CATALOG: Final = "items.catalog"
PRICE: Final = "items.price"
STOCK: Final = "items.stock"
CAMPAIGNS: Final = "promo.campaigns"
CLICKS: Final = "events.clicks"
CARTS: Final = "events.carts"
ORDERS: Final = "events.orders"
SEARCHES: Final = "events.searches"
IMPRESSIONS: Final = "events.impressions"

#: Where a record lies: topic, partition, offset.
Place = tuple[str, int, int]
Json = dict[str, Any]


class Message(NamedTuple):
    """One message on its way to the broker."""

    #: Grows by one with every message of a world; a message that is sent again keeps it.
    number: int
    topic: str
    key: bytes | None
    value: bytes | None
    #: Why nobody may take it for a record, in a word; empty for a good message.
    poison: str = ""


class Fact(NamedTuple):
    """A group of an item's fields and its rank: the greatest rank stands, whatever came first."""

    #: ts; whether the message was the group's own (its offset belongs to another topic); offset.
    rank: tuple[int, bool, int]
    fields: Json


class Interaction(NamedTuple):
    """One thing that a visitor did with one item, as a profile must hold it."""

    ts: int
    kind: str
    item_id: str


@dataclass(slots=True)
class Item:
    """What is true of one item."""

    #: "catalog", "price" and "stock" → the newest fact.
    facts: dict[str, Fact] = field(default_factory=dict)
    #: Offset of the last removal, -1 without one: it removes what was listed before.
    removed: int = -1

    def put(self, group: str, ts: int, offset: int, *, own: bool, **fields: Any) -> None:
        """Take a fact."""
        fact = Fact((ts, own, offset), fields)
        if group not in self.facts or self.facts[group].rank < fact.rank:
            self.facts[group] = fact

    @property
    def catalog(self) -> Json:
        """What the catalogue says of it, empty where it says nothing."""
        return self.facts["catalog"].fields if "catalog" in self.facts else {}

    @property
    def is_removed(self) -> bool:
        """Whether the catalogue removed it and did not list it again."""
        return self.removed >= 0 and ("catalog" not in self.facts or self.removed >= self.facts["catalog"].rank[2])

    @property
    def is_soldout(self) -> bool:
        """Whether the guard must hold it back: nothing is left, or it is no longer listed."""
        return self.is_removed or ("stock" in self.facts and self.facts["stock"].fields["quantity"] == 0)

    @property
    def may_be_listed(self) -> bool:
        """Whether lists may hold it: in the catalogue and not sold out."""
        return bool(self.catalog) and not self.is_soldout


@dataclass(slots=True)
class Visitor:
    """What one visitor did, each event once."""

    #: (kind, event id) of the events that were folded.
    seen: set[tuple[str, str]] = field(default_factory=set)
    interactions: Counter[Interaction] = field(default_factory=Counter)
    #: item → ts of its last order.
    bought: dict[str, int] = field(default_factory=dict)
    #: item → (ts, quantity) of its last cart event.
    cart: dict[str, tuple[int, int]] = field(default_factory=dict)
    #: query → ts of its last search.
    searches: dict[str, int] = field(default_factory=dict)
    #: (ts, item) of everything shown.
    shown: set[tuple[int, str]] = field(default_factory=set)
    #: When the last event was sent that must have made a new list, ms of the wall clock; 0 without one.
    relisted_ms: int = 0
    #: Whether any event was acknowledged that makes a list.
    has_list: bool = False

    def in_cart(self, item_id: str) -> bool:
        """Tell whether the item lies in the cart: the last word was to put it in, and it was not bought since."""
        ts, quantity = self.cart.get(item_id, (0, 0))
        return quantity > 0 and ts > self.bought.get(item_id, 0)

    def must_not_see(self, item_id: str) -> bool:
        """Tell whether the visitor's list must leave the item out."""
        return item_id in self.bought or self.in_cart(item_id)


@dataclass(slots=True)
class _Campaign:
    standing: tuple[int, int] = (-1, -1)
    value: Json = field(default_factory=dict)
    cancelled: int = -1


class Truth:
    """Everything that was acknowledged, folded as it comes; the order of calls does not matter. Thread-safe."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.items: dict[str, Item] = {}
        self.visitors: dict[str, Visitor] = {}
        self._campaigns: dict[str, _Campaign] = {}
        #: Places of the poison: each must be a dead letter once, and nothing else may be one.
        self.letters: dict[Place, str] = {}
        #: item → visitor → ts of the newest click, cart addition or order: what the aggregator must have counted.
        self.met: dict[str, dict[str, int]] = {}
        #: Values whose sending failed at least once: the broker may hold them at places that nobody told us.
        self.uncertain: set[tuple[str, bytes | None]] = set()
        self.acknowledged: Counter[str] = Counter()

    def take(self, message: Message, partition: int, offset: int, sent_ms: int) -> None:
        """Fold a message that the broker acknowledged at a place; ``sent_ms`` is when it was sent first."""
        with self.lock:
            self.acknowledged[message.topic] += 1
            if message.poison:
                self.letters[message.topic, partition, offset] = message.poison
                return
            key = (message.key or b"").decode()
            value = None if message.value is None else json.loads(message.value)
            if message.topic == CAMPAIGNS:
                self._campaign(key, value, offset)
            elif message.topic in {CATALOG, PRICE, STOCK}:
                self._fact(message.topic, key, value, offset)
            else:
                self._event(message.topic, key, value or {}, sent_ms)

    def note_failure(self, message: Message) -> None:
        """Note that a message may or may not have reached the broker."""
        with self.lock:
            self.uncertain.add((message.topic, message.value))

    # -- facts ---------------------------------------------------------------------------------------------------------

    def _fact(self, topic: str, item_id: str, value: Json | None, offset: int) -> None:
        item = self.items.setdefault(item_id, Item())
        if value is None:
            item.removed = max(item.removed, offset)
            return
        ts = value["ts"]
        if topic == STOCK:
            item.put("stock", ts, offset, own=True, quantity=value["quantity"])
        elif topic == PRICE:
            item.put("price", ts, offset, own=True, price=value["price"], list_price=value.get("list_price"))
        else:
            names = ("title", "image_url", "category", "brand", "currency")
            item.put("catalog", ts, offset, own=False, **{name: value.get(name, "") for name in names})
            if value.get("price") is not None:
                item.put("price", ts, offset, own=False, price=value["price"], list_price=None)
            if value.get("quantity") is not None:
                item.put("stock", ts, offset, own=False, quantity=value["quantity"])

    def _campaign(self, campaign_id: str, value: Json | None, offset: int) -> None:
        campaign = self._campaigns.setdefault(campaign_id, _Campaign())
        if value is None:
            campaign.cancelled = max(campaign.cancelled, offset)
        elif (value["ts"], offset) > campaign.standing:
            campaign.standing, campaign.value = (value["ts"], offset), value

    def campaigns(self, now_ms: int) -> dict[str, Json]:
        """Return the campaigns in force at ``now_ms``."""
        return {
            name: campaign.value
            for name, campaign in sorted(self._campaigns.items())
            if campaign.value
            and campaign.standing[1] > campaign.cancelled
            and campaign.value["starts_at"] <= now_ms < campaign.value["ends_at"]
        }

    def excluded(self, now_ms: int) -> set[str]:
        """Return the items that a campaign excludes for everybody."""
        targets = [campaign["targets"] for campaign in self._for_everybody("exclude", now_ms)]
        return {item_id for item_id, item in self.items.items() if any(_matches(item_id, item.catalog, t) for t in targets)}

    def pinned(self, now_ms: int) -> list[tuple[int, str]]:
        """Return (slot, item) of the pins for everybody, in the order of their slots."""
        pins = self._for_everybody("pin", now_ms)
        return sorted((slot, item) for c in pins for slot, item in zip(sorted(c["slots"]), c["targets"]["items"], strict=False))

    def _for_everybody(self, action: str, now_ms: int) -> list[Json]:
        running = self.campaigns(now_ms).values()
        return [c for c in running if c["action"] == action and c.get("segment", "all") == "all"]

    # -- events --------------------------------------------------------------------------------------------------------

    def _event(self, topic: str, user_id: str, value: Json, sent_ms: int) -> None:
        visitor = self.visitors.setdefault(user_id, Visitor())
        kind, ts = topic.removeprefix("events."), value["ts"]
        if (kind, value["event_id"]) in visitor.seen:
            return
        visitor.seen.add((kind, value["event_id"]))
        if topic == IMPRESSIONS:
            visitor.shown.update((ts, item_id) for item_id in value["item_ids"])
            return
        visitor.has_list = True
        if topic == SEARCHES:
            query = " ".join(value["query"].split())
            visitor.searches[query] = max(ts, visitor.searches.get(query, 0))
            return
        if topic == CARTS:
            quantity = value.get("quantity", 1) if value["op"] == "add" else 0
            visitor.cart[value["item_id"]] = max((ts, quantity), visitor.cart.get(value["item_id"], (0, 0)))
            if not quantity:
                return
        visitor.relisted_ms = max(visitor.relisted_ms, sent_ms)
        if topic == ORDERS:
            for item_id in {line["item_id"] for line in value["lines"]}:
                visitor.bought[item_id] = max(ts, visitor.bought.get(item_id, 0))
                self._met(user_id, visitor, Interaction(ts, "order", item_id))
        else:
            self._met(user_id, visitor, Interaction(ts, "cart" if topic == CARTS else "click", value["item_id"]))

    def _met(self, user_id: str, visitor: Visitor, interaction: Interaction) -> None:
        visitor.interactions[interaction] += 1
        met = self.met.setdefault(interaction.item_id, {})
        met[user_id] = max(interaction.ts, met.get(user_id, 0))


def _matches(item_id: str, catalog: Json, targets: Json) -> bool:
    if item_id in targets.get("items", ()):
        return True
    return bool(catalog) and (catalog["category"] in targets.get("categories", ()) or catalog["brand"] in targets.get("brands", ()))
