"""From the newest snapshot that can be trusted to a state."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import structlog

from streamrec.errors import SnapshotError
from streamrec.observe import Observer
from streamrec.recommender.knowledge import Knowledge, Rows
from streamrec.snapshot.files import restore
from streamrec.snapshot.folder import SnapshotFolder
from streamrec.snapshot.manifest import Manifest, read_manifest, verify_files
from streamrec.snapshot.origin import Origin, Place

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A state, where in Kafka it stands (nowhere: it is empty), when it was taken, and the items whose lists are due."""

    knowledge: Knowledge
    next_offsets: Mapping[Place, int] = field(default_factory=dict)
    made_at: int = 0
    due: Rows = field(default_factory=lambda: np.empty(0, np.int32))


def load(
    folder: SnapshotFolder, build: Callable[[], Knowledge], origin: Origin, *, now_ms: int, max_age_ms: int, observer: Observer
) -> Loaded:
    """Return the state of the newest snapshot that passes every check, or an empty one.

    A snapshot that does not is logged and counted with its reason, and the next older one is tried.
    """
    for path in folder.all():
        start = time.monotonic()
        try:
            manifest = _checked(path, origin, now_ms, max_age_ms)
            knowledge = build()
            due = restore(knowledge, path)
        except SnapshotError as error:
            observer.count("snapshots", f"refused_{error.kind}")
            log.warning("snapshot refused", snapshot=path.name, kind=error.kind, reason=str(error))
            continue
        observer.count("snapshots", "restored")
        told = {"items": len(knowledge.items), "vectors": len(knowledge.index), "bytes": manifest.size}
        age_s, took_s = (now_ms - manifest.made_at) // 1000, round(time.monotonic() - start, 2)
        log.info("snapshot restored", snapshot=path.name, age_s=age_s, took_s=took_s, **told)
        return Loaded(knowledge, manifest.next_offsets, manifest.made_at, due)
    return Loaded(build())


def _checked(path: Path, origin: Origin, now_ms: int, max_age_ms: int) -> Manifest:
    manifest = read_manifest(path)
    origin.check(manifest, now_ms, max_age_ms)  # costs nothing, where the files may be gigabytes
    verify_files(path, manifest)
    return manifest
