"""Where snapshots lie: each appears at once or not at all, the newest few are kept, and what a crash left is cleaned away."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from streamrec.errors import SnapshotError
from streamrec.snapshot.manifest import Manifest, note_files, sync, write_manifest

_PREFIX: Final = "snapshot-"
#: Folders that are nobody's once the lock is free: being written, being removed.
_WRITING, _REMOVING = ".writing-", ".removing-"
_LOCK: Final = ".lock"


class SnapshotFolder:
    """A folder of ``snapshot-<made_at>`` folders, of which ``keep`` stay; several workers may share it, one at a time writes."""

    def __init__(self, path: Path, keep: int = 2) -> None:
        self.path = path
        self._keep = keep

    def all(self) -> list[Path]:
        """Return the snapshots, newest first, none where the folder does not exist."""
        return sorted(self.path.glob(f"{_PREFIX}*"), key=_made_at, reverse=True)

    def newest_at(self) -> int:
        """Return when the newest was made, ms since the epoch, 0 if there is none."""
        return max(map(_made_at, self.all()), default=0)

    @contextmanager
    def locked(self) -> Iterator[int | None]:
        """Give the lock's file descriptor, None while another process writes.

        A lock dies with the last process that holds its descriptor, so a forked child that inherits it keeps it.

        Raises SnapshotError (unwritable).
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.path / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            msg = f"{self.path} cannot be written ({error}); give the worker the right to, or correct STREAMREC_SNAPSHOT__DIR"
            raise SnapshotError("unwritable", msg) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            yield None
            return
        try:
            yield lock
        finally:
            os.close(lock)

    def write(self, manifest: Manifest, fill: Callable[[Path], None]) -> Path:
        """Write a snapshot of what ``fill`` writes and remove the oldest; only under the lock.

        Files, manifest and folders are on the disk before the name is there: what has the name is whole.
        """
        self.clean()
        draft, final = self.path / f"{_WRITING}{manifest.made_at}", self.path / f"{_PREFIX}{manifest.made_at}"
        draft.mkdir()
        fill(draft)
        write_manifest(draft, msgspec.structs.replace(manifest, files=note_files(draft)))
        for folder in (*(path for path in draft.rglob("*") if path.is_dir()), draft):
            sync(folder)
        draft.rename(final)
        sync(self.path)
        self._prune()
        return final

    def clean(self) -> None:
        """Remove what a crash left; only under the lock."""
        for prefix in (_WRITING, _REMOVING):
            for left in self.path.glob(f"{prefix}*"):
                shutil.rmtree(left, ignore_errors=True)

    def _prune(self) -> None:
        for old in self.all()[self._keep :]:
            # A snapshot that is half removed would look torn.
            gone = old.rename(self.path / f"{_REMOVING}{_made_at(old)}")
            shutil.rmtree(gone, ignore_errors=True)


def _made_at(path: Path) -> int:
    made_at = path.name.removeprefix(_PREFIX)
    return int(made_at) if made_at.isdecimal() else 0
