"""Events of visitors → profiles → lists: what is written, when, and what happens when others write or stores are away."""

from __future__ import annotations

import pytest

from streamrec.config import ProfileSettings
from streamrec.errors import BrokerUnavailable, StoreUnavailable
from streamrec.events import Cart, Click, Event, Impressions, Order, OrderLine, Search
from streamrec.lists.visitors import MemoryVisitorStore, VisitorUpdate
from streamrec.profiles import apply
from tests.unit.recommender.rooms import T0, Room, title


def _clicked(room: Room, user_id: str) -> set[str]:
    return {interaction.item_id for interaction in room.store.load([user_id])[0].recent}


def _elsewhere(room: Room, user_id: str, item_id: str) -> None:
    """Write a click as another worker does."""
    [profile] = room.store.load([user_id])
    assert apply(profile, Click(item_id=item_id, ts=T0 + 7), ProfileSettings())
    MemoryVisitorStore.commit(room.store, [VisitorUpdate(user_id, profile)])


def test_all_events_that_a_visitor_has_in_a_batch_cause_one_refresh() -> None:
    room = Room()
    room.visit(*(("u" if n % 2 else "v", Click(item_id=f"i{n}", ts=T0 + n)) for n in range(8)))
    assert room.pushed("visit") == 2
    assert _clicked(room, "u") == {"i1", "i3", "i5", "i7"}
    assert room.outage.calls.count("commit") == 1


def test_a_repeated_batch_changes_no_byte_and_pushes_nothing() -> None:
    room = Room()
    batch: list[tuple[str, Event]] = [
        ("u", Click(item_id="i1", ts=T0)),
        ("u", Cart(item_id="i2", op="add", ts=T0 + 1)),
        ("u", Order(lines=(OrderLine(item_id="i3"),), ts=T0 + 2)),
        ("u", Search(query="red shoe", ts=T0 + 3)),
        ("u", Impressions(item_ids=("i4",), ts=T0 + 4)),
    ]
    room.visit(*batch)
    before, told = room.store.image(), list(room.outbox.sent)
    room.clock.advance(1000)
    room.visit(*batch)
    assert room.store.image() == before
    assert room.outbox.sent == told
    assert room.pushed("visit") == 1


def test_being_shown_something_is_kept_but_moves_no_list() -> None:
    room = Room()
    room.click("u", "i1")
    shown = room.store.lists("u")
    room.clock.advance(1000)
    room.visit(("u", Impressions(item_ids=tuple(room.home("u")), ts=T0 + 500)))
    assert room.store.lists("u") == shown
    assert set(room.store.load(["u"])[0].shown) == set(room.home("u"))
    assert room.pushed("visit") == 1


def test_a_search_moves_the_list_towards_what_was_searched() -> None:
    room = Room()
    room.visit(("u", Search(query=title(5), ts=T0)))
    assert room.home("u")[0] == "i5"
    assert room.store.lists("u")["home"].items[0].why == f"search:{title(5)}"


def test_what_was_bought_or_lies_in_the_cart_is_not_on_the_list() -> None:
    room = Room(5)
    room.visit(("u", Order(lines=(OrderLine(item_id="i1"),), ts=T0)), ("u", Cart(item_id="i2", op="add", ts=T0)))
    assert set(room.home("u")) == {"i0", "i3", "i4"}


def test_the_aggregator_is_told_before_the_profile_is_written() -> None:
    room = Room()
    room.click("u", "i1")
    assert room.outage.calls == ["load", "flush", "commit"]
    assert [item_id for item_id, _ in room.outbox.sent] == ["i1"]


def test_an_aggregator_that_cannot_be_told_leaves_the_store_untouched_and_a_retry_completes() -> None:
    room = Room()
    room.outbox.failures = 1
    with pytest.raises(BrokerUnavailable):
        room.click("u", "i1", "i2")
    assert room.store.image() == ({}, {})
    room.click("u", "i1", "i2")
    assert _clicked(room, "u") == {"i1", "i2"}
    assert room.home("u")


