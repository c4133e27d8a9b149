"""The auditor finds nothing in a perfect Redis, and names every loss, doubling and stale fact that is planted in it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import redis

from streamrec.chaos.compare import compare_counts, compare_facts, compare_letters, compare_lists, compare_profiles, visitor_hash
from streamrec.chaos.findings import Finding, verdict
from streamrec.chaos.looks import Letters, look
from streamrec.chaos.truth import CAMPAIGNS, Message, Truth
from streamrec.chaos.world import World, plain
from streamrec.lists import keys
from streamrec.lists.packing import ListItem, RankedList, pack, unpack
from streamrec.profiles import Interaction, Profile
from tests.unit.chaos.played import NOW, Placed, System, placed, shuffled, told

LATER = NOW + 10**6


def _campaign(number: int, name: str, **body: Any) -> Placed:
    whole = body | {"starts_at": NOW, "ends_at": LATER * 2, "ts": LATER}
    return Message(number, CAMPAIGNS, name.encode(), json.dumps(whole).encode()), 0, 10**6 + number


#: Newer than whatever the world says of the same campaigns.
CAMPAIGNS_IN_FORCE = [
    _campaign(1, "pin-0", action="pin", targets={"items": ["item-3"]}, slots=[1]),
    _campaign(2, "away-0", action="exclude", targets={"items": ["item-20", "item-21"]}),
    _campaign(3, "away-1", action="exclude", targets={"categories": ["kind 1"]}),
]


@dataclass
class Played:
    client: redis.Redis
    truth: Truth
    system: System

    def findings(self) -> list[Finding]:
        shelves = look(self.client)
        return [
            *compare_facts(self.truth, shelves, LATER),
            *compare_profiles(self.truth, shelves),
            *compare_lists(self.truth, shelves, LATER),
            *compare_letters(self.truth, self.system.letters),
            *compare_counts(self.truth, self.system.counted),
        ]

    # -- where to plant --------------------------------------------------------------------------------------------------

    def soldout(self) -> str:
        return next(i for i, item in self.truth.items.items() if item.is_soldout and not item.is_removed)

    def available(self) -> str:
        return next(i for i, item in self.truth.items.items() if item.may_be_listed and "stock" in item.facts)

    def removed(self) -> str:
        return next(i for i, item in self.truth.items.items() if item.is_removed)

    def user(self) -> str:
        return next(u for u, visitor in self.truth.visitors.items() if visitor.bought and visitor.cart and visitor.shown)

    def edit_profile(self, change: Callable[[Profile], object]) -> None:
        profile = Profile.unpack(self.client.get(keys.profile(self.user())))  # type: ignore[arg-type]
        change(profile)
        self.client.set(keys.profile(self.user()), profile.pack())

    def edit_list(self, key: str, change: Callable[[list[str]], list[str]], made_at: int = LATER) -> None:
        ids = change(unpack(self.client.get(key)).ids())  # type: ignore[arg-type]
        self.client.set(key, pack(RankedList(made_at, tuple(ListItem(i, 1.0) for i in ids))))


@pytest.fixture
def played(redis_client: redis.Redis) -> Played:
    world = World(6, plain(150), visitors=30)
    messages = placed(world, 1500)
    truth, system = told(world, messages + CAMPAIGNS_IN_FORCE), System(redis_client)
    system.take(shuffled(messages, 7), LATER)
    system.publish(truth, LATER)
    return Played(redis_client, truth, system)


def test_a_perfect_system_is_found_perfect_whatever_the_order_and_the_repeats(played: Played) -> None:
    assert played.findings() == []
    assert {"item-20", "item-21", "item-1"} <= played.truth.excluded(LATER)  # otherwise lists would be held against nothing
    assert played.truth.pinned(LATER)


def _lose_event(p: Played) -> None:
    p.edit_profile(lambda profile: profile.recent.pop())


def _double_event(p: Played) -> None:
    p.edit_profile(lambda profile: profile.recent.append(Interaction(profile.recent[-1].ts, *_rest(profile))))


def _rest(profile: Profile) -> tuple[int, str, int]:
    last = profile.recent[-1]
    return last.code, last.item_id, last.event + 1


def _old_cart(profile: Profile) -> None:
    item_id, (quantity, ts) = next(iter(profile.cart.items()))
    profile.cart[item_id] = (quantity, ts - 1)


def _forget_letter(p: Played) -> None:
    place = next(iter(p.system.letters.sources))
    del p.system.letters.sources[place]


def _bury_good(p: Played) -> None:
    p.system.letters.sources["items.stock", 0, 10**6] = 1
    p.system.letters.values["items.stock", 0, 10**6] = ("items.stock", b'{"quantity":1}')


def _met(p: Played) -> dict[int, int]:
    return p.system.counted[next(iter(p.truth.met))]


def _age(met: dict[int, int]) -> None:
    met[next(iter(met))] -= 1


PLANTED: dict[str, tuple[str, str, Callable[[Played], object]]] = {
    "a sold-out item is no longer guarded": (
        "lost",
        "an item that must be guarded",
        lambda p: p.client.srem(keys.SOLDOUT, p.soldout()),
    ),
    "a removed item is no longer guarded": (
        "lost",
        "an item that must be guarded",
        lambda p: p.client.srem(keys.SOLDOUT, p.removed()),
    ),
    "an item on sale is guarded": (
        "stale",
        "a guarded item that may be shown",
        lambda p: p.client.sadd(keys.SOLDOUT, p.available()),
    ),
    "an unknown item is guarded": ("stale", "a guarded item that may be shown", lambda p: p.client.sadd(keys.SOLDOUT, "nobody's")),
    "an item's facts are gone": ("lost", "the catalog fact", lambda p: p.client.delete(keys.item(p.available()))),
    "an older stock fact stands": (
        "stale",
        "an old stock fact",
        lambda p: p.client.hset(keys.item(p.available()), "stock_ts", "1"),
    ),
    "a stock fact of nobody stands": (
        "doubled",
        "a too new stock fact",
        lambda p: p.client.hset(keys.item(p.available()), "stock_ts", str(LATER * 2)),
    ),
    "the wrong of two facts of a moment stands": (
        "stale",
        "values of another stock fact of the same ts",
        lambda p: p.client.hset(keys.item(p.available()), "quantity", "77"),
    ),
    "a title is an old one": (
        "stale",
        "values of another catalog fact of the same ts",
        lambda p: p.client.hset(keys.item(p.available()), "title", "old"),
    ),
    "a removal is lost": (
        "lost",
        "a removal from the catalogue",
        lambda p: p.client.hdel(keys.item(p.removed()), "removed_order"),
    ),
    "poison has made an item": ("doubled", "an item of which nobody spoke", lambda p: p.client.hset(keys.item("x"), "price", "1")),
    "a visitor's profile is gone": ("lost", "an event of a visitor", lambda p: p.client.delete(keys.profile(p.user()))),
    "an event is lost": ("lost", "an event of a visitor", _lose_event),
    "an event counts twice": ("doubled", "an event of a visitor", _double_event),
    "a purchase is lost": ("lost", "a purchase", lambda p: p.edit_profile(lambda q: q.bought.popitem())),
    "an older word on the cart stands": ("stale", "another cart entry", lambda p: p.edit_profile(_old_cart)),
    "a search of nobody": ("doubled", "a search that never was", lambda p: p.edit_profile(lambda q: q.searches.update(x=1))),
    "an impression is lost": ("lost", "an impression", lambda p: p.edit_profile(lambda q: q.impressions.pop())),
    "poison has made a visitor": (
        "doubled",
        "a profile of a visitor who did nothing",
        lambda p: p.client.set(keys.profile("x"), Profile().pack()),
    ),
    "a list is gone": ("lost", "a visitor's list", lambda p: p.client.delete(keys.rec(p.user()))),
    "a list is older than its visitor's event": (
        "stale",
        "a list older than its visitor's newest event",
        lambda p: p.edit_list(keys.rec(p.user()), lambda ids: ids, made_at=NOW - 1),
    ),
    "a list holds a sold-out item": (
        "stale",
        "an item on a list that must not be shown",
        lambda p: p.edit_list(keys.rec(p.user()), lambda ids: [*ids, p.soldout()]),
    ),
    "a list holds an excluded item": (
        "stale",
        "an item on a list that must not be shown",
        lambda p: p.edit_list(keys.rec(p.user()), lambda ids: [*ids, min(p.truth.excluded(LATER))]),
    ),
    "a list holds what its visitor bought": (
        "stale",
        "an item on the list of somebody who has it",
        lambda p: p.edit_list(keys.rec(p.user()), lambda ids: [*ids, *_bought_on_sale(p)]),
    ),
    "a list holds an item twice": (
        "doubled",
        "an item twice on a list",
        lambda p: p.edit_list(keys.rec(p.user()), lambda ids: [*ids, ids[-1]]),
    ),
    "a list ran short": (
        "stale",
        "a list that ran short",
        lambda p: p.edit_list(keys.rec(p.user()), lambda ids: ids[:20]),
    ),
    "a pin has slipped": (
        "stale",
        "a pin that is not in its place",
        lambda p: p.edit_list(keys.rec(_pinned_to(p)), lambda ids: [*ids[1:], ids[0]]),
    ),
    "a fallback holds a removed item": (
        "stale",
        "an item on a fallback that must not be shown",
        lambda p: p.edit_list(keys.trending(), lambda ids: [p.removed(), *ids]),
    ),
    "the shop's fallback is gone": ("lost", "the shop's fallback list", lambda p: p.client.delete(keys.trending())),
    "poison is not among the dead letters": ("lost", "the dead letter of a message", _forget_letter),
    "a good message is a dead letter": ("doubled", "a dead letter of a good message", _bury_good),
    "the aggregator missed a visitor": ("lost", "a visitor whom an item met", lambda p: _met(p).popitem()),
    "the aggregator counts a visitor of nobody": (
        "doubled",
        "a visitor whom an item never met",
        lambda p: _met(p).update({visitor_hash("x"): NOW}),
    ),
    "the aggregator holds an older visit": ("stale", "a visit of another time", lambda p: _age(_met(p))),
}


def _pinned_to(p: Played) -> str:
    [(_, item_id)] = p.truth.pinned(LATER)
    return next(u for u, visitor in p.truth.visitors.items() if visitor.has_list and not visitor.must_not_see(item_id))


def _bought_on_sale(p: Played) -> list[str]:
    allowed = {i for i, item in p.truth.items.items() if item.may_be_listed} - p.truth.excluded(LATER)
    bought = [i for visitor in [p.truth.visitors[p.user()]] for i in visitor.bought if i in allowed]
    assert bought
    return bought


@pytest.mark.parametrize("planted", PLANTED)
def test_what_is_planted_is_found_with_its_evidence(played: Played, planted: str) -> None:
    kind, what, plant = PLANTED[planted]
    plant(played)
    findings = played.findings()
    assert any((finding.kind, finding.what.partition(":")[0]) == (kind, what) for finding in findings), findings[:3]
    assert all(finding.key for finding in findings)
    assert not verdict(findings, {}, 0.0).ok


def test_what_was_sent_again_may_lie_at_a_place_that_nobody_told() -> None:
    world = World(1, plain(10))
    poison = next(message for message in world.stream(2000, NOW) if message.poison)
    world.truth.note_failure(poison)
    world.truth.take(poison, 0, 5, NOW)
    both = {(poison.topic, 0, 4): (poison.topic, poison.value), (poison.topic, 0, 5): (poison.topic, poison.value)}
    assert not list(compare_letters(world.truth, Letters(Counter(dict.fromkeys(both, 1)), both)))
