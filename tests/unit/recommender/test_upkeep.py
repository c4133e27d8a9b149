"""Repair: what sold out leaves every list at once, what is back returns, and no outage or other worker loses either."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from streamrec.errors import StoreUnavailable
from streamrec.events import Click, Targets
from streamrec.lists.keys import HOME
from streamrec.lists.packing import ListItem, RankedList
from streamrec.lists.visitors import MemoryVisitorStore, Replacement
from streamrec.recommender.upkeep import SMALLEST, STEP
from tests.unit.recommender.rooms import T0, Nothing, Room, visited

#: Visitors that one step cannot do, and two can.
MANY = STEP + 24


def _writes_elsewhere(room: Room, user_id: str, *, later: int = 1) -> RankedList:
    """Write a newer list as another worker does."""
    ranked = room.store.lists(user_id)[HOME]
    newer = RankedList(ranked.made_at + later, ranked.items[::-1], ranked.variant, ranked.digest)
    MemoryVisitorStore.replace_lists(room.store, [Replacement(user_id, HOME, ranked.made_at, newer)])
    return newer


# -- sold out and back -----------------------------------------------------------------------------------------------------


def test_what_sells_out_leaves_every_list_and_the_reserve_is_there_already() -> None:
    room = visited()
    before = room.homes()
    gone = next(item_id for item_id in before["u"] if item_id in before["v"])
    room.stock(gone, 0)
    for user_id, ids in room.homes().items():
        assert ids == [item_id for item_id in before[user_id] if item_id != gone]
        assert len(ids) == 5
    assert room.pushed("repair") == 2
    assert room.pushed("refresh") == 0  # nothing was ranked for it


def test_what_is_back_stands_where_it_stood() -> None:
    room = visited()
    before = room.homes()
    room.stock(before["u"][0], 0)
    room.stock(before["u"][0], 5)
    assert room.homes() == before


def test_a_list_that_runs_short_is_ranked_again() -> None:
    room = visited()
    for item_id in room.knowledge.items.ids(room.matrix.get("u").rows)[:3]:  # type: ignore[union-attr]
        room.stock(item_id, 0)
    assert room.upkeep.backlog
    room.tick()
    assert all(len(ids) >= 4 for ids in room.homes().values())
    assert room.upkeep.backlog == 0


def test_a_removed_item_leaves_every_list_like_a_sold_out_one() -> None:
    room = visited()
    gone = room.home("u")[0]
    room.fact("items.catalog", gone, None)
    assert all(gone not in ids and len(ids) == 5 for ids in room.homes().values())


# -- others ----------------------------------------------------------------------------------------------------------------


def test_a_forgotten_visitor_stays_forgotten() -> None:
    room = visited()
    gone = room.home("u")[0]
    room.store.forget("u")
    room.stock(gone, 0)
    room.stock(gone, 1)
    room.campaign("c", "boost", "i7")
    room.tick()
    assert room.store.lists("u") == {}
    assert "u" not in room.matrix
    assert room.upkeep.backlog == 0


def test_a_list_that_another_worker_wrote_is_not_overwritten_and_its_visitor_is_no_longer_ours() -> None:
    room = visited()
    theirs = _writes_elsewhere(room, "u")
    room.upkeep._share = Nothing()
    room.stock(theirs.ids()[0], 0)
    assert room.store.lists("u")[HOME] == theirs
    assert "u" not in room.matrix
    assert "v" in room.matrix


def test_a_list_that_its_last_owner_wrote_late_is_not_overwritten_unseen_but_followed_and_repaired() -> None:
    room = visited()
    theirs = _writes_elsewhere(room, "u")
    gone = theirs.ids()[0]
    room.stock(gone, 0)
    assert room.home("u") == [item_id for item_id in theirs.ids() if item_id != gone]  # what we held of it was old
    assert room.upkeep.backlog == 0  # it is long enough without
    for item_id in theirs.ids()[1:3]:
        room.stock(item_id, 0)
    assert room.upkeep.backlog == 1  # who else was ranked is their last owner's knowledge
    room.tick()
    assert gone not in room.home("u")
    assert len(room.home("u")) >= 4
    assert room.upkeep.backlog == 0


def test_a_visitor_who_comes_back_from_another_worker_is_known_by_the_list_that_stands() -> None:
    """What was remembered from before would hide which items the list holds now."""
    room = visited()
    theirs = _writes_elsewhere(room, "u")
    room.upkeep.adopt()
    room.tick()
    assert room.pushed("refresh") == 0
    room.stock(theirs.ids()[0], 0)
    assert theirs.ids()[0] not in room.home("u")


def _restart(room: Room) -> None:
    """Let a worker that knows the shop and no visitor take over all lists."""
    told = room.knowledge.items
    gone = [told.id(row) for row in range(len(told)) if not told.available[row]]
    room.start()
    room.items([f"i{n}" for n in range(12)])
    for item_id in gone:
        room.stock(item_id, 0)
    room.upkeep.adopt()


def test_adopted_lists_are_known_as_they_stand_and_repaired_from_then_on_and_nothing_is_ranked_for_it() -> None:
    room = visited()
    made, before = room.homes(), room.store.image()
    _restart(room)
    room.tick()
    assert room.store.image() == before
    assert set(room.matrix.users()) == {"u", "v"}
    gone = made["u"][0]
    room.stock(gone, 0)
    assert gone not in room.home("u")
    room.stock(gone, 5)
    assert room.homes() == made
    assert room.pushed("refresh") == 0


def test_what_sold_out_while_nobody_kept_a_list_leaves_it_when_it_is_adopted() -> None:
    room = visited()
    gone = room.home("u")[0]
    kept = {user_id: [item_id for item_id in ids if item_id != gone] for user_id, ids in room.homes().items()}
    room.outage.begin("patch_lists", times=2)
    with pytest.raises(StoreUnavailable):
        room.stock(gone, 0)
    room.outage.begin("patch_lists", times=0)
    _restart(room)
    room.upkeep.tick(0.0)
    assert {user_id: ids[:3] for user_id, ids in room.homes().items()} == {user_id: ids[:3] for user_id, ids in kept.items()}
    room.tick()
    assert {len(ids) for ids in room.homes().values()} == {5}


@pytest.mark.parametrize("other", [{"digest": "other"}, {"items": (ListItem("unheard-of", 0.5, "new"),)}])
def test_an_adopted_list_that_this_worker_would_not_have_made_is_ranked_again(other: dict[str, Any]) -> None:
    room = visited()
    made = room.homes()
    ranked = room.store.lists("u")[HOME]
    theirs = msgspec.structs.replace(ranked, **other)
    MemoryVisitorStore.replace_lists(room.store, [Replacement("u", HOME, ranked.made_at, theirs)])
    _restart(room)
    room.tick()
    assert room.homes() == made
    assert room.store.lists("u")[HOME].digest == ranked.digest
    assert room.pushed("refresh") == 1


@pytest.mark.parametrize("when", [{"starts": 5000}, {"starts": 0, "ends": 5000}])
def test_an_adopted_list_made_before_a_campaign_began_or_ended_is_ranked_again(when: dict[str, int]) -> None:
    room = visited()
    target = next(f"i{n}" for n in range(12) if f"i{n}" not in room.home("u"))
    room.campaign("c", "boost", target, factor=1000.0, **when)
    room.at(2000)
    told = room.knowledge.campaigns.get("c")
    room.clock.advance(4000)
    _restart(room)
    room.tell("c", told)
    room.tick()
    assert (target in room.home("u")) == (when["starts"] == 5000)


def test_lists_of_visitors_that_are_not_ours_are_not_adopted() -> None:
    room = visited()
    room.share = Nothing()
    room.start()
    room.upkeep.adopt()
    room.tick()
    assert len(room.matrix) == 0


@pytest.mark.parametrize("method", ["home_values", "made_at"])
def test_an_outage_amid_an_adoption_loses_nobody(method: str) -> None:
    room = visited()
    room.start()
    room.items([f"i{n}" for n in range(12)])
    room.upkeep.adopt()
    room.outage.begin(method)
    with pytest.raises(StoreUnavailable):
        room.tick()
    room.tick()
    assert set(room.matrix.users()) == {"u", "v"}


# -- outages ---------------------------------------------------------------------------------------------------------------


def _same_as_without_outage(room: Room) -> None:
    """Hold the published lists against those of a worker that is told the whole truth at once."""
    [*users] = room.homes()
    now_ms = room.clock.now_ms()
    hidden = room.knowledge.hidden(now_ms)
    rankings = room.knowledge.rank(room.store.load(users), now_ms)
    best = {u: room.knowledge.publish(r, now_ms, hidden).ids() for u, r in zip(users, rankings, strict=True)}
    assert all(set(ids) <= set(best[u]) and len(ids) >= 4 for u, ids in room.homes().items())


def test_a_repair_that_meets_an_outage_is_done_later_though_nobody_tells_of_it_again() -> None:
    room = visited()
    gone = room.home("u")[0]
    room.outage.begin("patch_lists")
    with pytest.raises(StoreUnavailable):
        room.stock(gone, 0)
    assert gone in room.home("u")
    room.tick()
    assert all(gone not in ids for ids in room.homes().values())
    _same_as_without_outage(room)


def test_a_restock_that_meets_an_outage_is_done_later() -> None:
    room, calm = visited(), visited()
    gone = room.home("u")[0]
    for each in (room, calm):
        each.stock(gone, 0)
        each.visit(("u", Click(item_id="i1", ts=T0 + 500)), ("v", Click(item_id="i1", ts=T0 + 500)))
    calm.stock(gone, 5)
    room.outage.begin("patch_lists")
    with pytest.raises(StoreUnavailable):
        room.stock(gone, 5)
    room.tick()
    assert gone in room.home("u")
    assert room.homes() == calm.homes()


@pytest.mark.parametrize("method", ["load", "replace_lists"])
def test_an_outage_amid_many_repairs_loses_none(method: str) -> None:
    room = Room()
    for n in range(MANY):
        room.click(f"u{n}", "i1")
    room.campaign("c", "boost", "i9", factor=1000.0)
    room.outage.begin(method, after=1, times=2)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            room.tick()
        assert room.upkeep.backlog == MANY - STEP
    room.tick()
    assert {ids[0] for ids in room.homes().values()} == {"i9"}
    assert len(room.matrix) == MANY


def test_a_repair_that_was_written_but_not_answered_is_known_as_ours() -> None:
    room = visited()
    gone, other = room.home("u")[:2]
    room.outage.written_all_the_same = {"patch_lists"}
    room.outage.begin("patch_lists")
    with pytest.raises(StoreUnavailable):
        room.stock(gone, 0)
    room.outage.written_all_the_same = set()
    room.clock.advance(10)
    room.stock(other, 0)
    room.tick()
    assert {"u", "v"} == set(room.matrix.users())
    assert all(not {gone, other} & set(ids) for ids in room.homes().values())


def test_a_visit_that_was_written_but_not_answered_is_repaired_like_any_other() -> None:
    room = visited()
    event = ("u", Click(item_id="i5", ts=T0 + 500))
    room.outage.written_all_the_same = {"commit"}
    room.outage.begin("commit")
    with pytest.raises(StoreUnavailable):
        room.visit(event)
    room.outage.written_all_the_same = set()
    room.clock.advance(10)
    room.visit(event)
    before = room.store.image()
    room.visit(event)
    assert room.store.image() == before
    gone = room.home("u")[0]
    room.stock(gone, 0)
    assert gone not in room.home("u")
    assert "u" in room.matrix


def test_a_campaign_that_starts_during_an_outage_is_not_missed() -> None:
    room = visited()
    gone = room.home("u")[0]
    room.campaign("c", "exclude", gone, starts=5000)
    room.at(2000)
    room.outage.begin("patch_lists")
    with pytest.raises(StoreUnavailable):
        room.at(5000)
    room.tick()
    assert all(gone not in ids for ids in room.homes().values())


def test_however_small_the_budget_one_step_is_done() -> None:
    room = Room()
    for n in range(MANY):
        room.click(f"u{n}", "i1")
    room.campaign("c", "boost", "i9", factor=1000.0)
    room.upkeep.tick(0.0)
    assert room.upkeep.backlog == MANY - SMALLEST


# -- campaigns -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["boost", "bury", "pin", "exclude"])
def test_campaigns_start_and_end_by_the_clock_alone(action: str) -> None:
    room = visited()
    before = room.homes()
    target = before["u"][1] if action in {"bury", "exclude"} else next(f"i{n}" for n in range(12) if f"i{n}" not in before["u"])
    fields: dict[str, Any] = {"slots": (2,)} if action == "pin" else {"factor": 1000.0}
    room.campaign("c", action, target, starts=5000, ends=9000, **fields)
    room.at(4999)
    assert room.homes() == before
    room.at(5000)
    running = room.home("u")
    place = {"boost": running[:1], "pin": running[1:2]}.get(action, [])
    assert place == [item_id for item_id in running if item_id == target]
    assert (target in running) == (action in {"boost", "pin"})
    assert len(running) == 6 - (action == "exclude")
    room.at(9000)
    assert room.homes() == before


def test_a_pinned_item_that_comes_back_takes_its_slot_in_lists_that_never_held_it() -> None:
    room = visited()
    target = next(f"i{n}" for n in range(12) if f"i{n}" not in room.home("u"))
    room.stock(target, 0)
    room.campaign("c", "pin", target, slots=(2,))
    room.tick()
    assert target not in room.home("u")
    room.stock(target, 5)
    room.tick()
    assert {ids[1] for ids in room.homes().values()} == {target}


def test_a_cancelled_campaign_gives_the_lists_back() -> None:
    room = visited()
    before = room.homes()
    room.campaign("c", "exclude", before["u"][0], before["u"][1])
    room.tick()
    assert not {*before["u"][:2]} & {*room.home("u")}
    room.tell("c", None)
    room.tick()
    assert room.homes() == before


def test_an_exclusion_for_one_segment_changes_the_lists_of_that_segment() -> None:
    room = visited()
    room.click("r", "i1", "i2", "i3", "i4", "i5")
    before = room.homes()
    target = next(item_id for item_id in before["u"] if item_id in before["r"])
    room.campaign("c", "exclude", target, segment="new", starts=5000, ends=9000)
    room.at(5000)
    assert target not in room.home("u")
    assert room.home("r") == before["r"]
    room.at(9000)
    assert room.homes() == before


def test_an_item_that_moves_into_an_excluded_category_leaves_the_lists() -> None:
    room = visited()
    target = room.home("u")[0]
    room.campaign("c", "exclude", targets=Targets(categories=("outlet",)))
    room.at(2000)
    room.items([target], category="outlet", ts=T0 + 2000)
    room.at(4000)
    assert all(target not in ids for ids in room.homes().values())


# -- bounds ----------------------------------------------------------------------------------------------------------------


def test_who_waits_to_be_ranked_is_bounded_by_the_matrix() -> None:
    room = Room(max_visitors=5)
    for n in range(60):
        room.click(f"u{n}", "i1")
    room.start()
    room.items([f"i{n}" for n in range(12)])
    room.campaign("c", "boost", "i9", factor=1000.0)
    room.upkeep.adopt()
    room.tick()
    room.upkeep.adopt()
    room.tick()
    assert len(room.matrix) == 5
    assert room.upkeep.backlog == 0
    assert len(room.upkeep._dirty._batch_of) <= 10


# -- a store that lost data ------------------------------------------------------------------------------------------------


def test_visitors_whose_lists_are_lost_do_not_return_from_memory() -> None:
    """They may have been forgotten meanwhile; their next event brings them back."""
    room = visited()
    room.store.forget("u")
    room.upkeep.adopt()
    room.tick()
    assert "u" not in room.matrix
    room.stock(room.home("v")[0], 0)
    room.tick()
    assert list(room.homes()) == ["v"]
    room.click("u", "i2")
    assert list(room.homes()) == ["v", "u"]


def test_lists_that_stand_as_we_know_them_are_not_ranked_again_when_data_was_lost() -> None:
    room = visited()
    room.upkeep.adopt()
    room.tick()
    gone = room.home("u")[0]
    room.stock(gone, 0)
    assert gone not in room.home("u")
    assert room.pushed("refresh") == 0


def test_an_older_list_that_came_back_with_a_snapshot_is_ranked_again_and_repaired_from_then_on() -> None:
    room = visited()
    _writes_elsewhere(room, "u", later=-500)
    room.upkeep.adopt()
    room.tick()
    assert room.store.lists("u")[HOME].made_at == room.clock.now_ms()
    gone = room.home("u")[0]
    room.stock(gone, 0)
    assert gone not in room.home("u")


def test_lists_of_others_are_not_known_after_a_loss() -> None:
    room = visited()
    room.upkeep._share = Nothing()
    room.upkeep.adopt()
    room.tick()
    assert len(room.matrix) == room.upkeep.backlog == 0
