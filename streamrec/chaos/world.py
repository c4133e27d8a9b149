"""A small shop that never rests: what it publishes, good and bad, in and out of order, and the truth of what was acknowledged."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from random import Random
from typing import Any, Final

from streamrec.chaos.poison import poison
from streamrec.chaos.truth import (
    CAMPAIGNS,
    CARTS,
    CATALOG,
    CLICKS,
    IMPRESSIONS,
    ORDERS,
    PRICE,
    SEARCHES,
    STOCK,
    Message,
    Truth,
)
from streamrec.events import CatalogItem, encode

Items = Sequence[tuple[str, CatalogItem]]

#: Bounds of what one visitor does, below those of a profile (64 interactions, 8 queries, 128 shown), which then forgets nothing.
_MAX_INTERACTIONS: Final = 48
_MAX_SHOWN: Final = 90
_QUERIES: Final = ("red wine", "bread", "candy for kids", "soap", "cat food", "something nice")
#: How much of each there is, as weights.
_MIX: Final = {
    CLICKS: 44,
    CARTS: 12,
    ORDERS: 5,
    SEARCHES: 6,
    IMPRESSIONS: 8,
    STOCK: 10,
    PRICE: 6,
    CATALOG: 4,
    CAMPAIGNS: 0.4,
    "poison": 1.0,
    "again": 4,
}
_CAMPAIGNS: Final = (("pin-0", "pin"), ("away-0", "exclude"), ("away-1", "exclude"), ("up-0", "boost"), ("down-0", "bury"))
#: A message waits until so many others overtook it.
_LATENESS: Final = 600
#: Items that never sell out and are never removed: what is pinned is one of them.
_STEADY: Final = 10
#: How far a producer's clock runs ahead within the tolerance of 5 minutes, with a minute to spare.
_SKEW_MS: Final = 240_000
_MINUTE_MS: Final = 60_000


def grocery(n: int = 300, categories: int = 8) -> Items:
    """Return ``n`` real products (The Complete Journey) of the first few categories, each with a price.

    Few categories: each has its own fallback lists, which take turns. Raises DataError where the data are not installed.
    """
    from streamrec.demo.data.completejourney import CompleteJourney  # noqa: PLC0415 - the data come with the demo extra

    data = CompleteJourney()
    chosen: dict[str, list[tuple[str, CatalogItem]]] = {}
    for item_id, item in data.items(data.start_ms):
        if item.price is not None and (item.category in chosen or len(chosen) < categories):
            shelf = chosen.setdefault(item.category, [])
            if len(shelf) < n // categories + 1:
                shelf.append((item_id, item))
    return [entry for shelf in chosen.values() for entry in shelf][:n]


def plain(n: int = 200, categories: int = 6) -> Items:
    """Return ``n`` made-up products, for tests."""
    kinds = [f"kind {i % categories}" for i in range(n)]
    items = [CatalogItem(title=f"thing {i}, {kind}", category=kind, brand="b", ts=10**12) for i, kind in enumerate(kinds)]
    return [(f"item-{i}", item) for i, item in enumerate(items)]


class World:
    """Makes messages, the same for the same seed, items and moments; ``truth`` learns what the broker acknowledged of them."""

    def __init__(self, seed: int, items: Items | None = None, *, visitors: int = 200) -> None:
        self.truth = Truth()
        self.items = list(grocery() if items is None else items)
        self._rng = Random(f"world {seed}")
        self._number = 0
        self._seed = seed
        #: user id → [interactions, shown] left to do; who has done enough makes room for somebody new.
        self._left: dict[str, list[int]] = {}
        self._born = 0
        self._visitors = visitors
        self._events = 0
        #: Held back to come late, and recent ones to come again.
        self._late: deque[Message] = deque()
        self._recent: deque[Message] = deque(maxlen=1000)

    # -- what is published ---------------------------------------------------------------------------------------------

    def opening(self, now_ms: int) -> list[Message]:
        """Return the catalogue, with stock for every second item."""
        messages = []
        for number, (item_id, item) in enumerate(self.items):
            body = json.loads(encode(item, CATALOG)) | {"ts": now_ms - _MINUTE_MS}
            if number % 2:
                body["quantity"] = 1 + number % 9
            messages.append(self._message(CATALOG, item_id, body))
        return messages

    def stream(self, n: int, now_ms: int) -> list[Message]:
        """Return the next ``n`` messages or a few more, as the world is at ``now_ms``."""
        return list(islice(self._endless(now_ms), n))

    def rest(self) -> list[Message]:
        """Return what was still held back, so that nothing is missing at the end."""
        late, self._late = list(self._late), deque()
        return late

    def _endless(self, now_ms: int) -> Iterator[Message]:
        kinds, weights = list(_MIX), list(_MIX.values())
        while True:
            kind = self._rng.choices(kinds, weights)[0]
            message = self._make(kind, self._moment(now_ms))
            if self._late and self._rng.random() < 0.03:
                yield self._late.popleft()
            if message is None:
                continue
            if not message.poison and self._rng.random() < 0.03 and len(self._late) < _LATENESS:
                self._late.append(message)  # it comes when others that say newer things have overtaken it
                continue
            if not message.poison:
                self._recent.append(message)
            yield message

    def _moment(self, now_ms: int) -> int:
        """Return what a producer's clock says: mostly the truth, sometimes some minutes too little, sometimes too much."""
        luck = self._rng.random()
        if luck < 0.01:
            return now_ms + self._rng.randrange(_SKEW_MS)
        return now_ms - self._rng.randrange(5 * _MINUTE_MS) if luck < 0.05 else now_ms - self._rng.randrange(50)

    def _make(self, kind: str, ts: int) -> Message | None:
        rng = self._rng
        if kind == "again":
            return self._again()
        if kind == "poison":
            reason, (topic, key, value) = poison(rng, rng.choice(self.items)[0].encode(), ts)
            return self._raw(topic, key, value, reason)
        if kind == CAMPAIGNS:
            return self._campaign(ts)
        if kind in {STOCK, PRICE, CATALOG}:
            return self._fact(kind, ts)
        return self._event(kind, ts)

    def _again(self) -> Message | None:
        if not self._recent:
            return None
        old = self._rng.choice(self._recent)
        return self._raw(old.topic, old.key, old.value)

    # -- facts ---------------------------------------------------------------------------------------------------------

    def _fact(self, topic: str, ts: int) -> Message:
        rng = self._rng
        place = rng.randrange(len(self.items))
        steady = place < _STEADY
        item_id, item = self.items[place]
        if topic == STOCK:
            return self._message(STOCK, item_id, {"quantity": rng.choice([3, 40] if steady else [0, 0, 1, 2, 5, 9, 40]), "ts": ts})
        if topic == PRICE:
            price = round(rng.uniform(1, 50), rng.choice([0, 1, 2]))
            more = {"list_price": price + 1} if rng.random() < 0.3 else {}
            return self._message(PRICE, item_id, {"price": price, "ts": ts} | more)
        if not steady and rng.random() < 0.15:
            return self._message(CATALOG, item_id, None)
        body = json.loads(encode(item, CATALOG)) | {"ts": ts}
        if rng.random() < 0.3:
            body["title"] = f"{item.title} ({rng.choice(['new', 'fresh', 'improved'])})"
        if rng.random() < 0.2:
            body["quantity"] = 7 if steady else rng.choice([0, 7])
        if rng.random() < 0.7:
            body.pop("price", None)
        return self._message(CATALOG, item_id, body)

    def _campaign(self, ts: int) -> Message:
        """Edit, start, end or cancel one of a handful of campaigns; one pins, so that no two want the same slot."""
        rng = self._rng
        name, action = rng.choice(_CAMPAIGNS)
        if rng.random() < 0.15:
            return self._message(CAMPAIGNS, name, None)
        ids = [item_id for item_id, _ in self.items]
        targets: dict[str, Any] = {"items": rng.sample(ids[_STEADY:], min(8, len(ids) - _STEADY))}
        body: dict[str, Any] = {"action": action, "factor": rng.choice([2.0, 5.0])}
        if action == "pin":
            targets, body["slots"] = {"items": [rng.choice(ids[:_STEADY])]}, [1]
        elif rng.random() < 0.3 and action != "exclude":
            targets = {"categories": [rng.choice(self.items)[1].category]}
        starts_at = ts + rng.choice([-_MINUTE_MS, -_MINUTE_MS, 5_000])
        ends_at = max(starts_at, ts) + rng.choice([4_000, 15_000, 3_600_000, 3_600_000])
        return self._message(CAMPAIGNS, name, body | {"targets": targets, "starts_at": starts_at, "ends_at": ends_at, "ts": ts})

    # -- visitors ------------------------------------------------------------------------------------------------------

    def _event(self, topic: str, ts: int) -> Message:
        rng = self._rng
        user_id = self._visitor()
        left = self._left[user_id]
        self._events += 1
        body: dict[str, Any] = {"ts": ts, "event_id": f"e{self._events}"}
        if topic == IMPRESSIONS:
            shown = rng.sample(self.items, 3)
            left[1] -= len(shown)
            body["item_ids"] = [item_id for item_id, _ in shown]
        elif topic == SEARCHES:
            body["query"] = rng.choice(_QUERIES).replace(" ", rng.choice([" ", "  "]))
        elif topic == ORDERS:
            lines = [{"item_id": self._liked(), "quantity": 1, "price": 2.5} for _ in range(rng.randint(1, 3))]
            left[0] -= len(lines)
            body["lines"] = lines
        else:
            body["item_id"] = self._liked()
            left[0] -= 1
            if topic == CARTS:
                body["op"] = rng.choice(["add", "add", "remove"])
                body["quantity"] = rng.randint(1, 3)
        if min(left) < 3:
            del self._left[user_id]
        return self._message(topic, user_id, body)

    def _visitor(self) -> str:
        """Return somebody who has not done all that a profile remembers."""
        if len(self._left) < self._visitors:
            self._born += 1
            name = f"visitor-{self._seed}-{self._born}"
            self._left[name] = [_MAX_INTERACTIONS, _MAX_SHOWN]
            return name
        return self._rng.choice(list(self._left))

    def _liked(self) -> str:
        """Return an item, some far more often than others."""
        return self.items[min(int(self._rng.expovariate(4 / len(self.items))), len(self.items) - 1)][0]

    # -- messages ------------------------------------------------------------------------------------------------------

    def _message(self, topic: str, key: str, body: dict[str, Any] | None) -> Message:
        return self._raw(topic, key.encode(), None if body is None else json.dumps(body).encode())

    def _raw(self, topic: str, key: bytes | None, value: bytes | None, reason: str = "") -> Message:
        self._number += 1
        return Message(self._number, topic, key, value, reason)
