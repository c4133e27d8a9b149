"""Snapshots are taken by a child, when due, and never at the worker's cost."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from streamrec.clock import ManualClock
from streamrec.events.topics import CATALOG
from streamrec.observe import Memory
from streamrec.snapshot import SnapshotFolder, Snapshots
from streamrec.snapshot.fork import Child, Ended
from streamrec.snapshot.manifest import read_manifest, verify_files
from tests.unit.recommender.rooms import T0, Room
from tests.unit.snapshot.parts import ORIGIN, fill

MINUTE = 60_000


def _ended(child: Child) -> Ended:
    while (ended := child.poll()) is None:
        time.sleep(0.005)
    return ended


def _child(work: Callable[[], object], timeout_s: int = 60, keep: int = 0) -> Child:
    return Child(work, timeout_s, keep)


def test_a_child_does_its_work_on_a_copy(tmp_path: Path) -> None:
    seen = ["before"]
    child = _child(lambda: (tmp_path / "said").write_text(seen[0]))
    seen[0] = "after"
    assert _ended(child) == Ended("")
    assert (tmp_path / "said").read_text() == "before"


def test_what_goes_wrong_in_a_child_is_told_and_stays_there() -> None:
    def fail() -> None:
        raise OSError(28, "No space left on device")

    assert "No space left on device" in _ended(_child(fail)).error
    assert _ended(_child(lambda: os._exit(3))).error == "ended with status 3"


def test_a_child_that_takes_too_long_ends_by_itself() -> None:
    assert _ended(_child(lambda: time.sleep(60), timeout_s=1)).error == "took longer than 1 s"


def test_a_child_holds_no_file_or_socket_but_the_lock() -> None:
    mine, theirs = os.pipe()
    kept, other = os.pipe()

    def look() -> None:
        os.fstat(kept)
        os.fstat(theirs)

    assert "Bad file descriptor" in _ended(_child(look, keep=kept)).error
    for opened in (mine, theirs, kept, other):
        os.close(opened)


class Taking:
    """A shop whose snapshots are taken, on a clock of ours."""

    def __init__(self, path: Path, dump: Callable[[Path], None] | None = None) -> None:
        self.clock, self.observer, self.folder = ManualClock(T0), Memory(), SnapshotFolder(path)
        self.applied, self.may = {(CATALOG, 0): 1}, True
        self.snapshots = Snapshots(
            self.folder,
            dump or fill(Room(3).knowledge),
            ORIGIN.manifest,
            lambda: self.applied,
            {},
            may=lambda: self.may,
            interval_s=60,
            max_age_s=3600,
            timeout_s=60,
            clock=self.clock,
            observer=self.observer,
        )

    def after(self, ms: int) -> int:
        """Return how many there are in all once it is ``ms`` later and what is due is done."""
        self.clock.advance(ms)
        self.snapshots.tick()
        while self.snapshots._child is not None:
            self.snapshots.tick()
            time.sleep(0.005)
        return self.observer.counts["snapshots", "written"]


def test_one_is_taken_every_interval_while_anything_changes_and_stands_for_what_was_applied(tmp_path: Path) -> None:
    taking = Taking(tmp_path)
    assert taking.after(0) == 1
    taking.applied[CATALOG, 0] = 9
    assert taking.after(MINUTE - 1) == 1
    assert taking.after(1) == 2
    newest = taking.folder.all()[0]
    verify_files(newest, read_manifest(newest))
    assert read_manifest(newest).next_offsets == {(CATALOG, 0): 9}
    assert taking.snapshots.newest_at == taking.folder.newest_at() == T0 + MINUTE
    assert {name for name, _ in taking.observer.times} == {"snapshot", "snapshot fork"}


def test_none_is_taken_while_nothing_changes_until_the_last_is_half_as_old_as_may_be(tmp_path: Path) -> None:
    taking = Taking(tmp_path)
    assert [taking.after(ms) for ms in (0, 5 * MINUTE, 25 * MINUTE, MINUTE)] == [1, 1, 1, 2]


def test_none_is_begun_while_it_may_not_be_and_one_as_soon_as_it_may(tmp_path: Path) -> None:
    taking = Taking(tmp_path)
    taking.may = False
    assert taking.after(MINUTE) == 0
    taking.may = True
    assert taking.after(1) == 1


def test_a_worker_that_starts_again_writes_none_before_the_last_ones_time_is_over(tmp_path: Path) -> None:
    assert Taking(tmp_path).after(0) == 1
    assert [Taking(tmp_path).after(ms) for ms in (MINUTE // 2, MINUTE)] == [0, 1]


def test_while_another_worker_writes_none_is_taken(tmp_path: Path) -> None:
    taking = Taking(tmp_path)
    with taking.folder.locked():
        assert taking.after(0) == 0
    assert taking.after(MINUTE) == 1


def test_one_that_fails_is_counted_leaves_the_older_one_and_is_tried_again(tmp_path: Path) -> None:
    assert Taking(tmp_path).after(0) == 1

    def fail(folder: Path) -> None:
        (folder / "half").write_bytes(b"x")
        raise OSError(28, "No space left on device")

    failing = Taking(tmp_path, fail)
    failing.clock.advance(MINUTE)
    assert [failing.after(0), failing.after(MINUTE)] == [0, 0]
    assert failing.observer.counts["snapshots", "failed"] == 2
    [old] = failing.folder.all()
    verify_files(old, read_manifest(old))


@pytest.mark.parametrize("readers", [1, 3])
def test_the_child_keeps_the_lock_until_it_ends(tmp_path: Path, readers: int) -> None:
    folder = SnapshotFolder(tmp_path)
    with folder.locked() as lock:
        assert lock is not None
        child = _child(lambda: time.sleep(0.2), keep=lock)
    for _ in range(readers):
        with folder.locked() as second:
            assert second is None
    _ended(child)
    with folder.locked() as third:
        assert third is not None