@pytest.mark.parametrize("method", ["load", "commit"])
def test_a_store_that_is_away_leaves_a_batch_that_can_be_taken_again(method: str) -> None:
    room, calm = Room(), Room()
    room.outage.begin(method)
    with pytest.raises(StoreUnavailable):
        room.click("u", "i1", "i2")
    room.click("u", "i1", "i2")
    calm.click("u", "i1", "i2")
    assert room.homes() == calm.homes()


def test_events_are_applied_onto_what_another_worker_wrote_in_between() -> None:
    room = Room()
    room.click("u", "i1")
    room.store.meanwhile = lambda: _elsewhere(room, "u", "i2")
    room.visit(("u", Click(item_id="i3", ts=T0 + 20)), ("v", Click(item_id="i4", ts=T0 + 20)))
    assert _clicked(room, "u") == {"i1", "i2", "i3"}
    assert _clicked(room, "v") == {"i4"}
    assert room.pushed("visit") == 3  # one before, and each visitor once


def test_two_workers_that_write_the_same_visitor_for_ever_make_the_batch_wait() -> None:
    room = Room()

    def write() -> None:
        _elsewhere(room, "u", f"i{len(_clicked(room, 'u'))}")
        room.store.meanwhile = write

    room.store.meanwhile = write
    with pytest.raises(StoreUnavailable, match="another worker"):
        room.click("u", "i11")
    assert "i11" not in _clicked(room, "u")
    room.store.meanwhile = None
    room.click("u", "i11")
    assert "i11" in _clicked(room, "u")


def test_every_list_says_what_made_it() -> None:
    room = Room()
    room.click("u", "i1")
    ranked = room.store.lists("u")["home"]
    assert (ranked.made_at, ranked.digest, ranked.variant) == (T0, room.knowledge.digest, "default")
    assert all(item.why for item in ranked.items)


# -- history, read again -----------------------------------------------------------------------------------------------------


def _recalled(room: Room, *ids: str) -> list[str]:
    return room.visits.recall([("u", Click(item_id=item_id, ts=T0 + 10 + at)) for at, item_id in enumerate(ids)])


def test_recalled_events_give_the_profile_and_the_list_that_they_gave_at_first() -> None:
    room = Room()
    room.click("u", "i1", "i2", "i4")
    [before], home = room.store.load(["u"]), room.home("u")
    room.store.forget("u")
    room.upkeep.adopt()
    assert _recalled(room, "i1") == []  # the list was missing, so it was made
    assert _recalled(room, "i1", "i2", "i4") == ["u"]  # it stands, and is ranked again in the background
    room.upkeep.refresh(["u", "nobody"])
    assert room.upkeep.backlog == 1
    room.tick()
    [after] = room.store.load(["u"])
    before.revision = after.revision
    assert (after, room.home("u")) == (before, home)


def test_recalling_what_stands_changes_nothing() -> None:
    room = Room()
    room.click("u", "i1", "i2")
    before = room.store.image()
    assert _recalled(room, "i1", "i2") == []
    assert room.store.image() == before


def test_a_list_that_is_missing_beside_its_profile_is_made() -> None:
    room = Room()
    room.click("u", "i1", "i2")
    home = room.home("u")
    room.store._lists.clear()
    _recalled(room, "i1")
    assert room.home("u") == home


def test_a_list_that_another_worker_wrote_is_made_anew_by_who_recalls() -> None:
    """It is in no one's matrix here, so upkeep could not rank it."""
    room = Room()
    room.click("u", "i1")
    room.matrix.drop(["u"])
    assert _recalled(room, "i1", "i2") == []
    assert "u" in room.matrix


def test_a_recall_that_meets_an_outage_is_repeated_without_harm() -> None:
    room = Room()
    room.outage.begin("commit")
    with pytest.raises(StoreUnavailable):
        _recalled(room, "i1", "i2")
    _recalled(room, "i1", "i2")
    assert room.home("u")
