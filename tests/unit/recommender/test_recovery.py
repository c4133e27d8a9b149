"""What is written again when the store lost data, and when it is looked."""

from __future__ import annotations

import pytest

from streamrec.errors import StoreUnavailable
from streamrec.lists import keys
from streamrec.lists.continuity import Found
from streamrec.recommender.recovery import LOOK_MS, Recovery
from tests.unit.recommender.rooms import Room


class Fate:
    """Says of the store what a test wants."""

    def __init__(self) -> None:
        self.found: Found = "same"
        self.looks = 0

    def look(self) -> Found:
        self.looks += 1
        found, self.found = self.found, "same"
        return found


def _recovering() -> tuple[Room, Fate, Recovery]:
    room, fate = Room(), Fate()
    room.click("u", "i1")
    room.tick()
    recovery = Recovery(fate, room.upkeep, room.fallbacks, room.clock, room.observer)
    recovery.tick()
    return room, fate, recovery


def test_it_is_looked_once_a_second() -> None:
    room, fate, recovery = _recovering()
    recovery.tick()
    assert fate.looks == 1
    room.clock.advance(LOOK_MS)
    recovery.tick()
    assert fate.looks == 2


@pytest.mark.parametrize("found", ["restarted", "emptied"])
def test_lists_are_pushed_again_and_visitors_are_looked_at_again(found: Found) -> None:
    room, fate, recovery = _recovering()
    room.lists.delete(list(room.lists._values))
    room.store.forget("u")
    fate.found = found
    room.clock.advance(LOOK_MS)
    recovery.tick()
    room.tick()
    assert room.lists.get([keys.trending(), keys.similar("i0")]) != [None, None]
    assert len(room.matrix) == 0
    assert room.homes() == {}
    assert room.observer.counts["store_losses", found] == 1


def test_nothing_is_written_again_while_nothing_was_lost() -> None:
    room, _, recovery = _recovering()
    room.clock.advance(LOOK_MS)
    recovery.tick()
    assert room.fallbacks.backlog == 0
    assert "u" in room.matrix


def test_an_outage_amid_the_recovery_does_not_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    room, fate, recovery = _recovering()
    fate.found = "emptied"
    room.clock.advance(LOOK_MS)

    def away() -> None:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(room.upkeep, "adopt", away)
        with pytest.raises(StoreUnavailable):
            recovery.tick()
    assert room.fallbacks.backlog == 0
    recovery.tick()
    assert room.fallbacks.backlog == 12
