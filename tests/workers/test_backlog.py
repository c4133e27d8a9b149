"""What waits: how many records, since when, and how little of that is remembered."""

from __future__ import annotations

from workers.transport.backlog import MOMENTS, Backlog

A, B = ("t", 0), ("t", 1)


def test_records_wait_from_when_their_partitions_end_was_seen_until_they_are_handled() -> None:
    backlog = Backlog()
    backlog.look(A, 10, 10, 0.0)
    assert (backlog.records, backlog.ages_s(5.0)) == ({A: 0}, {A: 0.0})
    backlog.ends({A: 12}, 7.0)
    backlog.ends({A: 20}, 9.0)
    assert (backlog.records, backlog.ages_s(10.0)) == ({A: 10}, {A: 3.0})
    backlog.done({A: 12})
    assert (backlog.records, backlog.ages_s(10.0)) == ({A: 8}, {A: 1.0})
    backlog.done({A: 20})
    assert (backlog.records, backlog.ages_s(99.0)) == ({A: 0}, {A: 0.0})


def test_what_was_delivered_and_is_not_done_waits() -> None:
    backlog = Backlog()
    backlog.look(A, -1, 10, 0.0)
    backlog.look(A, 10, 10, 1.0, lambda: 4)
    assert backlog.records[A] == 6
    assert backlog.ages_s(3.0)[A] == 2.0
    backlog.done({A: 10})
    assert (backlog.records[A], backlog.ages_s(4.0)[A]) == (0, 0.0)


def test_a_partition_of_which_nothing_was_delivered_waits_when_it_grows() -> None:
    """A reader that fetches nothing must not look as if there were nothing."""
    backlog = Backlog()
    backlog.look(A, -1001, -1, 0.0)
    backlog.ends({A: 50}, 1.0)
    assert backlog.records[A] == 0
    backlog.ends({A: 51}, 2.0)
    assert (backlog.records[A], backlog.ages_s(9.0)[A]) == (1, 7.0)


def test_what_is_read_again_waits_anew_and_not_since_it_was_written() -> None:
    backlog = Backlog()
    backlog.look(A, 10, 10, 0.0)
    backlog.look(A, 2, 10, 100.0)
    assert (backlog.records[A], backlog.ages_s(101.0)[A]) == (8, 1.0)


def test_a_topic_that_was_made_anew_does_not_lag_by_its_old_end() -> None:
    backlog = Backlog()
    backlog.look(A, 1000, 1000, 0.0)
    backlog.look(A, 3, 3, 1.0)
    assert (backlog.records, backlog.ages_s(9.0)) == ({A: 0}, {A: 0.0})


def test_partitions_that_are_somebody_elses_are_forgotten() -> None:
    backlog = Backlog()
    for place in (A, B):
        backlog.look(place, 0, 5, 0.0)
    backlog.keep([B])
    backlog.ends({A: 9, B: 9}, 1.0)
    assert backlog.records == {B: 9}


def test_a_long_wait_takes_no_more_memory_and_keeps_its_age() -> None:
    backlog = Backlog()
    backlog.look(A, 0, 0, 0.0)
    for second in range(1, 20 * MOMENTS):
        backlog.ends({A: second}, float(second))
    assert len(backlog._partitions[A].seen) <= MOMENTS + 1
    assert backlog.ages_s(20.0 * MOMENTS)[A] == 20.0 * MOMENTS - 1
    backlog.done({A: 10 * MOMENTS})
    age = backlog.ages_s(20.0 * MOMENTS)[A]
    assert 8 * MOMENTS <= age <= 10 * MOMENTS  # coarser, and never older than the truth
