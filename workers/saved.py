"""A recommender's state on disk: taken up at start, written again every few minutes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from streamrec.snapshot import Loaded, Origin, SnapshotFolder, Snapshots, load
from streamrec.snapshot.files import dump
from streamrec.snapshot.origin import made_with
from workers.sweeper import Sweeper
from workers.transport.admin import bounds, identities

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from concurrent.futures import Executor

    from streamrec.recommender import Fallbacks, Knowledge
    from streamrec.snapshot.manifest import Manifest
    from workers.parts import Parts
    from workers.transport.batch import Place, Record

#: How often it is looked whether a snapshot is due or done.
LOOK_S: Final = 0.5


class Saved:
    """The state of ``topics``, from the newest snapshot that can be trusted, and where in Kafka it stands.

    ``models`` holds, per digest, the dimension of each model whose vectors a snapshot may hold. Without a folder, or with nothing
    in it that can be used, the state is an empty one. Raises BrokerUnavailable.
    """

    def __init__(self, parts: Parts, topics: Collection[str], models: Mapping[str, int], build: Callable[[], Knowledge]) -> None:
        self._parts = parts
        self._topics = frozenset(topics)
        settings = parts.settings.snapshot
        self._folder = SnapshotFolder(Path(settings.dir).expanduser(), settings.keep) if settings.dir else None
        self._loaded = Loaded(build()) if self._folder is None else self._load(self._folder, models, build)
        self.knowledge = self._loaded.knowledge
        #: Per topic and partition, where reading goes on.
        self.start: Mapping[Place, int] = dict(self._loaded.next_offsets)
        #: The offset after the last record whose effect is in the state.
        self._applied: dict[Place, int] = dict(self.start)
        self._snapshots: Snapshots | None = None

    def _load(self, folder: SnapshotFolder, models: Mapping[str, int], build: Callable[[], Knowledge]) -> Loaded:
        kafka, parts = self._parts.settings.kafka, self._parts
        cluster, ids = identities(kafka, self._topics)
        with_settings = made_with(parts.settings)
        self._origin = Origin(models, with_settings, cluster, ids, bounds(kafka, self._topics))
        max_age_ms = int(parts.settings.snapshot.max_age_h * 3_600_000)
        now_ms, observer = parts.clock.now_ms(), parts.observer
        return load(folder, build, self._origin, now_ms=now_ms, max_age_ms=max_age_ms, observer=observer)

    def applied(self, records: Iterable[Record]) -> None:
        """Hear that the effects of ``records`` are in the state; on the core thread."""
        self._applied.update({(r.topic, r.partition): r.offset + 1 for r in records if r.topic in self._topics})

    def saver(self, core: Executor, fallbacks: Fallbacks, after: Sequence[threading.Event]) -> list[Sweeper]:
        """Return what writes snapshots once the readers have caught up, nothing without a folder; hands on what is due."""
        fallbacks.items_changed(self._loaded.due)
        if self._folder is None:
            return []
        settings = self._parts.settings.snapshot
        self._snapshots = Snapshots(
            self._folder,
            lambda path: dump(self.knowledge, fallbacks.due, path),
            self._described,
            lambda: self._applied,
            self.start,
            may=self._is_settled,
            interval_s=settings.interval_s,
            max_age_s=settings.max_age_h * 3600,
            timeout_s=settings.timeout_s,
            clock=self._parts.clock,
            observer=self._parts.observer,
        )
        return [Sweeper(core, self._snapshots.tick, LOOK_S, after)]

    def _described(self, made_at: int, next_offsets: Mapping[Place, int]) -> Manifest:
        index = self.knowledge.index
        return self._origin.manifest(made_at, next_offsets, (index.model or "", index.dim))

    def _is_settled(self) -> bool:
        """Tell whether a snapshot of now would be taken up again: a model is served that is ours or planned."""
        replica = self.knowledge.replica
        return replica.is_planned or (replica.model_digest in self._origin.models and replica.next_digest is None)

    @property
    def newest_at(self) -> int:
        """When the newest snapshot was made, ms since the epoch; 0: there is none."""
        return self._snapshots.newest_at if self._snapshots else 0
