"""A world whose messages a perfect system took: what a fault-free run would leave in Redis, without Kafka and workers."""

from __future__ import annotations

from collections import Counter, defaultdict
from random import Random
from zlib import crc32

import redis

from streamrec.catalogue.redis_store import RedisFactStore
from streamrec.catalogue.store import Fact
from streamrec.chaos.compare import visitor_hash
from streamrec.chaos.looks import Letters
from streamrec.chaos.truth import Message, Truth
from streamrec.chaos.world import World
from streamrec.config import ProfileSettings
from streamrec.errors import InvalidMessage
from streamrec.events import CatalogItem, Price, Stock, decode
from streamrec.lists import keys
from streamrec.lists.hidden_items import RedisHiddenItems
from streamrec.lists.item_lists import RedisListStore
from streamrec.lists.packing import ListItem, RankedList
from streamrec.lists.redis_visitors import RedisVisitorStore
from streamrec.lists.visitors import VisitorUpdate
from streamrec.profiles import Profile, apply

NOW = 1_760_000_000_000
PARTITIONS = 4
Placed = tuple[Message, int, int]


def placed(world: World, n: int) -> list[Placed]:
    """Return the world's messages as the broker would place them: (message, partition, offset), one second every ten."""
    ends: Counter[tuple[str, int]] = Counter()
    found: list[Placed] = []
    messages = world.opening(NOW)
    for step in range(n // 10):
        messages += world.stream(10, NOW + step * 1000)
    for message in messages + world.rest():
        partition = crc32(message.key or b"") % (1 if message.topic == "promo.campaigns" else PARTITIONS)
        found.append((message, partition, ends[message.topic, partition]))
        ends[message.topic, partition] += 1
    return found


def shuffled(messages: list[Placed], seed: int) -> list[Placed]:
    """Return them in another order, a third of them twice."""
    rng = Random(seed)
    return rng.sample(again := messages + rng.sample(messages, len(messages) // 3), len(again))


class System:
    """Takes messages as the workers do, and writes into Redis what they would."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._facts = RedisFactStore(client)
        self._profiles: dict[str, Profile] = defaultdict(Profile)
        self.letters = Letters(Counter(), {})
        self.counted: dict[str, dict[int, int]] = defaultdict(dict)

    def take(self, messages: list[Placed], now_ms: int) -> None:
        """Take the messages and publish lists."""
        for message, partition, offset in messages:
            try:
                decoded = decode(message.topic, message.key, message.value, now_ms)
            except InvalidMessage:
                place = (message.topic, partition, offset)
                self.letters.sources[place] = 1
                self.letters.values[place] = (message.topic, message.value)
                continue
            value = decoded.value
            if message.topic.startswith("items."):
                assert value is None or isinstance(value, CatalogItem | Price | Stock)
                self._facts.apply([Fact(message.topic, decoded.key, value, offset)])
            elif message.topic.startswith("events."):
                apply(self._profiles[decoded.key], value, ProfileSettings())  # type: ignore[arg-type]
        for user_id, profile in self._profiles.items():
            for interaction in profile.recent:
                met = self.counted[interaction.item_id]
                met[visitor_hash(user_id)] = max(interaction.ts, met.get(visitor_hash(user_id), 0))

    def publish(self, truth: Truth, now_ms: int) -> None:
        """Write the profiles, and lists that are as they must be."""
        allowed = [i for i, item in sorted(truth.items.items()) if item.may_be_listed and i not in truth.excluded(now_ms)]
        pins = [item_id for _, item_id in truth.pinned(now_ms)]
        updates = []
        for user_id, profile in self._profiles.items():
            mine = [i for i in [*pins, *allowed] if i in allowed and i not in profile.bought and i not in profile.in_cart()]
            ranked = RankedList(now_ms, tuple(ListItem(i, 1.0) for i in dict.fromkeys(mine)))
            updates.append(VisitorUpdate(user_id, profile, {keys.HOME: ranked} if truth.visitors[user_id].has_list else {}))
        assert all(RedisVisitorStore(self._client).commit(updates))
        hiding = RedisHiddenItems(self._client)
        hiding.take_over()
        assert hiding.change(sorted(truth.excluded(now_ms)), hide=True)
        shop = RankedList(now_ms, tuple(ListItem(i, 1.0) for i in allowed))
        RedisListStore(self._client).put({keys.trending(): shop, keys.new(): shop}, 60)


def told(world: World, messages: list[Placed]) -> Truth:
    """Return the truth of a world that learned of these messages."""
    for message, partition, offset in messages:
        world.truth.take(message, partition, offset, NOW)
    return world.truth
