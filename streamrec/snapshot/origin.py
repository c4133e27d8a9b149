"""What a snapshot must be of to be ours: the model, the settings, and the very topics that would be read instead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from streamrec.config import Settings
from streamrec.errors import SnapshotError
from streamrec.snapshot.files import STATE
from streamrec.snapshot.manifest import READ_INSTEAD, Manifest, TopicNote

Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a state comes from, as it is now.

    ``models`` holds, per digest, the dimension of each model whose vectors are of use here; ``topics`` holds each topic's id,
    ``bounds`` per topic and partition its first offset and the one after its last.
    """

    models: Mapping[str, int]
    made_with: Mapping[str, str]
    cluster: str
    topics: Mapping[str, str]
    bounds: Mapping[Place, tuple[int, int]]

    def manifest(self, made_at: int, next_offsets: Mapping[Place, int], model: tuple[str, int] | None = None) -> Manifest:
        """Return the manifest of a snapshot that stands for these offsets; ``model`` is what is served, else our first one."""
        digest, dim = model or next(iter(self.models.items()))
        per_topic = {
            topic: TopicNote(id_, {number: offset for (name, number), offset in next_offsets.items() if name == topic})
            for topic, id_ in self.topics.items()
        }
        return Manifest(STATE, made_at, digest, dim, dict(self.made_with), self.cluster, per_topic)

    def check(self, manifest: Manifest, now_ms: int, max_age_ms: int) -> None:
        """Raise SnapshotError unless a state can go on from this snapshot.

        ``kind`` is state, model, settings, cluster, topic, offsets or age.
        """
        self._check_made_by(manifest)
        age_ms = now_ms - manifest.made_at
        if not 0 <= age_ms <= max_age_ms:
            hours = f"{age_ms / 3_600_000:.1f} h old, {max_age_ms / 3_600_000:.1f} h are allowed"
            raise _refusal(
                "age", f"it is {hours}: compacted topics may have forgotten removals since, and removed items would return"
            )
        if manifest.cluster != self.cluster:
            raise _refusal("cluster", f"it is of the Kafka cluster {manifest.cluster}, this one is {self.cluster}")
        for topic, note in manifest.topics.items():
            if note.id != self.topics.get(topic):
                raise _refusal("topic", f"the topic {topic} was made anew since")
        for place, offset in manifest.next_offsets.items():
            self._check_offset(place, offset)

    def _check_made_by(self, manifest: Manifest) -> None:
        if manifest.state != STATE:
            raise _refusal("state", f"its state has version {manifest.state}, this version reads {STATE}")
        if self.models.get(manifest.model_digest) != manifest.dim:
            ours = ", ".join(f"{digest} of {dim}" for digest, dim in self.models.items())
            told = f"{manifest.model_digest} of dimension {manifest.dim}, this worker's is {ours}"
            raise _refusal("model", f"its vectors are of the model {told}")
        if manifest.made_with != self.made_with:
            names = sorted(name for name, _ in manifest.made_with.items() ^ self.made_with.items())
            raise _refusal("settings", f"it was made with other settings: {', '.join(dict.fromkeys(names))}")

    def _check_offset(self, place: Place, offset: int) -> None:
        first, end = self.bounds.get(place, (0, -1))
        if not first <= offset <= end:
            told = f"{place[0]}[{place[1]}] runs from {first} to {end}" if end >= 0 else f"{place[0]}[{place[1]}] is not there"
            raise _refusal("offsets", f"it stands at offset {offset}, and {told}: what lay between is gone")


def made_with(settings: Settings) -> dict[str, str]:
    """Return the settings on which numbers in a snapshot depend."""
    return {
        "index.kind": settings.index.kind,
        "ranking.trending_half_life_s": repr(settings.ranking.trending_half_life_s),
        "ranking.together_half_life_s": repr(settings.ranking.together_half_life_s),
    }


def _refusal(kind: str, reason: str) -> SnapshotError:
    return SnapshotError(kind, f"{reason}; {READ_INSTEAD}")
