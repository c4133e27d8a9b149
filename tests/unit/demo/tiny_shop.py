"""A shop without Kafka: a sender that does at once, in one process, what the workers would do; honest or broken on purpose."""

from __future__ import annotations

from threading import Lock
from typing import Literal

import redis

from streamrec.catalogue.redis_store import RedisFactStore
from streamrec.catalogue.store import Fact
from streamrec.config import ProfileSettings
from streamrec.events import Campaign, CatalogItem, Price, Stock, decode
from streamrec.events.topics import CAMPAIGNS, CATALOG
from streamrec.lists import keys
from streamrec.lists.functions import ensure_functions
from streamrec.lists.packing import ListItem, RankedList, pack
from streamrec.lists.redis_visitors import RedisVisitorStore
from streamrec.lists.visitors import VisitorUpdate
from streamrec.profiles import apply

Fault = Literal["", "guard", "order", "bought"]
NOW = 2_000_000_000_000


class TinyShop:
    """Keeps every visitor's list as 40 items but what is sold out, bought or excluded, pinned ones first.

    ``fault`` breaks a guarantee: ``guard`` forgets the sold-out mark after it was seen, ``order`` takes every fact as new,
    ``bought`` goes on showing what was bought.
    """

    def __init__(self, client: redis.Redis, items: list[str], fault: Fault = "") -> None:
        ensure_functions(client)
        self._client, self._items, self._fault = client, items, fault
        self._facts, self._visitors = RedisFactStore(client), RedisVisitorStore(client)
        self._campaigns: dict[str, Campaign] = {}
        self._users: set[str] = set()
        self._sold_out: set[str] = set()
        self._order = 0
        self._lock = Lock()
        self.clicks = 0

    def send(self, topic: str, key: str, value: bytes | None) -> None:
        """Take a message and do everything that follows from it."""
        payload = decode(topic, key.encode(), value, NOW).value
        with self._lock:
            self._order += 1
            if topic == CAMPAIGNS:
                self._campaign(key, payload if isinstance(payload, Campaign) else None)
            elif isinstance(payload, Stock):
                self._stock(key, payload)
            elif isinstance(payload, Price):
                self._price(key, payload)
            elif topic == CATALOG:
                assert isinstance(payload, CatalogItem)
                self._facts.apply([Fact(topic, key, payload, self._order)])
                self._items.append(key)
                self._put(keys.new(), [key])
            else:
                self._event(key, payload)

    def _event(self, user: str, event: object) -> None:
        self._users.add(user)
        [profile] = self._visitors.load([user])
        apply(profile, event, ProfileSettings())  # type: ignore[arg-type]
        self._visitors.commit([VisitorUpdate(user, profile, {keys.HOME: self._ranked(user, set(profile.bought))})])

    def _stock(self, item_id: str, stock: Stock) -> None:
        if self._fault == "order":
            self._client.hset(keys.item(item_id), mapping={"stock_ts": 0, "quantity": 1})
            stale = RedisFactStore(self._client)
            stale.apply([Fact("items.stock", item_id, stock, self._order)])
        else:
            self._facts.apply([Fact("items.stock", item_id, stock, self._order)])
        if self._client.sismember(keys.SOLDOUT, item_id):
            self._sold_out.add(item_id)
        else:
            self._sold_out.discard(item_id)
        if self._fault != "guard":
            self._refresh()

    def _price(self, item_id: str, price: Price) -> None:
        if self._fault == "order":
            self._client.hset(keys.item(item_id), "price_ts", 0)
        self._facts.apply([Fact("items.price", item_id, price, self._order)])

    def _campaign(self, campaign_id: str, campaign: Campaign | None) -> None:
        if campaign is None:
            self._campaigns.pop(campaign_id, None)
        else:
            self._campaigns[campaign_id] = campaign
        self._refresh()

    def _refresh(self) -> None:
        for user in self._users:
            [profile] = self._visitors.load([user])
            self._visitors.commit([VisitorUpdate(user, profile, {keys.HOME: self._ranked(user, set(profile.bought))})])

    def _ranked(self, user: str, bought: set[str]) -> RankedList:
        hidden = self._sold_out | (set() if self._fault == "bought" else bought)
        hidden |= {item for c in self._campaigns.values() if c.action == "exclude" for item in c.targets.items}
        pinned = [item for c in self._campaigns.values() if c.action == "pin" for item in c.targets.items]
        first = 10 * (sum(user.encode()) % 8)  # visitors' lists overlap and differ
        items = [item for item in dict.fromkeys([*pinned, *self._items[first : first + 40]]) if item not in hidden]
        return RankedList(made_at=NOW, items=tuple(ListItem(item, 1.0, "trending") for item in items))

    def _put(self, key: str, items: list[str]) -> None:
        self._client.set(key, pack(RankedList(made_at=NOW, items=tuple(ListItem(item, 1.0, "new") for item in items))))
