"""What a recommender replicates, as files with the Kafka offsets that they stand for."""

from __future__ import annotations

from streamrec.snapshot.folder import SnapshotFolder
from streamrec.snapshot.loading import Loaded, load
from streamrec.snapshot.manifest import Manifest
from streamrec.snapshot.origin import Origin
from streamrec.snapshot.taking import Snapshots

__all__ = ["Loaded", "Manifest", "Origin", "SnapshotFolder", "Snapshots", "load"]
