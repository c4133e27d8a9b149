"""What is sold out keeps its place in a list that is ranked anew meanwhile, and a restock finds it there."""

from __future__ import annotations

from streamrec.events import Click, Order, OrderLine
from streamrec.events.topics import CATALOG
from tests.unit.recommender.rooms import T0, visited


def test_a_list_that_was_ranked_while_an_item_was_gone_kept_its_place_and_gets_it_back_with_the_restock() -> None:
    room = visited()
    gone = room.home("u")[0]
    room.stock(gone, 0)
    room.visit(("u", Click(item_id="i1", ts=T0 + 500)))
    assert gone not in room.home("u")
    pushed = room.pushed("refresh")
    room.stock(gone, 5)
    assert gone in room.home("u")
    assert room.pushed("refresh") == pushed  # nothing was ranked for it


def test_places_that_are_kept_change_nothing_of_what_is_seen() -> None:
    room = visited()
    room.campaign("c", "pin", "i9", slots=(2,), segment="new")
    room.tick()
    room.stock(room.home("u")[0], 0)
    room.visit(("u", Click(item_id="i1", ts=T0 + 500)))
    now_ms = room.clock.now_ms()
    [fresh] = room.knowledge.rank(room.store.load(["u"]), now_ms)
    seen = room.home("u")
    assert len(room.matrix.get("u").rows) == len(seen) + 1  # type: ignore[union-attr]
    assert seen == room.knowledge.publish(fresh, now_ms, room.knowledge.hidden(now_ms)).ids()[: len(seen)]
    assert seen[1] == "i9"


def test_what_the_visitor_bought_last_keeps_no_place() -> None:
    room = visited()
    bought = room.home("u")[0]
    room.stock(bought, 0)
    room.visit(("u", Order(lines=(OrderLine(item_id=bought),), ts=T0 + 500)))
    room.stock(bought, 5)
    assert bought not in room.home("u")
    assert bought in room.home("v")


def test_what_the_catalogue_removed_or_a_segment_may_not_see_keeps_no_place() -> None:
    room = visited()
    removed, kept_from_some = room.home("u")[:2]
    room.fact(CATALOG, removed, None)
    room.stock(kept_from_some, 0)
    room.campaign("c", "exclude", kept_from_some, segment="new")
    room.tick()
    room.visit(("u", Click(item_id="i1", ts=T0 + 500)))
    assert not {removed, kept_from_some} & set(room.knowledge.items.ids(room.matrix.get("u").rows))  # type: ignore[union-attr]


def test_what_is_pinned_is_back_in_its_slot_without_a_ranking() -> None:
    room = visited()
    room.campaign("c", "pin", "i9", slots=(2,))
    room.tick()
    room.stock("i9", 0)
    room.visit(("u", Click(item_id="i1", ts=T0 + 500)))
    assert "i9" not in room.home("u")
    room.stock("i9", 5)
    assert room.home("u")[1] == "i9"
