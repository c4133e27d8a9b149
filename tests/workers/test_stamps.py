"""Where a member of a group starts, and what it may stamp, when Redis keeps, loses or brings back data."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from streamrec.errors import StoreUnavailable
from streamrec.lists.progress import MemoryProgress, Place, Standing
from workers.transport.stamps import Stamps

A, B = ("items.stock", 0), ("items.stock", 1)


def _placed(progress: MemoryProgress, committed: int = 100, stamp: int = 100) -> Stamps:
    progress.offsets[A] = stamp
    stamps = Stamps(progress, "beginning")
    stamps.place({A: committed})
    return stamps


@pytest.mark.parametrize(("committed", "stamp", "start"), [(9, 5, 5), (5, 9, 5), (None, 5, None)])
def test_the_earlier_of_stamp_and_commit_counts(committed: int | None, stamp: int, start: int | None) -> None:
    progress = MemoryProgress()
    progress.offsets[A] = stamp
    assert Stamps(progress, "committed").place({A: committed}) == {A: start}
    assert progress.offsets == {A: start or 0}


def test_without_a_stamp_facts_are_read_from_the_beginning_and_events_from_where_the_group_was() -> None:
    assert Stamps(MemoryProgress(), "beginning").place({A: 9}) == {A: None}
    assert Stamps(MemoryProgress(), "committed").place({A: 9, B: None}) == {A: 9, B: None}


def test_what_is_done_is_stamped_and_only_upwards() -> None:
    progress = MemoryProgress()
    stamps = _placed(progress)
    assert stamps.save({A: 120})
    assert stamps.save({A: 110})
    assert progress.offsets == {A: 120}


@pytest.mark.parametrize("kept", [{}, {A: 40}, {A: 100}])
def test_after_a_crash_of_redis_nothing_is_stamped_before_it_was_placed_again(kept: dict[Place, int]) -> None:
    """Also where the stamp survived: effects that came after it may not have."""
    progress = MemoryProgress()
    stamps = _placed(progress)
    progress.lose(kept)
    assert not stamps.save({A: 120})
    assert not stamps.is_placed(A)
    assert progress.offsets == kept
    assert stamps.place({A: 100}) == {A: kept.get(A)}
    assert stamps.save({A: 120})


def test_an_idle_member_notices_that_redis_was_emptied_in_the_same_run() -> None:
    progress = MemoryProgress()
    stamps = _placed(progress)
    stamps.check()
    assert stamps.is_placed(A)
    progress.offsets.clear()  # FLUSHALL
    stamps.check()
    assert not stamps.is_placed(A)


def test_a_partition_placed_after_a_crash_says_nothing_of_those_placed_before() -> None:
    progress = MemoryProgress()
    stamps = _placed(progress)
    progress.lose({A: 100})
    stamps.place({B: 3})
    assert stamps.is_placed(B)
    assert not stamps.is_placed(A)


def test_a_stamp_that_another_member_raised_is_no_loss() -> None:
    progress = MemoryProgress()
    stamps = _placed(progress)
    progress.offsets[A] = 200
    stamps.check()
    assert stamps.is_placed(A)
    assert stamps.save({A: 150})
    assert progress.offsets == {A: 200}


def test_a_forgotten_partition_is_not_looked_at() -> None:
    progress = MemoryProgress()
    stamps = _placed(progress)
    stamps.forget([A, B])
    progress.lose()
    stamps.check()
    assert not stamps.is_placed(A)


class Emptied(MemoryProgress):
    """Is emptied between every look and the writing that follows it, so many times."""

    times = 0

    def save(self, known: Standing, offsets: Mapping[Place, int]) -> bool:
        if self.times > 0:
            self.times -= 1
            self.lose()
        return super().save(known, offsets)


def test_what_is_lost_while_placing_is_not_covered_by_a_fresh_stamp() -> None:
    progress = Emptied()
    progress.offsets[A] = 100
    progress.times = 1
    stamps = Stamps(progress, "beginning")
    assert stamps.place({A: 100}) == {A: None}
    progress.times = 1000
    with pytest.raises(StoreUnavailable, match="is another system writing"):
        stamps.place({A: 100})
