"""A snapshot is there whole or not at all, and one that is not what was written is refused."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from streamrec.errors import SnapshotError
from streamrec.snapshot import SnapshotFolder
from streamrec.snapshot.manifest import NAME, read_manifest, verify_files
from tests.unit.recommender.rooms import Room
from tests.unit.snapshot.parts import OFFSETS, ORIGIN, write


def check(path: Path) -> None:
    verify_files(path, read_manifest(path))


def names(folder: SnapshotFolder) -> list[str]:
    return [path.name for path in folder.all()]


def test_what_is_written_passes_its_own_check_and_says_where_it_stands(tmp_path: Path) -> None:
    path = write(SnapshotFolder(tmp_path / "new"), Room(3).knowledge)
    check(path)
    manifest = read_manifest(path)
    assert manifest.next_offsets == OFFSETS
    assert manifest.size == sum(file.stat().st_size for file in path.rglob("*") if file.is_file() and file.name != NAME)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(SnapshotFolder(tmp_path_factory.mktemp("written")), Room(3).knowledge)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_snapshot_that_was_cut_or_changed_at_any_byte_is_refused(written: Path, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(file for file in written.rglob("*") if file.is_file())))
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    torn = (
        whole[:at]
        if data.draw(st.booleans())
        else whole[:at] + bytes([whole[at] ^ 1 << data.draw(st.integers(0, 7))]) + whole[at + 1 :]
    )
    path.write_bytes(torn)
    try:
        with pytest.raises(SnapshotError, match="nothing is lost") as refused:
            check(written)
        assert refused.value.kind in {"torn", "format"}
    finally:
        path.write_bytes(whole)
    check(written)


@pytest.mark.parametrize("change", [lambda path: path.unlink(), lambda path: path.with_name("more").write_bytes(b"")])
def test_a_file_that_is_missing_or_too_many_is_refused(tmp_path: Path, change: Callable[[Path], object]) -> None:
    path = write(SnapshotFolder(tmp_path), Room(3).knowledge)
    change(next(file for file in (path / "index").iterdir()))
    with pytest.raises(SnapshotError, match="missing or too many"):
        check(path)


def test_another_format_is_refused_whatever_else_it_holds(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(msgspec.json.encode({"format": 2, "everything": "else"}))
    with pytest.raises(SnapshotError, match="has format 2, this version reads 1") as refused:
        read_manifest(tmp_path)
    assert refused.value.kind == "format"


def test_the_newest_are_kept_and_the_rest_goes(tmp_path: Path) -> None:
    folder = SnapshotFolder(tmp_path, keep=2)
    assert (folder.all(), folder.newest_at()) == ([], 0)
    for made_at in (9, 10, 11):
        write(folder, Room(2).knowledge, made_at)
    assert names(folder) == ["snapshot-11", "snapshot-10"]
    assert folder.newest_at() == 11


def test_one_writes_at_a_time(tmp_path: Path) -> None:
    folder = SnapshotFolder(tmp_path)
    with folder.locked() as first:
        assert first is not None
        with folder.locked() as second:
            assert second is None
    with folder.locked() as third:
        assert third is not None


def test_a_folder_that_cannot_be_made_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SnapshotError, match="STREAMREC_SNAPSHOT__DIR"), SnapshotFolder(tmp_path / "file" / "x").locked():
        pytest.fail("it was not refused")


def _tiny(folder: Path) -> None:
    (folder / "index").mkdir()
    for name in ("a", "index/b"):
        (folder / name).write_bytes(b"content")


SEEN_BY_THE_DISK = {"mkdir", "rename", "fsync", "open", "write", "close", "unlink", "rmdir"}


def _killed_after(steps: int, folder: SnapshotFolder, made_at: int) -> bool:
    """Write a snapshot in a process that dies at its so-many-th call that the disk sees; tell whether it died."""
    pid = os.fork()
    if pid == 0:
        left = steps

        def count(_: Any, event: str, function: Any) -> None:
            nonlocal left
            if event == "c_call" and function.__name__ in SEEN_BY_THE_DISK:
                left -= 1
                if left < 0:
                    os._exit(9)

        with folder.locked():
            sys.setprofile(count)
            folder.write(ORIGIN.manifest(made_at, OFFSETS), _tiny)
            sys.setprofile(None)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_killed_between_any_two_steps_the_older_one_or_the_new_one_is_whole_and_nothing_else_has_the_name(tmp_path: Path) -> None:
    folder = SnapshotFolder(tmp_path, keep=1)
    with folder.locked():
        folder.write(ORIGIN.manifest(1, OFFSETS), _tiny)
    steps, made_at, seen = 0, 1, set()
    while _killed_after(steps, folder, made_at + 1):
        assert folder.all()
        for path in folder.all():
            check(path)
        seen.add(folder.newest_at() - made_at)
        made_at = folder.newest_at()
        steps += 1
    assert seen == {0, 1}  # some died before the new one had its name, some after
    assert names(folder) == [f"snapshot-{made_at + 1}"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", f"snapshot-{made_at + 1}"]
