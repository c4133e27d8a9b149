"""A recommender in one process, on stores in memory that can be away and an outbox that can fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrec.catalogue.store import Fact
from streamrec.clock import ManualClock
from streamrec.config import IndexSettings, ListSettings, RankingSettings, Settings
from streamrec.embedding import pack_vectors
from streamrec.embedding.hashing import HashingEncoder
from streamrec.errors import BrokerUnavailable, StoreUnavailable
from streamrec.events import Campaign, CatalogItem, Click, Event, ItemActivity, ItemVector, Price, Stock, Targets
from streamrec.events.topics import CATALOG, PRICE, STOCK
from streamrec.lists.item_lists import MemoryListStore
from streamrec.lists.keys import HOME
from streamrec.lists.matrix import ListMatrix
from streamrec.lists.packing import RankedList
from streamrec.lists.part_weights import Bounds, MemoryWeightStore
from streamrec.lists.visitors import ListPatches, MemoryVisitorStore, Replacement, VisitorUpdate
from streamrec.observe import Memory
from streamrec.profiles import Profile
from streamrec.recommender import Changes, Fallbacks, Knowledge, Lessons, Share, Upkeep, Visits, Whole

T0 = 1_767_225_600_000
ENCODER = HashingEncoder(16)
COLOURS = ("red", "blue", "green")


class Outage:
    """Lets some calls pass and then fails some; ``calls`` names every call, refused ones too."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        #: Methods that do their work although they fail: the store answers too late.
        self.written_all_the_same: set[str] = set()
        self._pass: dict[str, int] = {}
        self._fail: dict[str, int] = {}

    def begin(self, method: str, *, after: int = 0, times: int = 1) -> None:
        self._pass[method], self._fail[method] = after, times

    def called(self, method: str) -> None:
        self.calls.append(method)
        if self._pass.get(method, 0):
            self._pass[method] -= 1
        elif self._fail.get(method, 0):
            self._fail[method] -= 1
            raise StoreUnavailable("away")


class VisitorsThatFail(MemoryVisitorStore):
    """The memory store behind an outage; ``meanwhile`` runs once, just before the next commit."""

    def __init__(self, outage: Outage) -> None:
        super().__init__(1000)
        self._outage = outage
        self.meanwhile: Callable[[], None] | None = None

    def load(self, user_ids: Sequence[str]) -> list[Profile]:
        self._outage.called("load")
        return super().load(user_ids)

    def commit(self, updates: Sequence[VisitorUpdate]) -> list[bool]:
        if "commit" in self._outage.written_all_the_same:
            super().commit(updates)
        self._outage.called("commit")
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile:
            meanwhile()
        return super().commit(updates)

    def replace_lists(self, lists: Sequence[Replacement]) -> list[bool]:
        if "replace_lists" in self._outage.written_all_the_same:
            super().replace_lists(lists)
        self._outage.called("replace_lists")
        return super().replace_lists(lists)

    def patch_lists(self, patches: Iterable[ListPatches]) -> Iterator[NDArray[np.bool_]]:
        asked = list(patches)
        if "patch_lists" in self._outage.written_all_the_same:
            list(super().patch_lists(asked))
        self._outage.called("patch_lists")
        yield from super().patch_lists(asked)

    def home_values(self, user_ids: Sequence[str]) -> list[bytes | None]:
        self._outage.called("home_values")
        return super().home_values(user_ids)

    def made_at(self, user_ids: Sequence[str]) -> list[int]:
        self._outage.called("made_at")
        return super().made_at(user_ids)

    def image(self) -> tuple[dict[str, bytes], dict[str, dict[str, bytes]]]:
        """Return every byte that is stored."""
        return dict(self._profiles), {user_id: dict(lists) for user_id, lists in self._lists.items()}


class ListsThatFail(MemoryListStore):
    """The memory store behind an outage; keeps what was put, call by call."""

    def __init__(self, outage: Outage) -> None:
        super().__init__(1000)
        self._outage = outage
        self.puts: list[dict[str, RankedList]] = []

    def put(self, lists: Mapping[str, RankedList], ttl_s: int) -> None:
        self._outage.called("put")
        self.puts.append(dict(lists))
        super().put(lists, ttl_s)


class Told:
    """An outbox that remembers; notes its flushes in the outage's calls and fails the next ``failures`` of them."""

    def __init__(self, outage: Outage) -> None:
        self.sent: list[tuple[str, ItemActivity]] = []
        self.failures = 0
        self._outage = outage

    def send(self, told: Sequence[tuple[str, ItemActivity]]) -> None:
        self.sent.extend(told)

    def flush(self) -> None:
        self._outage.calls.append("flush")
        if self.failures:
            self.failures -= 1
            raise BrokerUnavailable("away")


class Nothing:
    """The share of a worker that owns no partition."""

    def leads(self) -> bool:
        return False

    def has_item(self, item_id: str) -> bool:
        return False

    def has_visitor(self, user_id: str) -> bool:
        return False


def settings(**ranking: Any) -> Settings:
    # A click raises no category: a list less an item is then the list that is ranked without it.
    return Settings(
        index=IndexSettings(kind="exact", max_items=1000),
        ranking=RankingSettings(**({"list_size": 4, "explore_every": 0, "max_per_category": 50, "threshold_drop": 0.0} | ranking)),
        lists=ListSettings(reserve=2, fallback_size=20, item_list_size=3),
    )


