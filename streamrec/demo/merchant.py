"""A merchant's facts: sold out, back, a new price. Each is published as of now and followed until its effect is seen.

Now and then an old fact is sent late, or the same fact twice, on purpose: that must change nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Final, cast

import redis

from streamrec.client import Storefront
from streamrec.clock import Clock
from streamrec.demo.agenda import Agenda
from streamrec.demo.ledger import Fact, Ledger
from streamrec.demo.outbox import Outbox
from streamrec.demo.probes import Board, Priced, Probe, Restocked, SoldOut
from streamrec.demo.truth import TruthLog, Violation
from streamrec.demo.visitors import Visitors
from streamrec.events import Price, Stock
from streamrec.events.topics import PRICE, STOCK
from streamrec.lists import keys
from streamrec.lists.packing import unpack_or_none
from streamrec.profiles import Profile

#: Of the sold-out facts, restocks and prices, the share that is followed by a late or repeated fact.
_STALE_STOCK, _STALE_RESTOCK, _STALE_PRICE = 0.3, 0.2, 0.3
_MAX_VIOLATIONS: Final = 1000
#: Items of a read that shows a whole list, its reserve included.
_WHOLE: Final = 100


@dataclass(frozen=True)
class Scene:
    """What actions work on and what they tell their effects to."""

    client: redis.Redis
    shop: Storefront
    outbox: Outbox
    board: Board
    truth: TruthLog
    ledger: Ledger
    visitors: Visitors


class Merchant:
    """Sells out, restocks and re-prices; used from one thread. ``away_s``: how long an item stays sold out once that was seen."""

    def __init__(self, scene: Scene, *, clock: Clock, rng: Random, away_s: tuple[float, float] = (0.2, 1.2)) -> None:
        self._client, self._shop, self._outbox, self._board = scene.client, scene.shop, scene.outbox, scene.board
        self._truth, self._ledger, self._visitors, self._clock, self._rng = scene.truth, scene.ledger, scene.visitors, clock, rng
        self._agenda = Agenda(rng)
        self._away_s = away_s
        self._busy: set[str] = set()
        self._last_ts: dict[str, int] = {}
        self.stale_facts = 0
        self.outranked = 0
        self.violations: list[Violation] = []
        self._agenda.every(1.0, self._audit)

    def tick(self) -> None:
        """Do what is due."""
        self._agenda.tick()

    def stop(self) -> None:
        """Begin nothing new; what was begun comes to its end: restocks in their time, campaigns once their effect was seen."""
        self._agenda.stop()

    @property
    def pending(self) -> int:
        """Return how many steps wait for their time."""
        return self._agenda.pending

    def _ts(self, item_id: str) -> int:
        """Return the present, later than every fact of the item before: two facts of one millisecond have no order in time."""
        ts = max(self._clock.now_ms(), self._last_ts.get(item_id, 0) + 1)
        self._last_ts[item_id] = ts
        return ts

    def _lists_of(self, users: Sequence[str]) -> dict[str, list[str]]:
        """Return what stands in the visitors' lists at this moment."""
        lists = ((user, unpack_or_none(value)) for user, value in zip(users, self._values_of(users), strict=True))
        return {user: ranked.ids() for user, ranked in lists if ranked is not None}

    def _values_of(self, users: Sequence[str]) -> list[bytes | None]:
        return cast("list[bytes | None]", self._client.mget([keys.rec(user) for user in users])) if users else []

    # ---- sold out and back ----

    def _sell(self, item_id: str, holders: Sequence[str], evicted: Probe) -> None:
        """Sell an item out that the lists of ``holders`` hold; it comes back some time after it was seen to be gone from them."""
        self._busy.add(item_id)
        self._truth.hint(holders, (item_id,))
        ts, pending = self._ts(item_id), {"guarded", "evicted"}

        def done(part: str) -> None:
            pending.discard(part)
            if part == "guarded":
                self._truth.gone(item_id)
                self._ledger.settle("stock", item_id, ts)
            if not pending:
                self._agenda.at(self._rng.uniform(*self._away_s), partial(self._restock, item_id, holders))

        guarded = SoldOut(item_id, ts, on_seen=partial(done, "guarded"))
        evicted.on_seen = partial(done, "evicted")
        self._ledger.write("stock", item_id, Fact(ts, 0))
        evicted.begin()
        self._outbox.publish(STOCK, item_id, Stock(quantity=0, ts=ts))
        if not (self._board.put(guarded) and self._board.put(evicted)):
            self._ledger.strike("stock", item_id)  # no room to follow it: it stays sold out and is not judged
        if self._rng.random() < _STALE_STOCK:
            self._agenda.at(self._rng.uniform(0.0, 0.3), partial(self._send_stale_stock, item_id, ts))

    def _send_stale_stock(self, item_id: str, ts: int) -> None:
        """Send an older fact that says the item is there, and the newest one twice: both must change nothing."""
        if self._last_ts.get(item_id) != ts or self._ledger.struck("stock", item_id):
            return
        self.stale_facts += 2
        self._outbox.publish(STOCK, item_id, Stock(quantity=77, ts=ts - 1000))
        self._outbox.publish(STOCK, item_id, Stock(quantity=0, ts=ts))

    def _restock(self, item_id: str, holders: Sequence[str]) -> None:
        ts, quantity = self._ts(item_id), self._rng.randrange(1, 200)
        probes = self._returns(item_id, holders)
        left = len(probes)

        def back() -> None:
            nonlocal left
            left -= 1
            if not left:
                self._busy.discard(item_id)
                self._ledger.settle("stock", item_id, ts)

        def lost(users: Sequence[str]) -> bool:
            must = self._must_hold(item_id, users, ts)
            if not must:
                back()
            return must

        self._ledger.write("stock", item_id, Fact(ts, quantity))
        self._truth.may_return(item_id)
        for probe in probes:
            probe.on_seen, probe.on_lost = back, partial(lost, probe.user_ids)
            probe.begin()
        self._outbox.publish(STOCK, item_id, Stock(quantity=quantity, ts=ts))
        for probe in probes:
            self._board.put(probe)
        if self._rng.random() < _STALE_RESTOCK:  # a late repeat of the sold-out fact must not take the item away again
            self.stale_facts += 1
            self._outbox.publish(STOCK, item_id, Stock(quantity=0, ts=ts - 1))

    def _returns(self, item_id: str, holders: Sequence[str]) -> list[Restocked]:
        """Return what is waited for after a restock."""
        return [Restocked(item_id, holders, self._guarded_read)]

    def _guarded_read(self, user_id: str) -> list[str]:
        return [item.id for item in self._shop.top(user_id, _WHOLE).items]

    def _must_hold(self, item_id: str, holders: Sequence[str], ts: int) -> bool:
        """Tell whether a restocked item that did not come back should have.

        It need not where every list that held it was ranked anew after the restock and other items were better: the visitors did
        something meanwhile, or the shop changed. Such items are counted apart.
        """
        lists = (unpack_or_none(value) for value in self._values_of(holders))
        if self._client.sismember(keys.SOLDOUT, item_id) or any(ranked is None or ranked.made_at < ts for ranked in lists):
            return True
        self.outranked += 1
        return False

    def _audit(self) -> None:
        for violation in self._ledger.audit():
            if len(self.violations) < _MAX_VIOLATIONS:
                self.violations.append(violation)

    # ---- prices ----

    def _price(self, item_id: str, price: float, list_price: float) -> int:
        """Publish a price, follow it until it is visible, and return its ts."""
        ts = self._ts(item_id)
        self._ledger.write("price", item_id, Fact(ts, price))
        probe = Priced(item_id, ts, on_seen=partial(self._ledger.settle, "price", item_id, ts))
        self._outbox.publish(PRICE, item_id, Price(price=price, list_price=list_price, ts=ts))
        self._board.put(probe)
        if self._rng.random() < _STALE_PRICE:
            self.stale_facts += 2
            self._outbox.publish(PRICE, item_id, Price(price=0.01, ts=ts - 500))
            self._outbox.publish(PRICE, item_id, Price(price=price, list_price=list_price, ts=ts))
        return ts

    def _owns(self, user_id: str, item_id: str) -> bool:
        raw = self._client.get(keys.profile(user_id))
        profile = Profile.unpack(raw) if isinstance(raw, bytes) else Profile()
        return item_id in profile.bought or item_id in profile.cart
