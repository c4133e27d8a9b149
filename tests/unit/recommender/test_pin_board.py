"""What readers are told ahead of pins: all that they can judge, and nothing that depends on what they cannot know."""

from __future__ import annotations

from typing import Any

import pytest

from streamrec.lists.pins import MemoryPinStore, TimedPin, unpack_pins
from streamrec.recommender.pin_board import RELOOK_MS, PinBoard
from tests.unit.recommender.rooms import T0, Nothing, Room

Told = list[tuple[int, str, int, int]]


class Board:
    """A room whose pins are told to readers."""

    def __init__(self, *, max_pins: int = 100) -> None:
        self.room, self.store = Room(8), MemoryPinStore()
        self.board = PinBoard(self.room.knowledge, self.store, self.room.share, self.room.clock, max_pins=max_pins)

    def pin(self, name: str, *ids: str, slots: tuple[int, ...] = (1,), starts: int = 0, ends: int = 9000, **fields: Any) -> None:
        self.room.campaign(name, "pin", *ids, slots=slots, starts=starts, ends=ends, **fields)

    def at(self, ms: int) -> Told:
        """Return (slot, item, start, end) of each pin that is told at ``ms`` after T0."""
        self.room.clock.advance(T0 + ms - self.room.clock.now_ms())
        self.board.tick()
        return [(p.slot, p.id, p.starts_at - T0, p.ends_at - T0) for p in unpack_pins(self.store.value)]


def test_running_and_coming_pins_are_told_ahead_by_slot_then_campaign_then_item() -> None:
    board = Board()
    assert board.at(0) == []
    board.pin("b", "i1", "i2", slots=(3, 1), starts=5000)
    board.pin("a", "i3", "i4", slots=(3,))
    assert board.at(0) == [(1, "i1", 5000, 9000), (3, "i3", 0, 9000), (3, "i4", 0, 9000), (3, "i2", 5000, 9000)]


def test_what_ended_or_was_cancelled_is_told_no_more_and_then_there_is_no_value() -> None:
    board = Board()
    board.pin("a", "i1", ends=100)
    board.pin("b", "i2", slots=(2,))
    assert [pin[1] for pin in board.at(0)] == ["i1", "i2"]
    assert [pin[1] for pin in board.at(RELOOK_MS)] == ["i2"]
    board.room.tell("b", None)
    assert board.at(RELOOK_MS + 1) == []
    assert board.store.value is None


def test_an_item_that_is_not_in_the_catalogue_yet_is_told_within_a_second_of_its_listing() -> None:
    board = Board()
    board.pin("a", "i9")
    assert board.at(0) == []
    board.room.items(["i9"])
    assert [pin[1] for pin in board.at(RELOOK_MS)] == ["i9"]


@pytest.mark.parametrize(
    "rival",
    [
        {"action": "pin", "ids": ("i5",), "slots": (1,), "segment": "new"},
        {"action": "pin", "ids": ("i1",), "slots": (3,), "segment": "buyers"},
        {"action": "exclude", "ids": ("i1",), "segment": "returning"},
    ],
)
def test_a_pin_that_a_segment_sees_otherwise_is_left_to_ranking_and_so_is_what_depends_on_it(rival: dict[str, Any]) -> None:
    board = Board()
    board.pin("a", "i1", slots=(1,), ends=500)
    board.pin("b", "i2", slots=(1,), ends=500)
    board.pin("c", "i2", slots=(4,), ends=500)
    board.pin("later", "i1", slots=(1,), starts=500)
    board.pin("apart", "i3", slots=(2,))
    rival = dict(rival)
    board.room.campaign("z", rival.pop("action"), *rival.pop("ids"), ends=500, **rival)
    assert board.at(0) == [(1, "i1", 500, 9000), (2, "i3", 0, 9000)]


def test_slots_behind_the_lists_end_and_shops_that_hide_opened_items_are_left_to_ranking() -> None:
    board = Board()
    board.pin("a", "i1", "i2", slots=(4, 5))
    assert [pin[:2] for pin in board.at(0)] == [(4, "i1")]
    board.room.knowledge.ranker.settings = board.room.settings.ranking.model_copy(update={"hide_seen": ("home",)})
    assert board.at(RELOOK_MS) == []


def test_without_room_for_all_the_first_to_start_are_told_until_another_would_begin() -> None:
    board = Board(max_pins=2)
    board.pin("a", "i1", starts=100)
    board.pin("b", "i2", slots=(2,))
    board.pin("c", "i3", starts=200)
    assert board.at(0) == [(1, "i1", 100, 200), (2, "i2", 0, 200)]
    assert [pin[:2] for pin in board.at(RELOOK_MS)] == [(1, "i1"), (1, "i3")]  # of those that run, the lowest slots


def test_only_who_leads_tells_and_what_was_lost_is_told_again() -> None:
    board = Board()
    board.pin("a", "i1")
    board.at(0)
    board.store.put([TimedPin(1, "other", "x", T0, T0 + 1)])
    assert [pin[1] for pin in board.at(RELOOK_MS - 1)] == ["other"]
    assert [pin[1] for pin in board.at(RELOOK_MS)] == ["i1"]
    board.board._share = Nothing()
    board.store.value = None
    assert board.at(5 * RELOOK_MS) == []
