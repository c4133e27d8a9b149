"""Campaigns whose moments lie ahead: from when on reads show what a pin, an exclusion or a boost does, and until when."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from random import Random
from typing import Final, Literal

from streamrec.bench.freshness.goods import Goods
from streamrec.bench.freshness.probes import Mentions, Shown
from streamrec.bench.freshness.shop import Shop
from streamrec.clock import Clock
from streamrec.demo.agenda import Agenda
from streamrec.demo.merchant import Scene
from streamrec.demo.truth import Violation
from streamrec.events import Campaign, Targets
from streamrec.events.topics import CAMPAIGNS
from streamrec.lists import keys

#: From the message to the campaign's start, and from its start to its end.
_LEAD_MS: Final = 1_000
_LENGTH_MS: Final = 3_000
#: How long before its start a campaign is looked for, which must show nothing.
_EARLY_MS: Final = 300
_WATCHED: Final = 5
#: A brand with more items is no flash campaign.
_LARGEST_BRAND: Final = 0.01
_TRIES: Final = 20
#: Places of a list that are read.
_READ: Final = 10
#: Strong enough that a boosted item names the campaign as its reason.
_FACTOR: Final = 5.0
#: From one campaign's end to the next.
_REST_S: Final = 0.5

Action = Literal["pin", "exclude", "boost"]


class Promotions:
    """Takes turns: pin an item, exclude an item, exclude a brand, boost a category; one campaign at a time.

    ``busy`` are the items that somebody acts on, which are left alone and added to; ``read`` is a guarded read of a visitor's list.
    """

    def __init__(  # noqa: PLR0917 - the load names them
        self, scene: Scene, shop: Shop, agenda: Agenda, busy: set[str], clock: Clock, rng: Random, *, rate: float
    ) -> None:
        self._scene, self._shop, self._agenda, self._busy, self._clock, self._rng = scene, shop, agenda, busy, clock, rng
        self._begun = 0
        self._running = False
        self._brands = brands_of(shop.goods)
        #: Effects that were there before their moment.
        self.early: list[Violation] = []
        self.skipped = 0
        agenda.every(rate, self._next)

    def _next(self) -> None:
        if self._running:
            return
        turn = (self._pin, self._exclude_item, self._exclude_brand, self._boost)[self._begun % 4]
        self._begun += 1
        if not turn():
            self.skipped += 1

    # ---- what is promoted ----

    def _pin(self) -> bool:
        goods, audience = self._shop.goods, self._shop.audience
        for _ in range(_TRIES):
            number = self._rng.randrange(len(goods))
            item_id = goods.item_id(number)
            watched = audience.anybody(_WATCHED, self._rng)
            if self._free(item_id) and not any(item_id in self._read(user) for user in watched):
                self._run("pin", Targets(items=(item_id,)), item_id, watched, shown=True)
                return True
        return False

    def _exclude_item(self) -> bool:
        held = self._held()
        if held is None:
            return False
        item_id, watched = held
        self._run("exclude", Targets(items=(item_id,)), item_id, watched, shown=False)
        return True

    def _exclude_brand(self) -> bool:
        for _ in range(_TRIES):
            held = self._held()
            if held is None:
                return False
            item_id, watched = held
            brand = self._shop.goods.message(self._shop.number(item_id)).brand
            if brand and self._brands[brand] <= max(_LARGEST_BRAND * len(self._shop.goods), 1):
                self._run("exclude", Targets(brands=(brand,)), item_id, watched, shown=False)
                return True
        return False

    def _boost(self) -> bool:
        """Boost a category: the lists of those who came last are ranked first, so there its reason shows first."""
        watched = self._scene.visitors.newest()
        if not watched:
            return False
        clicked = self._shop.clicks[self._rng.randrange(len(self._shop.clicks))]
        category = self._shop.goods.message(int(clicked[0])).category
        campaign_id, start_ns, _ = self._publish("boost", Targets(categories=(category,)))
        probe = Mentions("boost_to_lists", f'"campaign:{campaign_id}"'.encode(), keys.rec(watched))
        probe.at_ns = start_ns
        self._scene.board.put(probe)
        return True

    def _free(self, item_id: str) -> bool:
        return item_id not in self._busy and not self._scene.client.sismember(keys.SOLDOUT, item_id)

    def _held(self) -> tuple[str, list[str]] | None:
        """Return an item high up in some list, with visitors whose lists show it."""
        for _ in range(_TRIES):
            [user] = self._shop.audience.anybody(1, self._rng)
            shown = [item_id for item_id in self._read(user) if self._shop.knows(item_id) and self._free(item_id)]
            if shown:
                item_id = self._rng.choice(shown)
                others = self._shop.audience.sample(self._shop.number(item_id), 4 * _WATCHED, self._rng)
                return item_id, [user, *(other for other in others if item_id in self._read(other))][:_WATCHED]
        return None

    def _read(self, user_id: str) -> list[str]:
        return self._scene.shop.top(user_id, _READ).ids()

    # ---- how it is followed ----

    def _run(self, action: Action, targets: Targets, item_id: str, watched: Sequence[str], *, shown: bool) -> None:
        """Publish the campaign and watch what reads show of the item from its start and from its end on."""
        self._busy.add(item_id)
        _, start_ns, end_ns = self._publish(action, targets)
        look_s = (start_ns - time.monotonic_ns()) / 1e9 - _EARLY_MS / 1000
        if shown:
            self._agenda.at(look_s, partial(self._must_not_show_yet, item_id, watched, start_ns))
        for user in watched:
            for kind, wanted, from_ns in (
                ("campaign_start_to_lists", shown, start_ns),
                ("campaign_end_to_gone", not shown, end_ns),
            ):
                # An item that comes back need not where the list was ranked anew meanwhile: only the first ten are certain.
                self._scene.board.put(Shown(kind, item_id, user, self._read, wanted=wanted, from_ns=from_ns))
        self._agenda.at((end_ns - time.monotonic_ns()) / 1e9 + _REST_S, partial(self._busy.discard, item_id))

    def _publish(self, action: Action, targets: Targets) -> tuple[str, int, int]:
        """Send the campaign; return its id and the moments of its start and end by the monotonic clock."""
        now_ms, now_ns = self._clock.now_ms(), time.monotonic_ns()
        campaign_id = f"bench-{self._begun}"
        campaign = Campaign(
            action=action,
            targets=targets,
            slots=(1,) if action == "pin" else (),
            factor=_FACTOR,
            starts_at=now_ms + _LEAD_MS,
            ends_at=now_ms + _LEAD_MS + _LENGTH_MS,
            ts=now_ms,
        )
        self._running = True
        self._agenda.at((_LEAD_MS + _LENGTH_MS) / 1000 + _REST_S, self._over)
        self._scene.outbox.publish(CAMPAIGNS, campaign_id, campaign)
        return campaign_id, now_ns + _LEAD_MS * 1_000_000, now_ns + (_LEAD_MS + _LENGTH_MS) * 1_000_000

    def _over(self) -> None:
        self._running = False

    def _must_not_show_yet(self, item_id: str, watched: Sequence[str], start_ns: int) -> None:
        """Look before its start: a pin that shows then is as wrong as one that is late.

        This thread itself may come late: what was read when the moment had come proves nothing.
        """
        for user in watched:
            if item_id in self._read(user) and time.monotonic_ns() < start_ns:
                self.early.append(Violation("campaign_early", item_id, keys.rec(user), 0.0))


def brands_of(goods: Goods) -> Counter[str]:
    """Return how many items each brand has."""
    return Counter(goods.message(i).brand for i in range(len(goods)))
