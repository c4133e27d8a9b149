"""The mixed load: flash sales in bursts of stock facts, prices, catalogue changes, new items, clicks; each effect is followed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import cycle
from random import Random
from typing import Final

import msgspec

from streamrec.bench.freshness.options import FreshnessOptions
from streamrec.bench.freshness.probes import AllSoldOut, OutOfAll, Rescored, Stamped, Told, entry
from streamrec.bench.freshness.promotions import Promotions
from streamrec.bench.freshness.shop import Shop
from streamrec.clock import Clock
from streamrec.demo.ledger import Fact
from streamrec.demo.merchant import Merchant, Scene
from streamrec.demo.probes import ClickListed, Listed, Restocked, holding
from streamrec.events import CatalogItem, Click, Stock
from streamrec.events.topics import CATALOG, CLICKS, STOCK
from streamrec.lists import keys

#: Lists of a hot item that are watched until they are rid of it, spread over all that hold it.
WATCHED: Final = 200
#: Of those, how many are watched until they have it back.
_WATCHED_BACK: Final = 5
#: How long a hot item stays away once it was seen to be gone.
_AWAY_S: Final = (3.0, 5.0)
#: Cold items that take turns in being sold out; enough that each has some seconds between two facts.
_COLD: Final = 20_000
#: How ids of new items begin.
_NEW: Final = "new-"
#: Sold-out facts of a burst that are followed and judged, spread evenly over it, the last one among them: to ask for all of them
#: every few milliseconds would cost Redis more than the burst itself.
_FOLLOWED: Final = 100
#: Of the cold facts, the share that is repeated late with an older fact beside it.
_STALE: Final = 0.01
_HINTED: Final = 100
#: What share of the lists a hot item is to stand in: of a million 100,000.
_HOT_SHARE: Final = 0.1


class Load(Merchant):
    """Does what ``options`` ask for; used from one thread."""

    def __init__(self, scene: Scene, shop: Shop, options: FreshnessOptions, *, clock: Clock, rng: Random) -> None:
        super().__init__(scene, clock=clock, rng=rng, away_s=_AWAY_S)
        self._world, self._options = shop, options
        goods, self._audience = shop.goods, shop.audience
        self._hot = [goods.item_id(i) for i in self._audience.hot(_HOT_SHARE)]
        #: How many lists hold an item of the long tail, on average, when the lists were made.
        self.cold_holders = 0.0
        self._cold = self._cold_items()
        self._cold_gone: set[str] = set()
        self._new = 0
        #: Events of the bursts: how many, and how many of them were of hot items.
        self.bursts = 0
        self.skipped = 0
        self._flash_due = False
        agenda = self._agenda
        agenda.every(1.0 / options.burst_s if options.stock_rate else 0.0, self._burst)
        agenda.every(options.flash_sales, self._announce_flash_sale)
        agenda.every(options.prices, self._reprice)
        agenda.every(options.changes, self._change)
        agenda.every(options.new_items, self._list_new_item)
        agenda.every(options.clicks, self._click)
        agenda.every(1.0, self._hint)
        self.promotions = Promotions(scene, shop, agenda, self._busy, clock, rng, rate=options.campaigns)

    @property
    def hot(self) -> list[str]:
        """The items of the flash sales."""
        return list(self._hot)

    def _cold_items(self) -> Iterator[str]:
        """Return items of the half of the catalogue that stands in fewer lists."""
        few = self._audience.coldest(len(self._world.goods) // 2)
        chosen = self._rng.sample(few, min(len(few), _COLD))
        self.cold_holders = float(self._audience.holders[chosen].mean())
        return cycle([self._world.goods.item_id(i) for i in chosen])

    def _hint(self) -> None:
        self._truth.hint(self._audience.anybody(_HINTED, self._rng), ())

    # ---- stock ----

    def _burst(self) -> None:
        """Send all facts of one interval at once: cold items that flip, and the flash sale that has come due."""
        self.bursts += 1
        if self._flash_due:
            self._flash_due = False
            self._flash_sale()
        self._flip(int(self._options.stock_rate * self._options.burst_s))

    def _announce_flash_sale(self) -> None:
        """Let the next burst have a flash sale in it: that is when everything else happens too."""
        self._flash_due = True

    def _flash_sale(self) -> None:
        choices = [item_id for item_id in self._hot if item_id not in self._busy]
        if not choices:
            self.skipped += 1
            return
        item_id = self._rng.choice(choices)
        holders = self._holding(item_id, self._audience.sample(self._world.number(item_id), WATCHED + WATCHED // 4, self._rng))[
            :WATCHED
        ]
        if holders:
            self._sell(item_id, holders, OutOfAll("soldout_to_evicted", item_id, [keys.rec(user) for user in holders]))
        else:
            self.skipped += 1

    def _holding(self, item_id: str, users: Sequence[str]) -> list[str]:
        """Return the visitors whose lists hold the item now."""
        if not users:
            return []
        found: list[int] = self._client.execute_command(*holding([keys.rec(user) for user in users], item_id))  # type: ignore[no-untyped-call]
        return [users[n - 1] for n in found]

    def _returns(self, item_id: str, holders: Sequence[str]) -> list[Restocked]:
        """Wait for some of the lists that held it, one by one."""
        watched = self._rng.sample(list(holders), min(_WATCHED_BACK, len(holders)))
        return [Restocked(item_id, [user], self._guarded_read) for user in watched]

    def _flip(self, count: int) -> None:
        gone, back = self._turns(count)
        self._truth.all_may_return(back)
        facts = [(item_id, quantity) for quantity, ids in ((0, gone), (7, back)) for item_id in ids]
        self._rng.shuffle(facts)
        probe, followed = AllSoldOut(self._guarded), _spread([item_id for item_id, quantity in facts if not quantity], _FOLLOWED)
        for item_id, quantity in facts:
            ts = self._ts(item_id)
            self._ledger.write("stock", item_id, Fact(ts, quantity))
            if item_id in followed:
                self._busy.add(item_id)
                probe.sending(item_id, ts)
            self._outbox.publish(STOCK, item_id, Stock(quantity=quantity, ts=ts))
            if not quantity and self._rng.random() < _STALE:
                self._agenda.at(self._rng.uniform(0.0, 0.3), partial(self._send_stale_stock, item_id, ts))
        if followed:
            self._board.put(probe)

    def _turns(self, count: int) -> tuple[list[str], list[str]]:
        """Return which cold items sell out and which come back; one whose last effect was not seen yet is passed over."""
        gone, back = [], []
        for _ in range(count):
            item_id = next(self._cold)
            if item_id in self._busy:
                continue
            if item_id in self._cold_gone:
                self._cold_gone.discard(item_id)
                back.append(item_id)
            else:
                self._cold_gone.add(item_id)
                gone.append(item_id)
        return gone, back

    def _guarded(self, item_ids: Sequence[str]) -> None:
        self._truth.all_gone(item_ids)
        for item_id in item_ids:
            self._ledger.settle("stock", item_id, self._last_ts[item_id])
            self._busy.discard(item_id)

    # ---- prices and the catalogue ----

    def _reprice(self) -> None:
        """Give an item that somebody's list holds a new price, with a discount and without in turns."""
        [user] = self._audience.anybody(1, self._rng)
        ids = [item_id for item_id in self._lists_of([user]).get(user, []) if not item_id.startswith(_NEW)]
        item_id = self._rng.choice(ids) if ids else self._rng.choice(self._hot)
        if item_id in self._busy:
            return
        listed = round(self._rng.uniform(5.0, 60.0), 2)
        price = round(listed * self._rng.choice((0.4, 0.6, 0.8, 1.0)), 2)
        probe = self._rescored(item_id) if self._world.ranks_prices else None
        self._price(item_id, price, listed)
        if probe:
            self._board.put(probe)

    def _rescored(self, item_id: str) -> Rescored | None:
        for user in self._audience.sample(self._world.number(item_id), 1, self._rng):
            before: bytes | None = self._client.execute_command(*entry(item_id, keys.rec(user)))  # type: ignore[no-untyped-call]
            if before:
                return Rescored("price_to_ranked", item_id, keys.rec(user), before)
        return None

    def _change(self) -> None:
        """Give an item another text, which is embedded again."""
        number = self._rng.randrange(len(self._world.goods))
        item_id = self._world.goods.item_id(number)
        ts = self._ts(item_id)
        item = self._edition(number, f"edition of {ts}", ts)
        self._outbox.publish(CATALOG, item_id, item)
        self._board.put(Stamped("change_to_visible", item_id, "catalog_ts", ts))

    def _edition(self, number: int, words: str, ts: int) -> CatalogItem:
        return self._world.goods.edition(number, f"{self._world.goods.message(number).title[:900]} {words}", ts)

    def _list_new_item(self) -> None:
        self._new += 1
        item_id, now_ms = f"{_NEW}{self._new:06d}", self._clock.now_ms()
        item = self._edition(self._rng.randrange(len(self._world.goods)), f"new edition {self._new}", now_ms)
        seen = self._world.finder.ask(item_id, item.title)
        listed, found = Listed("new_item_to_list", item_id, keys.new()), Told("new_item_to_search", seen)
        self._outbox.publish(CATALOG, item_id, msgspec.structs.replace(item, quantity=9, price=19.9))
        self._board.put(listed)
        if self._world.finder.works:
            self._board.put(found)

    # ---- visitors ----

    def _click(self) -> None:
        """Let a visitor click an item that others clicked, too."""
        [user] = self._audience.anybody(1, self._rng)
        history = self._world.clicks[self._rng.randrange(len(self._world.clicks))]
        item_id = self._world.goods.item_id(int(self._rng.choice(history.tolist())))
        ts = self._ts(f"visitor {user}")
        self._outbox.publish(CLICKS, user, Click(item_id=item_id, ts=ts, event_id=f"bench-{ts}-{user}"))
        self._board.put(ClickListed(user, item_id, ts))
        self._visitors.saw(user, ts)

    # ---- what the report says of it ----

    @property
    def holders(self) -> list[int]:
        """How many lists held each item of the flash sales when the lists were made, the fewest first."""
        return sorted(int(self._audience.holders[self._world.number(item_id)]) for item_id in self._hot)

    def top(self, n: int) -> dict[str, int]:
        """Return the items in most lists, and in how many."""
        return self._audience.top(n)

    @property
    def searches(self) -> bool:
        """Whether new items could be searched for."""
        return self._world.finder.works

    @property
    def ranks_prices(self) -> bool:
        """Whether a price could be seen in scores."""
        return self._world.ranks_prices


def _spread(ids: Sequence[str], n: int) -> set[str]:
    """Return ``n`` of the ids, or all, evenly spread and with the last."""
    return set(ids) if len(ids) <= n else {ids[-1 - len(ids) * i // n] for i in range(n)}
