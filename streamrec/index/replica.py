"""Keeps a vector index equal to the compacted topic of item vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from streamrec.events import ItemVector
from streamrec.index.port import Labels, VectorIndex, Vectors


@dataclass(frozen=True, slots=True)
class ReplicaChange:
    """What one batch did: the rows whose vector was set, the rows whose vector is gone, and how many messages were refused."""

    changed: Labels
    removed: Labels
    refused: int = 0


@dataclass(slots=True)
class RefusedCounts:
    """How many vectors were refused since the start, by reason."""

    other_model: int = field(default=0)
    other_dim: int = field(default=0)
    not_finite: int = field(default=0)

    @property
    def total(self) -> int:
        """All of them."""
        return self.other_model + self.other_dim + self.not_finite


class VectorReplica:
    """Feeds an index from item-vectors messages, in the order of their topic; applying them again changes nothing.

    A vector with an older ``ts`` than the item's comes late, from an embedder that knew no better, and is ignored. A removal has no
    ``ts``: after it any vector counts.
    Vectors of two models cannot be compared, so one model is served: ``model_digest``, or without it that of the first vector of
    the right dimension. Others are refused and counted; an item that has only a refused vector keeps its older one. ``row`` gives
    the row of an item id in the item table, creating it where needed.
    """

    def __init__(self, row: Callable[[str], int], index: VectorIndex, model_digest: str | None = None) -> None:
        self._row = row
        self._index = index
        self.model_digest = model_digest
        self.refused = RefusedCounts()
        #: The ts of each row's vector; 0 where there is none.
        self._ts = np.zeros(0, np.int64)

    def apply(self, messages: Sequence[tuple[str, ItemVector | None]]) -> ReplicaChange:
        """Apply (item_id, vector or None for removed) in order; of several messages of one item the last valid one counts."""
        before = self.refused.total
        last: dict[str, ItemVector | None] = {}
        for item_id, vector in messages:
            if vector is None or (self._accepts(vector) and vector.ts >= self._newest(item_id, last)):
                last[item_id] = vector
        rows, vectors, gone = [], [], []
        for item_id, vector in last.items():
            if vector is None:
                gone.append(self._row(item_id))
            else:
                rows.append(self._row(item_id))
                vectors.append(vector.vector)
        values = self._decoded(vectors)
        finite = self._finite(values)
        changed, values = np.array(rows, np.int32)[finite], values[finite]
        removed = np.array(gone, np.int32)
        if len(changed):
            self._index.upsert(changed, values)
            self._note(changed, np.array([vector.ts for vector in last.values() if vector is not None], np.int64)[finite])
        if len(removed):
            self._index.remove(removed)
            self._note(removed, 0)
        return ReplicaChange(changed, removed, self.refused.total - before)

    def dump(self) -> tuple[NDArray[np.int64], str | None]:
        """Return what must be kept beside the index: the ts of each row's vector, (n,), and the model's digest."""
        return self._ts, self.model_digest

    def restore(self, ts: NDArray[np.int64], model_digest: str | None) -> None:
        """Go on where ``dump`` was; the index is restored by itself."""
        self._ts, self.model_digest = ts, model_digest

    def _accepts(self, vector: ItemVector) -> bool:
        if vector.dim != self._index.dim:
            self.refused.other_dim += 1
            return False
        if self.model_digest is None:
            self.model_digest = vector.model_digest
        if vector.model_digest != self.model_digest:
            self.refused.other_model += 1
            return False
        return True

    def _decoded(self, vectors: list[bytes]) -> Vectors:
        """Return float16 bytes as one (n, dim) float32 matrix."""
        return np.frombuffer(b"".join(vectors), "<f2").reshape(-1, self._index.dim).astype(np.float32)

    def _finite(self, values: Vectors) -> NDArray[np.bool_]:
        """Tell which vectors have no NaN and no infinity: one broken message must not stop the batch."""
        finite: NDArray[np.bool_] = np.all(np.isfinite(values), axis=1)
        self.refused.not_finite += int((~finite).sum())
        return finite

    def _newest(self, item_id: str, last: dict[str, ItemVector | None]) -> int:
        """Return the ts of the item's vector as of this batch, 0 if it has none."""
        if item_id in last:
            known = last[item_id]
            return known.ts if known else 0
        row = self._row(item_id)
        return int(self._ts[row]) if row < len(self._ts) else 0

    def _note(self, rows: Labels, ts: NDArray[np.int64] | int) -> None:
        end = int(rows.max()) + 1
        if end > len(self._ts):
            self._ts = np.concatenate([self._ts, np.zeros(max(end, 2 * len(self._ts)) - len(self._ts), np.int64)])
        self._ts[rows] = ts
