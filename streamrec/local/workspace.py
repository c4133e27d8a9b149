"""A temporary folder that goes when its owner goes, also when the owner was killed.

Each folder holds a locked file. A lock dies with its process, so whoever makes the next folder can tell the abandoned ones
and removes them.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
import weakref
from pathlib import Path
from typing import Final

_PREFIX: Final = "streamrec-local-"
_LOCK: Final = "owner.lock"
#: A folder this young may not have been locked by its maker yet.
_GRACE_S: Final = 60.0


class Workspace:
    """One such folder; ``close`` removes it, and so does the end of the interpreter."""

    def __init__(self) -> None:
        sweep()
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        lock = os.open(self.path / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        self._finalizer = weakref.finalize(self, _remove, self.path, lock, os.getpid())

    def close(self) -> None:
        """Remove the folder; a second call does nothing."""
        self._finalizer()


def _remove(path: Path, lock: int, owner_pid: int) -> None:
    os.close(lock)
    if os.getpid() == owner_pid:  # a forked copy of the interpreter owns nothing
        shutil.rmtree(path, ignore_errors=True)


def sweep(grace_s: float = _GRACE_S) -> list[Path]:
    """Remove the folders whose owners are dead and return them."""
    abandoned = [path for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*") if _is_abandoned(path, grace_s)]
    for path in abandoned:
        shutil.rmtree(path, ignore_errors=True)
    return abandoned


def _is_abandoned(path: Path, grace_s: float) -> bool:
    try:
        if time.time() - path.stat().st_mtime < grace_s:
            return False
        with (path / _LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return path.is_dir()  # old, and its maker died before it made the lock
    except OSError:
        return False  # locked by a living owner, or not ours to read
    return True
