"""What merchants do while the demo runs: sell out, restock, re-price and promote items that are in people's lists at that moment.

Every action is published with the present as its event time and followed until its effect is seen. Now and then an old fact is sent
late, or the same fact twice, on purpose: that must change nothing.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Final, cast

import msgspec
import redis

from streamrec.client import Storefront
from streamrec.clock import Clock
from streamrec.demo.ledger import Fact, Kind, Ledger
from streamrec.demo.outbox import Outbox
from streamrec.demo.probes import Board, Evicted, Listed, Priced, Restocked, SoldOut
from streamrec.demo.truth import TruthLog, Violation
from streamrec.demo.visitors import Visitors
from streamrec.events import Campaign, CatalogItem, Price, Stock, Targets
from streamrec.events.topics import CAMPAIGNS, CATALOG, PRICE, STOCK
from streamrec.lists import keys
from streamrec.lists.packing import unpack_or_none
from streamrec.profiles import Profile

#: Lists that a sold-out item is looked for in, at most.
MAX_HOLDERS: Final = 20
_CENSUS: Final = 48
#: How far down a list an item may stand to be acted on: what is low may leave a list for other reasons.
_TOP: Final = 20
_HOUR_MS: Final = 3_600_000


@dataclass(frozen=True)
class Rates:
    """Actions per second; 0 switches a kind off."""

    soldout: float = 5.0
    price: float = 5.0
    campaign: float = 0.25
    new_item: float = 0.2


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


class Actions:
    """Chooses items from lists that were just read, acts on them, and puts up the probes; used from one thread.

    ``new_items`` are held back from the catalogue and published one by one.
    """

    def __init__(
        self, scene: Scene, *, clock: Clock, rng: Random, rates: Rates, new_items: Sequence[tuple[str, CatalogItem]] = ()
    ) -> None:
        self._client, self._shop, self._outbox, self._board = scene.client, scene.shop, scene.outbox, scene.board
        self._truth, self._ledger, self._visitors, self._clock, self._rng = scene.truth, scene.ledger, scene.visitors, clock, rng
        self._new_items = list(new_items)
        self._census: dict[str, list[str]] = {}
        self._busy: set[str] = set()
        self._last_ts: dict[str, int] = {}
        self._campaigns = 0
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._entries = 0
        self._stopped = False
        self.open_campaigns: set[str] = set()
        self.stale_facts = 0
        self.outranked = 0
        self.violations: list[Violation] = []
        self._every(rates.soldout, self._sell_out)
        self._every(rates.price, self._reprice)
        self._every(rates.campaign, self._promote)
        self._every(rates.new_item, self._list_new_item)
        self._every(1.0, self._audit)
        self._every(1.0, self._take_census)
        self._take_census()

    def tick(self) -> None:
        """Do what is due."""
        now_s = time.monotonic()
        while self._later and self._later[0][0] <= now_s:
            heapq.heappop(self._later)[2]()

    def stop(self) -> None:
        """Begin nothing new; what was begun comes to its end: restocks in their time, campaigns once their effect was seen."""
        self._stopped = True

    @property
    def pending(self) -> int:
        """Return how many steps wait for their time."""
        return len(self._later)

    def _at(self, delay_s: float, act: Callable[[], None]) -> None:
        self._entries += 1
        heapq.heappush(self._later, (time.monotonic() + delay_s, self._entries, act))

    def _every(self, rate: float, act: Callable[[], None]) -> None:
        if rate <= 0:
            return

        def again() -> None:
            if not self._stopped:
                self._at(1.0 / rate, again)
                act()

        self._at(self._rng.random() / rate, again)

    def _take_census(self) -> None:
        """Read the lists of some visitors, so that actions meet items that are in lists now."""
        lists = self._lists_of(self._visitors.sample(_CENSUS, self._rng))
        self._census = {user: ids for user, ids in lists.items() if ids}
        self._truth.hint(self._census, ())

    def _lists_of(self, users: Sequence[str]) -> dict[str, list[str]]:
        """Return what stands in the visitors' lists at this moment."""
        lists = ((user, unpack_or_none(value)) for user, value in zip(users, self._values_of(users), strict=True))
        return {user: ranked.ids() for user, ranked in lists if ranked is not None}

    def _values_of(self, users: Sequence[str]) -> list[bytes | None]:
        return cast("list[bytes | None]", self._client.mget([keys.rec(user) for user in users])) if users else []

    def _pick(self, kind: Kind) -> tuple[str, list[str]] | None:
        """Return an item that stands high in some list and the visitors whose lists hold it; None when there is none."""
        if not self._census:
            return None
        for _ in range(10):
            item_id = self._rng.choice(self._rng.choice(list(self._census.values()))[:_TOP])
            if item_id not in self._busy and not self._ledger.struck(kind, item_id):
                holders = [user for user, ids in self._census.items() if item_id in ids]
                holders.sort(key=self._visitors.last_ns)  # the quietest first: their lists change for no other reason
                return item_id, holders[:MAX_HOLDERS]
        return None

    def _ts(self, item_id: str) -> int:
        """Return the present, later than every fact of the item before: two facts of one millisecond have no order in time."""
        ts = max(self._clock.now_ms(), self._last_ts.get(item_id, 0) + 1)
        self._last_ts[item_id] = ts
        return ts

    # ---- sold out and back ----

    def _sell_out(self) -> None:
        picked = self._pick("stock")
        if picked is None:
            return
        item_id, holders = picked
        holders = self._still_holding(item_id, holders)
        if not holders:
            return
        self._busy.add(item_id)
        self._truth.hint(holders, (item_id,))
        ts, pending = self._ts(item_id), {"guarded", "evicted"}

        def done(part: str) -> None:
            pending.discard(part)
            if part == "guarded":
                self._truth.gone(item_id)
                self._ledger.settle("stock", item_id, ts)
            if not pending:
                self._at(self._rng.uniform(0.2, 1.2), partial(self._restock, item_id, holders))

        guarded = SoldOut(item_id, ts, on_seen=partial(done, "guarded"))
        list_keys = [keys.rec(user) for user in holders]
        evicted = Evicted("soldout_to_evicted", item_id, list_keys, on_seen=partial(done, "evicted"))
        self._ledger.write("stock", item_id, Fact(ts, 0))
        self._outbox.publish(STOCK, item_id, Stock(quantity=0, ts=ts))
        if not (self._board.put(guarded) and self._board.put(evicted)):
            self._ledger.strike("stock", item_id)  # no room to follow it: it stays sold out and is not judged
        if self._rng.random() < 0.3:
            self._at(self._rng.uniform(0.0, 0.3), partial(self._send_stale_stock, item_id, ts))

    def _still_holding(self, item_id: str, holders: Sequence[str]) -> list[str]:
        """Return the visitors whose lists hold the item at this moment; the census may be a second old."""
        return [user for user, ids in self._lists_of(holders).items() if item_id in ids]

    def _send_stale_stock(self, item_id: str, ts: int) -> None:
        """Send an older fact that says the item is there, and the newest one twice: both must change nothing."""
        if self._last_ts.get(item_id) != ts or self._ledger.struck("stock", item_id):
            return
        self.stale_facts += 2
        self._outbox.publish(STOCK, item_id, Stock(quantity=77, ts=ts - 1000))
        self._outbox.publish(STOCK, item_id, Stock(quantity=0, ts=ts))

    def _restock(self, item_id: str, holders: Sequence[str]) -> None:
        ts, quantity = self._ts(item_id), self._rng.randrange(1, 200)

        def back() -> None:
            self._busy.discard(item_id)
            self._ledger.settle("stock", item_id, ts)

        missing = partial(self._must_hold, item_id, holders, ts)
        probe = Restocked(item_id, holders, self._guarded_read, on_seen=back, on_lost=missing)
        self._ledger.write("stock", item_id, Fact(ts, quantity))
        self._truth.may_return(item_id)
        self._outbox.publish(STOCK, item_id, Stock(quantity=quantity, ts=ts))
        self._board.put(probe)
        if self._rng.random() < 0.2:  # a late repeat of the sold-out fact must not take the item away again
            self.stale_facts += 1
            self._outbox.publish(STOCK, item_id, Stock(quantity=0, ts=ts - 1))

    def _guarded_read(self, user_id: str) -> list[str]:
        return [item.id for item in self._shop.top(user_id, 50).items]

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
            if len(self.violations) < 1000:
                self.violations.append(violation)

    # ---- prices ----

    def _reprice(self) -> None:
        picked = self._pick("price")
        if picked is None:
            return
        item_id, _ = picked
        ts, price = self._ts(item_id), round(self._rng.uniform(0.5, 60.0), 2)
        self._ledger.write("price", item_id, Fact(ts, price))
        probe = Priced(item_id, ts, on_seen=partial(self._ledger.settle, "price", item_id, ts))
        self._outbox.publish(PRICE, item_id, Price(price=price, list_price=round(price * 1.2, 2), ts=ts))
        self._board.put(probe)
        if self._rng.random() < 0.3:
            self.stale_facts += 2
            self._outbox.publish(PRICE, item_id, Price(price=0.01, ts=ts - 500))
            self._outbox.publish(PRICE, item_id, Price(price=price, list_price=round(price * 1.2, 2), ts=ts))

    # ---- campaigns ----

    def _promote(self) -> None:
        """Pin an item into everybody's lists, or exclude one from them, in turns; end it as soon as its effect was seen."""
        if self.open_campaigns:
            return
        if self._campaigns % 2:
            picked = self._pick("stock")
            if picked is not None:
                self._exclude(picked[0], self._still_holding(*picked))
        else:
            # Of some items the one that the fewest lists hold: most others can then be watched.
            choices = [picked for picked in (self._pick("stock") for _ in range(8)) if picked is not None]
            if choices:
                self._pin(min(choices, key=lambda picked: len(picked[1]))[0])

    def _pin(self, item_id: str) -> None:
        others = [user for user, ids in self._census.items() if item_id not in ids]
        watched = [user for user in self._rng.sample(others, min(20, len(others))) if not self._owns(user, item_id)][:10]
        if not watched:
            return
        campaign_id = self._open(item_id)
        left = set(watched)
        probes = [
            Listed(
                "campaign_to_lists",
                item_id,
                keys.rec(user),
                on_seen=partial(self._effect_seen, campaign_id, item_id, left, user),
                on_lost=partial(self._effect_lost, campaign_id, item_id, left, user),
            )
            for user in watched
        ]
        self._publish_campaign(campaign_id, "pin", item_id)
        for probe in probes:
            self._board.put(probe)

    def _exclude(self, item_id: str, holders: Sequence[str]) -> None:
        if not holders:
            return
        campaign_id = self._open(item_id)
        over = partial(self._close, campaign_id, item_id)
        probe = Evicted("exclude_to_gone", item_id, [keys.rec(user) for user in holders], on_seen=over, on_lost=over)
        self._publish_campaign(campaign_id, "exclude", item_id)
        self._board.put(probe)

    def _publish_campaign(self, campaign_id: str, action: str, item_id: str) -> None:
        now_ms = self._clock.now_ms()
        campaign = Campaign(
            action="pin" if action == "pin" else "exclude",
            targets=Targets(items=(item_id,)),
            slots=(1,) if action == "pin" else (),
            starts_at=now_ms,
            ends_at=now_ms + _HOUR_MS,
            ts=now_ms,
        )
        self._outbox.publish(CAMPAIGNS, campaign_id, campaign)

    def _owns(self, user_id: str, item_id: str) -> bool:
        raw = self._client.get(keys.profile(user_id))
        profile = Profile.unpack(raw) if isinstance(raw, bytes) else Profile()
        return item_id in profile.bought or item_id in profile.cart

    def _open(self, item_id: str) -> str:
        self._campaigns += 1
        campaign_id = f"demo-{self._campaigns}"
        self.open_campaigns.add(campaign_id)
        self._busy.add(item_id)
        return campaign_id

    def _effect_seen(self, campaign_id: str, item_id: str, left: set[str], user_id: str) -> None:
        left.discard(user_id)
        if not left:
            self._close(campaign_id, item_id)

    def _effect_lost(self, campaign_id: str, item_id: str, left: set[str], user_id: str) -> bool:
        self._effect_seen(campaign_id, item_id, left, user_id)
        return not self._owns(user_id, item_id)  # who has just bought it is not shown it, campaign or not

    def _close(self, campaign_id: str, item_id: str) -> None:
        self.open_campaigns.discard(campaign_id)
        self._outbox.publish(CAMPAIGNS, campaign_id, None)
        self._at(2.0, partial(self._busy.discard, item_id))  # until the lists are as before

    # ---- new items ----

    def _list_new_item(self) -> None:
        if not self._new_items:
            return
        item_id, item = self._new_items.pop()
        now_ms = self._clock.now_ms()
        probe = Listed("new_item_to_list", item_id, keys.new())
        self._outbox.publish(CATALOG, item_id, msgspec.structs.replace(item, ts=now_ms))
        self._board.put(probe)
