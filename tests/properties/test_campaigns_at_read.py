"""Laws of campaigns where lists are read: at any moment, in any order, a read is what the campaigns of that moment say."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from streamrec.catalogue.store import Fact, MemoryFactStore
from streamrec.client import Answer, assemble
from streamrec.events import Click, Stock
from streamrec.events.topics import STOCK
from streamrec.lists import keys
from streamrec.lists.hidden_items import MemoryHiddenItems
from streamrec.lists.packing import RankedList
from streamrec.lists.pins import MemoryPinStore, unpack_pins
from streamrec.profiles import Profile
from streamrec.recommender import CampaignGuard, PinBoard
from tests.properties.test_recommender import EVENTS, ITEMS
from tests.unit.recommender.rooms import T0, Room

N, SIZE = 8, 4
MOMENTS = st.integers(0, 20_000)


@dataclass(frozen=True)
class Said:
    """One campaign as it was announced."""

    name: str
    action: str
    ids: tuple[str, ...]
    starts: int
    ends: int
    slots: tuple[int, ...]
    segment: str = "all"

    def runs(self, ms: int) -> bool:
        return self.starts <= ms < self.ends


def _said(segments: st.SearchStrategy[str]) -> st.SearchStrategy[list[Said]]:
    one = st.builds(
        lambda name, action, ids, starts, lasts, slots, segment: Said(
            name, action, tuple(ids), starts, starts + lasts, tuple(slots), segment
        ),
        st.sampled_from("abcdef"),
        st.sampled_from(["boost", "bury", "pin", "pin", "pin", "exclude", "exclude"]),
        st.lists(ITEMS, min_size=1, max_size=4, unique=True),
        MOMENTS,
        st.integers(1, 15_000),
        st.lists(st.integers(1, SIZE), min_size=1, max_size=3),
        segments,
    )
    return st.lists(one, max_size=5, unique_by=lambda said: said.name)


class Shop:
    """A recommender, and a storefront that reads what it wrote."""

    def __init__(self) -> None:
        self.room, self.facts, self.pins = Room(N), MemoryFactStore(100), MemoryPinStore()
        parts = self.room.knowledge, MemoryHiddenItems(self.facts), self.room.share, self.room.clock
        self.guard = CampaignGuard(*parts, self.room.observer)
        self.board = PinBoard(self.room.knowledge, self.pins, self.room.share, self.room.clock)

    def announce(self, campaigns: list[Said]) -> None:
        for said in campaigns:
            told: dict[str, Any] = {"starts": said.starts, "ends": said.ends, "segment": said.segment, "slots": said.slots}
            self.room.campaign(said.name, said.action, *said.ids, **told)

    def stock(self, item_id: str, quantity: int) -> None:
        self.facts.apply([Fact(STOCK, item_id, Stock(quantity=quantity, ts=T0 + self.room.order), self.room.order)])
        self.room.stock(item_id, quantity)

    def at(self, ms: int, *, repaired: bool) -> None:
        self.room.clock.advance(T0 + ms - self.room.clock.now_ms())
        self.guard.tick()
        self.board.tick()
        if repaired:
            self.room.tick()

    def stored(self, user_id: str) -> tuple[Profile, RankedList | None, RankedList | None]:
        [profile], lists = self.room.store.load([user_id]), self.room.store.lists(user_id)
        [fallback] = self.room.lists.get([keys.trending()])
        return profile, lists.get(keys.HOME), fallback

    def read(self, user_id: str) -> Answer:
        profile, ranked, fallback = self.stored(user_id)
        now_ms = self.room.clock.now_ms()
        running = [pin for pin in unpack_pins(self.pins.value) if pin.runs(now_ms)]
        return assemble(ranked, profile.pack(), fallback, SIZE, self.hidden, running)

    def hidden(self, ids: Any) -> set[str]:
        return {item_id for item_id, away in zip(ids, self.facts.soldout(list(ids)), strict=True) if away}


def _expected(shop: Shop, user_id: str, campaigns: list[Said], sold_out: set[str], ms: int) -> list[str]:
    """The reference, from what was announced and what is stored alone: exclusions, then pins, then the list and the fallback."""
    profile, ranked, fallback = shop.stored(user_id)
    running = sorted((said for said in campaigns if said.runs(ms)), key=lambda said: said.name)
    away = sold_out | set(chain.from_iterable(said.ids for said in running if said.action == "exclude"))
    owned = set(profile.bought) | set(profile.in_cart())
    pinned: dict[int, str] = {}
    for slot in range(1, SIZE + 1):
        for said in (one for one in running if one.action == "pin" and slot in one.slots):
            slots = sorted(set(said.slots))
            nominee = said.ids[slots.index(slot) :][:1]
            for item_id in (*nominee, *said.ids[len(slots) :]):
                if slot not in pinned and item_id not in away | owned | set(pinned.values()):
                    pinned[slot] = item_id
    mine = ranked.ids() if ranked else []
    theirs = [item_id for item_id in (fallback.ids() if fallback else []) if item_id not in owned]
    rest = [item_id for item_id in dict.fromkeys(mine + theirs) if item_id not in away and item_id not in pinned.values()]
    shown = []
    for slot in range(1, SIZE + 1):
        if slot in pinned:
            shown.append(pinned.pop(slot))
        elif rest:
            shown.append(rest.pop(0))
        elif pinned:
            shown.append(pinned.pop(max(pinned)))
    return shown


@settings(max_examples=80, deadline=None)
@given(
    campaigns=_said(st.just("all")),
    events=st.lists(EVENTS, min_size=1, max_size=6),
    stock=st.lists(st.tuples(ITEMS, st.integers(0, 1)), max_size=3),
    moments=st.lists(MOMENTS, min_size=1, max_size=5).map(sorted),
    repaired=st.booleans(),
)
def test_a_read_at_any_moment_is_what_the_reference_says_whether_lists_were_repaired_or_not(
    campaigns: list[Said], events: list[Any], stock: list[tuple[str, int]], moments: list[int], repaired: bool
) -> None:
    shop = Shop()
    shop.room.visit(*events)
    shop.announce(campaigns)
    sold_out: set[str] = set()
    shop.at(0, repaired=True)
    for turn, ms in enumerate(moments):
        for item_id, quantity in stock[turn : turn + 1]:
            shop.stock(item_id, quantity)
            (sold_out.discard if quantity else sold_out.add)(item_id)
        shop.at(ms, repaired=repaired)
        for user_id in ("u", "v", "nobody"):
            assert shop.read(user_id).ids() == _expected(shop, user_id, campaigns, sold_out, ms)


#: What stood above a pin comes back.
_RETURN_ABOVE_A_PIN = [
    Said(name="a", action="pin", ids=("i0",), starts=0, ends=1000, slots=(3,), segment="all"),
    Said(name="b", action="exclude", ids=("i3",), starts=0, ends=2, slots=(1,), segment="all"),
]


@settings(max_examples=80, deadline=None)
@example(campaigns=_RETURN_ABOVE_A_PIN, events=[("u", Click(item_id="i0", ts=T0))], moments=[1, 2])
@given(
    campaigns=_said(st.sampled_from(["all", "all", "new", "returning", "buyers"])),
    events=st.lists(EVENTS, min_size=1, max_size=6),
    moments=st.lists(MOMENTS, min_size=1, max_size=4).map(sorted),
)
def test_lists_that_were_ranked_with_the_campaigns_are_read_as_they_were_ranked(
    campaigns: list[Said], events: list[Any], moments: list[int]
) -> None:
    """What is done at reading adds nothing to ranking but time: campaigns of segments too win and lose as they do there."""
    shop = Shop()
    shop.room.visit(*events)
    shop.announce(campaigns)
    for ms in moments:
        shop.at(ms, repaired=True)
        for user_id in shop.room.homes():
            home = shop.room.home(user_id)
            assert len(home) < SIZE or shop.read(user_id).ids() == home[:SIZE]  # a short one is filled
