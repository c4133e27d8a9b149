"""Takes snapshots while the worker goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import structlog

from streamrec.clock import Clock
from streamrec.errors import SnapshotError
from streamrec.observe import Observer
from streamrec.snapshot.folder import SnapshotFolder
from streamrec.snapshot.fork import Child
from streamrec.snapshot.manifest import Manifest
from streamrec.snapshot.origin import Place

log = structlog.get_logger(__name__)

#: Where nothing changed a snapshot is still renewed before it is too old to be used.
_RENEW: Final = 0.5


class Snapshots:
    """Has a forked child write one every ``interval_s`` seconds, unless nothing was applied since the last.

    ``tick`` runs on the core thread, where the state is consistent, and only once all readers have caught up: ``describe`` tells
    what a snapshot of this moment is of, ``dump`` writes it. ``applied`` are the offsets after the last applied records,
    ``written`` those of the snapshot that was taken up at start. None is begun while ``may`` says no.
    """

    def __init__(
        self,
        folder: SnapshotFolder,
        dump: Callable[[Path], None],
        describe: Callable[[int, Mapping[Place, int]], Manifest],
        applied: Callable[[], Mapping[Place, int]],
        written: Mapping[Place, int],
        *,
        may: Callable[[], bool] = lambda: True,
        interval_s: float,
        max_age_s: float,
        timeout_s: int,
        clock: Clock,
        observer: Observer,
    ) -> None:
        self._folder = folder
        self._dump = dump
        self._describe = describe
        self._applied = applied
        self._interval_s = interval_s
        self._max_age_s = max_age_s
        self._timeout_s = timeout_s
        self._clock = clock
        self._observer = observer
        self._child: Child | None = None
        self._manifest: Manifest | None = None
        self._began = 0.0
        self._look_at_ms = 0
        #: The offsets of the last snapshot that was written or taken up here.
        self._written = written
        self._may = may
        #: When the newest snapshot was made, ms since the epoch; 0: there is none.
        self.newest_at = folder.newest_at()

    def tick(self) -> None:
        """Look at the child, or start one when it is time."""
        if self._child is not None:
            self._look(self._child)
            return
        now_ms = self._clock.now_ms()
        if now_ms < self._look_at_ms or not self._may():
            return
        self._look_at_ms = now_ms + int(self._interval_s * 1000)
        # Somebody else may have written one: recommenders that share the folder hold the same.
        self.newest_at = self._folder.newest_at()
        age_s = (now_ms - self.newest_at) / 1000
        if 0 <= age_s < self._interval_s:
            self._look_at_ms = self.newest_at + int(self._interval_s * 1000)
        elif self._applied() != self._written or age_s > _RENEW * self._max_age_s:
            self._begin(now_ms)

    def _begin(self, now_ms: int) -> None:
        manifest = self._describe(now_ms, dict(self._applied()))
        self._began = time.monotonic()
        try:
            with self._folder.locked() as lock:
                if lock is None:
                    return
                self._child = Child(lambda: self._folder.write(manifest, self._dump), self._timeout_s, lock)
        except (SnapshotError, OSError) as error:
            self._failed(str(error))
            return
        self._manifest = manifest
        self._observer.took("snapshot fork", time.monotonic() - self._began)

    def _look(self, child: Child) -> None:
        ended = child.poll()
        if ended is None:
            return
        self._child, took_s = None, time.monotonic() - self._began
        if ended.error:
            self._failed(ended.error)
            return
        assert self._manifest is not None
        self.newest_at, self._written = self._manifest.made_at, self._manifest.next_offsets
        self._observer.count("snapshots", "written")
        self._observer.took("snapshot", took_s)
        log.info("snapshot written", folder=str(self._folder.path), made_at=self.newest_at, took_s=round(took_s, 2))

    def _failed(self, reason: str) -> None:
        self._observer.count("snapshots", "failed")
        log.warning("snapshot failed", folder=str(self._folder.path), reason=reason)