def title(number: int) -> str:
    return f"{COLOURS[number % 3]} shoe {number}"


class Room:
    """A shop of ``n`` items, i0, i1, …, in three categories, and everything that keeps its lists."""

    def __init__(
        self,
        n: int = 12,
        *,
        share: Share | None = None,
        max_visitors: int = 100,
        max_backlog: int = 1000,
    ):
        self.settings, self.clock, self.observer, self.outage = settings(), ManualClock(T0), Memory(), Outage()
        self.store, self.lists, self.outbox = VisitorsThatFail(self.outage), ListsThatFail(self.outage), Told(self.outage)
        self.weights = MemoryWeightStore(Bounds.of(self.settings.learning))
        self.share = share or Whole()
        self.max_visitors, self.max_backlog = max_visitors, max_backlog
        self.order = 0
        self.start()
        self.items([f"i{number}" for number in range(n)])

    def start(self) -> None:
        """Build the parts; a second call is a worker that starts anew and knows nothing."""
        self.knowledge = Knowledge.build(self.settings, 16, ENCODER.digest, lambda texts: ENCODER.encode(texts, query=True))
        self.matrix = ListMatrix(self.max_visitors, 6, 4)
        parts = self.knowledge, self.store, self.matrix
        learning = self.settings.learning
        self.lessons = Lessons(self.knowledge, self.weights, learning, self.clock, self.observer)
        self.visits = Visits(*parts, self.outbox, self.settings.profiles, self.clock, self.observer, lessons=self.lessons)
        self.upkeep = Upkeep(*parts, self.share, self.clock, self.observer)
        self.fallbacks = Fallbacks(
            self.knowledge, self.lists, self.share, self.settings.lists, self.clock, self.observer, max_backlog=self.max_backlog
        )

    # -- the shop ----------------------------------------------------------------------------------------------------

    def items(self, ids: Sequence[str], **facts: Any) -> None:
        for item_id in ids:
            number = int(item_id[1:])
            fields: dict[str, Any] = {"ts": T0 - 1000 + number, "title": title(number), "category": COLOURS[number % 3]} | facts
            self.fact(CATALOG, item_id, CatalogItem(**fields))
        self.vectors(ids)

    def vectors(self, ids: Sequence[str]) -> None:
        packed = pack_vectors(ENCODER.encode([title(int(item_id[1:])) for item_id in ids]))
        made = [ItemVector(content_digest="c", model_digest=ENCODER.digest, dim=16, vector=vector, ts=T0) for vector in packed]
        self.fallbacks.items_changed(self.knowledge.take_vectors(list(zip(ids, made, strict=True))))

    def fact(self, topic: str, item_id: str, payload: CatalogItem | Price | Stock | None) -> Changes:
        self.order += 1
        changes = self.knowledge.take_facts([Fact(topic, item_id, payload, self.order)])
        self.fallbacks.gone(changes.gone)
        self.upkeep.changed(changes)
        return changes

    def stock(self, item_id: str, quantity: int) -> Changes:
        return self.fact(STOCK, item_id, Stock(quantity=quantity, ts=self.clock.now_ms() + self.order))

    def price(self, item_id: str, price: float, list_price: float) -> Changes:
        return self.fact(PRICE, item_id, Price(price=price, list_price=list_price, ts=self.clock.now_ms() + self.order))

    def campaign(self, name: str, action: str, *ids: str, starts: int = 0, ends: int = 10_000_000, **fields: Any) -> None:
        """Announce a campaign that runs from ``starts`` to ``ends`` ms after T0."""
        self.order += 1
        told = {"targets": Targets(items=ids), "starts_at": T0 + starts, "ends_at": T0 + ends, "ts": T0 + self.order} | fields
        self.tell(name, Campaign(action=action, **told))  # type: ignore[arg-type]

    def tell(self, name: str, campaign: Campaign | None) -> None:
        self.order += 1
        if self.knowledge.take_campaigns([(name, campaign, self.order)]):
            self.upkeep.campaigns_changed()
            self.fallbacks.shop_changed()

    # -- visitors ----------------------------------------------------------------------------------------------------

    def click(self, user_id: str, *ids: str) -> None:
        self.visit(*((user_id, Click(item_id=item_id, ts=T0 + 10 + at)) for at, item_id in enumerate(ids)))

    def visit(self, *events: tuple[str, Event]) -> None:
        self.visits.update(events)

    def home(self, user_id: str) -> list[str]:
        """Return the ids of the visitor's published list."""
        return self.store.lists(user_id)[HOME].ids()

    def homes(self) -> dict[str, list[str]]:
        return {user_id: self.home(user_id) for user_id in self.store.image()[1]}

    # -- time --------------------------------------------------------------------------------------------------------

    def at(self, ms: int) -> None:
        """Move to ``ms`` after T0 and do all that is due."""
        self.clock.advance(T0 + ms - self.clock.now_ms())
        self.tick()

    def tick(self) -> None:
        self.upkeep.tick(60.0)
        self.fallbacks.tick(60.0)

    def pushed(self, kind: str) -> int:
        return self.observer.counts["lists_pushed", kind]


def visited(**parts: Any) -> Room:
    """Return a room in which u clicked i1, and v i1 and i2, a second ago."""
    room = Room(**parts)
    room.click("u", "i1")
    room.click("v", "i1", "i2")
    room.clock.advance(1000)
    return room
