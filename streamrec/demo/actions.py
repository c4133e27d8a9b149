"""What merchants do while the demo runs: sell out, restock, re-price and promote items that are in people's lists at that moment.

Items are chosen from lists that were just read; what an action publishes and how it is followed is the merchant's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Final

import msgspec

from streamrec.clock import Clock
from streamrec.demo.ledger import Kind
from streamrec.demo.merchant import Merchant, Scene
from streamrec.demo.probes import Evicted, Listed
from streamrec.events import Campaign, CatalogItem, Targets
from streamrec.events.topics import CAMPAIGNS, CATALOG
from streamrec.lists import keys

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


class Actions(Merchant):
    """Chooses items from lists that were just read, acts on them, and puts up the probes; used from one thread.

    ``new_items`` are held back from the catalogue and published one by one.
    """

    def __init__(
        self, scene: Scene, *, clock: Clock, rng: Random, rates: Rates, new_items: Sequence[tuple[str, CatalogItem]] = ()
    ) -> None:
        super().__init__(scene, clock=clock, rng=rng)
        self._new_items = list(new_items)
        self._census: dict[str, list[str]] = {}
        self._campaigns = 0
        self.open_campaigns: set[str] = set()
        self._agenda.every(rates.soldout, self._sell_out)
        self._agenda.every(rates.price, self._reprice)
        self._agenda.every(rates.campaign, self._promote)
        self._agenda.every(rates.new_item, self._list_new_item)
        self._agenda.every(1.0, self._take_census)
        self._take_census()

    def _take_census(self) -> None:
        """Read the lists of some visitors, so that actions meet items that are in lists now."""
        lists = self._lists_of(self._visitors.sample(_CENSUS, self._rng))
        self._census = {user: ids for user, ids in lists.items() if ids}
        self._truth.hint(self._census, ())

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

    # ---- sold out and back ----

    def _sell_out(self) -> None:
        picked = self._pick("stock")
        if picked is None:
            return
        item_id, holders = picked
        holders = self._still_holding(item_id, holders)
        if not holders:
            return
        self._sell(item_id, holders, Evicted("soldout_to_evicted", item_id, [keys.rec(user) for user in holders]))

    def _still_holding(self, item_id: str, holders: Sequence[str]) -> list[str]:
        """Return the visitors whose lists hold the item at this moment; the census may be a second old."""
        return [user for user, ids in self._lists_of(holders).items() if item_id in ids]

    # ---- prices ----

    def _reprice(self) -> None:
        picked = self._pick("price")
        if picked is None:
            return
        item_id, _ = picked
        price = round(self._rng.uniform(0.5, 60.0), 2)
        self._price(item_id, price, round(price * 1.2, 2))

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
        self._agenda.at(2.0, partial(self._busy.discard, item_id))  # until the lists are as before

    # ---- new items ----

    def _list_new_item(self) -> None:
        if not self._new_items:
            return
        item_id, item = self._new_items.pop()
        now_ms = self._clock.now_ms()
        probe = Listed("new_item_to_list", item_id, keys.new())
        self._outbox.publish(CATALOG, item_id, msgspec.structs.replace(item, ts=now_ms))
        self._board.put(probe)
