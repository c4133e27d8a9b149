"""What campaigns exclude is hidden from every read at its moment, and nobody stays hidden whatever happens in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from streamrec.catalogue.store import Fact, MemoryFactStore
from streamrec.errors import StoreUnavailable
from streamrec.events import Stock, Targets
from streamrec.events.topics import STOCK
from streamrec.lists.hidden_items import MemoryHiddenItems
from streamrec.recommender.campaign_guard import AUDIT_MS, RELOOK_MS, CampaignGuard
from streamrec.recommender.share import Whole
from tests.unit.recommender.rooms import T0, Room


class Fickle(Whole):
    """A share whose leading a test decides."""

    leading = True

    def leads(self) -> bool:
        return self.leading


class Breaking(MemoryHiddenItems):
    """Does the first half of a change and fails, as often as a test says; counts changes."""

    failures = 0
    changes = 0

    def change(self, item_ids: Sequence[str], *, hide: bool) -> bool:
        self.changes += bool(item_ids)
        if self.failures and item_ids:
            self.failures -= 1
            super().change(item_ids[: len(item_ids) // 2], hide=hide)
            raise StoreUnavailable("away")
        return super().change(item_ids, hide=hide)


class Worker:
    """A recommender that hides, in a shop whose facts others may share."""

    def __init__(self, other: Worker | None = None, *, max_hidden: int = 100) -> None:
        self.room = Room(8)
        self.facts: MemoryFactStore = MemoryFactStore(1000) if other is None else other.facts
        self.store: Breaking = Breaking(self.facts, None if other is None else other.store)
        self.share = Fickle()
        parts = self.room.knowledge, self.store, self.share, self.room.clock, self.room.observer
        self.guard = CampaignGuard(*parts, max_hidden=max_hidden)

    def at(self, ms: int) -> str:
        """Move to ``ms`` after T0, tick, and return the numbers of the items that are away."""
        self.room.clock.advance(T0 + ms - self.room.clock.now_ms())
        self.guard.tick()
        return self.away()

    def away(self) -> str:
        ids = [f"i{n}" for n in range(8)]
        return "".join(item_id[1:] for item_id, away in zip(ids, self.facts.soldout(ids), strict=True) if away)


def test_an_exclusion_hides_from_its_start_until_its_end_without_any_event() -> None:
    worker = Worker()
    worker.room.campaign("c", "exclude", "i1", "i2", starts=100, ends=200)
    assert [worker.at(ms) for ms in (0, 99, 100, 199, 200)] == ["", "", "12", "12", ""]


def test_of_two_that_overlap_the_end_of_one_leaves_the_other() -> None:
    worker = Worker()
    worker.room.campaign("a", "exclude", "i1", "i2", starts=100, ends=300)
    worker.room.campaign("b", "exclude", "i2", "i3", starts=200, ends=400)
    assert [worker.at(ms) for ms in (100, 200, 300, 400)] == ["12", "123", "23", ""]


def test_pins_boosts_and_exclusions_of_a_segment_hide_nothing_from_everybody() -> None:
    worker = Worker()
    worker.room.campaign("p", "pin", "i1", slots=(1,))
    worker.room.campaign("b", "bury", "i2")
    worker.room.campaign("s", "exclude", "i3", segment="new")
    assert worker.at(10) == ""


def test_a_cancelled_campaign_shows_its_items_again_at_the_next_tick() -> None:
    worker = Worker()
    worker.room.campaign("c", "exclude", "i1")
    assert worker.at(10) == "1"
    worker.room.tell("c", None)
    assert worker.at(11) == ""


@pytest.mark.parametrize("kind", ["brands", "sellers", "categories"])
def test_one_message_hides_all_of_a_brand_or_seller_and_what_enters_or_leaves_it_follows(kind: str) -> None:
    worker = Worker()
    every: dict[str, dict[str, Any]] = {
        "brands": {"brand": "acme"},
        "sellers": {"attributes": {"seller": "acme"}},
        "categories": {"category": "acme"},
    }
    fields = every[kind]
    worker.room.items(["i3", "i4"], **fields, ts=T0)
    worker.room.campaign("c", "exclude", targets=Targets(**{kind: ("acme",)}), starts=10)
    assert worker.at(10) == "34"
    worker.room.items(["i5"], **fields, ts=T0 + 1)
    worker.room.items(["i3"], category="red", ts=T0 + 1)
    assert worker.at(10 + RELOOK_MS) == "45"


def test_what_sold_out_meanwhile_stays_away_when_the_campaign_ends() -> None:
    worker = Worker()
    worker.room.campaign("c", "exclude", "i1", "i2", ends=100)
    assert worker.at(0) == "12"
    worker.facts.apply([Fact(STOCK, "i1", Stock(quantity=0, ts=T0), 0), Fact(STOCK, "i2", Stock(quantity=7, ts=T0), 1)])
    assert (worker.away(), worker.at(100)) == ("12", "1")


def test_who_does_not_lead_writes_nothing_and_who_begins_to_mends_what_stands() -> None:
    """The last leader is gone, and a campaign ended while nobody led."""
    first = Worker()
    first.room.campaign("c", "exclude", "i1", "i2", ends=100)
    first.room.campaign("d", "exclude", "i2", "i3")
    assert first.at(0) == "123"
    second = Worker(first)
    second.room.campaign("d", "exclude", "i2", "i3")
    second.share.leading = False
    assert second.at(150) == "123"
    second.share.leading = True
    assert second.at(200) == "23"


def test_of_two_who_believe_to_lead_what_stands_in_the_end_is_what_the_one_who_stays_knows() -> None:
    late, true = Worker(), None
    late.room.campaign("c", "exclude", "i1")
    assert late.at(0) == "1"
    true = Worker(late)
    assert true.at(0) == ""
    late.room.campaign("d", "exclude", "i2")
    late.at(1)
    late.at(2)
    assert late.away() == "12"
    late.share.leading = False
    assert true.at(AUDIT_MS) == ""


@pytest.mark.parametrize("failures", [1, 2, 3])
def test_an_error_in_between_is_made_good_by_whoever_ticks_next(failures: int) -> None:
    worker = Worker()
    worker.room.campaign("c", "exclude", "i1", "i2", "i3", "i4", starts=10, ends=20)
    worker.at(0)

    def till_done(ms: int) -> str:
        worker.store.failures = failures
        for _ in range(failures):
            with pytest.raises(StoreUnavailable):
                worker.at(ms)
        return worker.at(ms)

    assert till_done(10) == "1234"
    assert till_done(20) == ""


def _lost_all(worker: Worker) -> None:
    worker.store.hidden.clear()
    worker.facts._items.clear()
    worker.facts._soldout.clear()
    worker.store._writer[0] = None


def _lost_the_guard(worker: Worker) -> None:
    worker.facts._soldout.clear()


@pytest.mark.parametrize("lose", [_lost_all, _lost_the_guard])
def test_a_store_that_lost_data_is_written_again_within_a_second(lose: Callable[[Worker], None]) -> None:
    worker = Worker()
    worker.room.campaign("c", "exclude", "i1", "i2")
    assert worker.at(0) == "12"
    lose(worker)
    assert worker.away() == ""
    assert worker.at(AUDIT_MS) == "12"


def test_nothing_is_written_while_nothing_changes() -> None:
    worker = Worker()
    worker.room.campaign("c", "exclude", "i1")
    worker.at(0)
    written = worker.store.changes
    for ms in range(0, 5000, 50):
        worker.at(ms)
    assert worker.store.changes == written


def test_ids_that_no_item_has_any_more_do_not_stay_hidden() -> None:
    worker = Worker()
    worker.store.take_over()
    worker.store.change(["stranger", "i1"], hide=True)
    assert worker.at(0) == ""
    assert worker.facts.soldout(["stranger"]) == [False]


def test_no_more_items_are_hidden_than_the_bound_allows() -> None:
    worker = Worker(max_hidden=3)
    worker.room.campaign("c", "exclude", *(f"i{n}" for n in range(8)))
    assert len(worker.at(0)) == len(worker.store.hidden) == 3
    worker.room.tell("c", None)
    assert worker.at(1) == ""


def test_it_is_told_how_late_a_start_and_an_end_were_but_not_of_campaigns_that_ran_before() -> None:
    worker = Worker()
    worker.room.campaign("before", "exclude", "i1", ends=50)
    worker.at(0)
    worker.room.campaign("c", "exclude", "i2", starts=100, ends=200)
    worker.at(40)
    worker.at(53)
    worker.at(107)
    worker.at(211)
    assert worker.room.observer.ages == [("campaign_end", 3), ("campaign_start", 7), ("campaign_end", 11)]
