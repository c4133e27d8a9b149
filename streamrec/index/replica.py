"""Keeps a vector index equal to the compacted topic of item vectors, over a change of models too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamrec.events import ItemVector, split_slot
from streamrec.index.generations import Coverage, Generations
from streamrec.index.port import Labels, Vectors

#: A model that is not our encoder's takes over only where ours lacks so large a share of what that one has: text queries end then.
_OUTGROWN: Final = 0.1

#: What a batch does to one generation: row → its new vector, None where it is to go.
_Pending = dict[int, ItemVector | None]


@dataclass(frozen=True, slots=True)
class ReplicaChange:
    """What one batch did: the rows whose vector was set, the rows whose vector is gone, and how many messages were refused.

    After a switch of models every row that has a vector counts as set.
    """

    changed: Labels
    removed: Labels
    refused: int = 0
    #: Rows whose vector of the next model was set: nobody sees them yet.
    waiting: Labels = field(default_factory=lambda: np.empty(0, np.int32))


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

    Vectors of two models cannot be compared, so one model is served and another is collected beside it. What is collected are the
    items whose latest vector is of that model; what is served keeps the older vectors too, so that no item is missing meanwhile.
    ``target`` is the model of this worker's encoder, None where any may come. The other model takes over

    - if it is the target (or there is none) once it has all but ``max_missing`` of what is served, which ends a roll, or more
      items than it, which is what a start in the middle of a roll finds: the compacted topic holds each item's latest vector only;
    - if it is not the target, only where that lacks a good part of what the other has.

    Vectors of a third model are refused and counted; the target's are never. Without a target the first vector of the right
    dimension names the model.

    ``follow`` brings a plan, and with it other rules: the vectors of each model have keys of their own (``events.slots``), so that
    neither takes the place of the other; the target takes over when it covers what is served, and nobody else ever does; and the
    model that it took over from is kept whole, so that it may come back at once. While ``held`` nobody takes over: a topic that is
    read from its beginning holds vectors of both, and which of them covers the other is known at its end.

    ``row`` gives the row of an item id in the item table, creating it where needed; ``gone`` marks the rows that the catalogue
    removed, which nobody needs to cover.
    """

    def __init__(
        self,
        row: Callable[[str], int],
        index: Generations,
        target: str | None = None,
        *,
        gone: Callable[[], NDArray[np.bool_]] | None = None,
        max_missing: float = 0.0,
    ) -> None:
        self._row = row
        self._index = index
        self._target = target
        self._target_dim = index.dim
        self._gone = gone
        self._max_missing = max_missing
        if target is not None and index.model is None:
            index.name(target)
        #: Per model of the plan its slot in the topic; None where there is no plan.
        self._slots: Mapping[str, str] | None = None
        #: Whether no model may take over yet.
        self.held = False
        self.refused = RefusedCounts()
        #: How much of what is served the collected model has, in [0, 1]; 0 while none is collected. As of the last batch.
        self.coverage = 0.0
        #: The ts of each row's latest vector; 0 where there is none.
        self._ts = np.zeros(0, np.int64)

    @property
    def model_digest(self) -> str | None:
        """The model that is served."""
        return self._index.model

    @property
    def next_digest(self) -> str | None:
        """The model that is collected, None where there is none."""
        return self._index.next_model

    @property
    def is_planned(self) -> bool:
        """Whether a plan is followed."""
        return self._slots is not None

    def follow(self, target: str, dim: int, slots: Mapping[str, str]) -> Labels | None:
        """Have ``target``, of dimension ``dim``, take over when it can; ``slots`` holds the plan's models, the target among them.

        Returns the rows that have a vector where it took over at once, as who is kept whole does.
        """
        self._target, self._target_dim, self._slots = target, dim, slots
        if self._index.next_model is not None and self._index.next_model not in slots:
            self._index.abandon()
        return self._settle()

    def strangers(self, messages: Sequence[tuple[str, ItemVector | None]]) -> set[str]:
        """Return the digests of models among the messages that are neither served nor collected nor planned."""
        known = {self._index.model, self._index.next_model, self._target, *(self._slots or ())}
        return {vector.model_digest for _, vector in messages if vector is not None} - known

    def settle(self) -> Labels | None:
        """Look whether it is time for the other model, as after each batch; return the rows that have a vector if it took over."""
        return self._settle()

    def apply(self, messages: Sequence[tuple[str, ItemVector | None]]) -> ReplicaChange:
        """Apply (key, vector or None for removed) in order; of several messages of one key the last valid one counts.

        A key is the item's id, with its model's slot where it has one.
        """
        before = self.refused.total
        broken = _not_finite([vector for _, vector in messages])
        pending: dict[str, _Pending] = {}
        for place, (key, vector) in enumerate(messages):
            if place in broken:
                self.refused.not_finite += 1
            elif vector is None or self._takes(vector):
                item_id, slot = split_slot(key)
                self._plan(self._row(item_id), slot, vector, pending)
        changed, removed = self._write(self._index.model, pending)
        waiting, _ = self._write(self._index.next_model, pending)
        switched = self._settle()
        return ReplicaChange(changed if switched is None else switched, removed, self.refused.total - before, waiting)

    def dump(self) -> tuple[NDArray[np.int64], str | None]:
        """Return what must be kept beside the index that is served: the ts of each row's latest vector, (n,), and its model."""
        return self._ts, self.model_digest

    def restore(self, ts: NDArray[np.int64]) -> None:
        """Go on where ``dump`` was; the index is restored by itself."""
        self._ts = ts

    def _takes(self, vector: ItemVector) -> bool:
        """Tell whether the vector's model has a generation, which is made where there is room; count why not."""
        index, model = self._index, vector.model_digest
        if index.model is None and vector.dim == index.dim:
            index.name(model)
        dim = self._target_dim if index.model is None or model == self._target else index.dim_of(model)
        if dim is not None and dim != vector.dim:
            self.refused.other_dim += 1
            return False
        if index.dim_of(model) is None:
            unplanned = self._slots is not None and model not in self._slots
            if unplanned or (index.next_model is not None and model != self._target):
                self.refused.other_model += 1
                return False
            index.begin(model, vector.dim)
        return True

    def _plan(self, row: int, slot: str, vector: ItemVector | None, pending: dict[str, _Pending]) -> None:
        """Note what a message does to each generation, unless it is late or the item table has no room for it."""
        if row < 0 or (vector is not None and vector.ts < self._newest(row)):
            return
        served, following = self._index.model, self._index.next_model
        if vector is None:
            emptied = [model for model in (served, following) if model is not None and self._slot(model) == slot]
            if served in emptied or served is None:
                self._note(row, 0)
        else:
            self._note(row, vector.ts)
            # In one slot a newer vector of the served model supersedes what was collected.
            shared = following is not None and self._slot(following) == slot
            emptied = [following] if following is not None and shared and vector.model_digest != following else []
            if vector.model_digest in {served, following}:
                pending.setdefault(vector.model_digest, {})[row] = vector
        for model in emptied:
            pending.setdefault(model, {})[row] = None

    def _slot(self, model: str) -> str:
        """Return where a model's vectors are in the topic; without a plan all are in the plain slot."""
        return (self._slots or {}).get(model, "")

    def _write(self, model: str | None, pending: dict[str, _Pending]) -> tuple[Labels, Labels]:
        """Change one generation; return the rows set and the rows gone."""
        plan = pending.get(model, {}) if model is not None else {}
        values = {row: vector for row, vector in plan.items() if vector is not None}
        changed = np.array(list(values), np.int32)
        removed = np.array([row for row, vector in plan.items() if vector is None], np.int32)
        if model is not None and plan:
            self._index.put(model, changed, _decoded(list(values.values())))
            self._index.drop(model, removed)
        return changed, removed

    def _settle(self) -> Labels | None:
        """Let the other generation take over when it is time; return the rows that have a vector then."""
        self.coverage = 0.0
        if self._index.next_model is None:
            return None
        found = self._index.coverage(None if self._gone is None else self._gone())
        if not found.next:
            # All that was collected has been superseded: a roll that was called off, or one that is over.
            self._index.abandon()
            return None
        covers = found.served - found.both <= self._max_missing * found.served
        if self.held or not self._is_due(found, covers=covers):
            self.coverage = found.share
            return None
        rows = self._index.switch(keep=not covers, whole=self._slots is not None)
        if not self._index.coverage(None if self._gone is None else self._gone()).next:
            self._index.abandon()  # all of the old one was taken back before it was left
        return rows

    def _is_due(self, found: Coverage, *, covers: bool) -> bool:
        if self._slots is not None:
            return covers and self._index.next_model == self._target
        if self._target is None:
            return covers or found.next > found.served
        if self._index.next_model == self._target:
            return covers or found.next >= found.served
        return found.next > found.served and found.next - found.both > _OUTGROWN * found.next

    def _newest(self, row: int) -> int:
        """Return the ts of the row's latest vector, 0 if it has none."""
        return int(self._ts[row]) if row < len(self._ts) else 0

    def _note(self, row: int, ts: int) -> None:
        if row >= len(self._ts):
            self._ts = np.concatenate([self._ts, np.zeros(max(row + 1, 2 * len(self._ts)) - len(self._ts), np.int64)])
        self._ts[row] = ts


def _not_finite(vectors: Sequence[ItemVector | None]) -> set[int]:
    """Return the places of vectors with a NaN or an infinity: one broken message must not stop the batch."""
    by_dim: dict[int, list[tuple[int, ItemVector]]] = {}
    for place, vector in enumerate(vectors):
        if vector is not None:
            by_dim.setdefault(vector.dim, []).append((place, vector))
    broken: set[int] = set()
    for found in by_dim.values():
        finite = np.isfinite(_decoded([vector for _, vector in found])).all(axis=1)
        broken.update(found[i][0] for i in np.flatnonzero(~finite).tolist())
    return broken


def _decoded(vectors: Sequence[ItemVector]) -> Vectors:
    """Return float16 bytes as one (n, dim) float32 matrix."""
    if not vectors:
        return np.empty((0, 0), np.float32)
    return np.frombuffer(b"".join(vector.vector for vector in vectors), "<f2").reshape(len(vectors), -1).astype(np.float32)
