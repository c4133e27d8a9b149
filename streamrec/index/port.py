"""What a vector index promises, and the checks that all of them share."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamrec.errors import VectorIndexError

Labels = NDArray[np.int32]
Vectors = NDArray[np.float32]
#: Vectors checked at once; marks for all numbers of a large batch would be a quarter of its memory.
_CHUNK: Final = 4096


class VectorIndex(Protocol):
    """Finds the nearest vectors among those that are neither removed nor blocked.

    Labels are dense row numbers of the item table. Vectors are L2-normalised by the caller, so the score, their inner product, is
    the cosine. One thread at a time may call.
    """

    dim: int

    def __len__(self) -> int:
        """Return how many labels have a vector, blocked ones included."""
        ...

    def __contains__(self, label: object) -> bool:
        """Tell whether a label has a vector, blocked or not."""
        ...

    @property
    def version(self) -> int:
        """A number that grows with every change of a vector: what was found under the same one holds, but for blocks.

        Blocks leave it as it is: goods sell out and return a thousand times a second, and an answer of ``search`` with ``blocked``
        can be kept and cut down by ``shown``.
        """
        ...

    @property
    def nbytes(self) -> int:
        """How many bytes the index takes: vectors, graph, and what is kept of labels."""
        ...

    @property
    def compact(self) -> bool:
        """Whether vectors are kept by their most telling parts only."""
        ...

    def upsert(self, labels: ArrayLike, vectors: ArrayLike) -> None:
        """Set the vectors of labels; of a repeated label the last vector counts, the same vector again changes nothing.

        ``labels`` (n,) int32, ``vectors`` (n, dim) float32. Raises VectorIndexError for a wrong shape or dimension, a number that
        is not finite, or a label that is negative or beyond ``max_items``.
        """
        ...

    def remove(self, labels: ArrayLike) -> None:
        """Forget the vectors of labels; unknown labels are ignored, blocks stay."""
        ...

    def block(self, labels: ArrayLike) -> None:
        """Keep labels out of every answer until they are unblocked; a label may be blocked before it has a vector."""
        ...

    def unblock(self, labels: ArrayLike) -> None:
        """Let labels back into the answers; labels that are not blocked are ignored."""
        ...

    def shown(self, labels: ArrayLike) -> NDArray[np.bool_]:
        """Tell which labels an answer may hold, those with a vector that are not blocked; (n,) bool."""
        ...

    def search(
        self, queries: ArrayLike, k: int, mask: NDArray[np.bool_] | None = None, *, blocked: bool = False
    ) -> tuple[Labels, Vectors]:
        """Return the ``k`` best labels and their scores for each query, best first; blocked ones too with ``blocked``.

        ``queries`` (q, dim) float32; ``mask`` (n,) bool, True where a label is allowed: labels beyond its end are not. Returns
        (q, k) int32 padded with -1 and (q, k) float32 padded with -inf. Raises VectorIndexError for a wrong dimension or k < 1.
        """
        ...

    def vectors(self, labels: ArrayLike) -> Vectors:
        """Return the vectors of labels, zeros for labels without one; (n, dim) float32."""
        ...

    def similarity(self, labels: ArrayLike, queries: ArrayLike) -> Vectors:
        """Return the cosines of labels with (q, dim) queries, those that ``search`` gives, 0 for labels without a vector; (n, q).

        Cheaper than ``vectors(labels) @ queries.T`` where vectors must be put together first.
        """
        ...

    def save(self, folder: Path) -> None:
        """Write vectors, graph and blocks into a folder that exists and is empty.

        Starts no thread, so a forked child may call it and have the index as it was at the fork.
        """
        ...

    def restore(self, folder: Path) -> None:
        """Take everything that was saved; changes may follow as if it had never been away.

        Raises VectorIndexError where this index has vectors, or the files are missing, torn, or of another kind or dimension; the
        index is as before then.
        """
        ...


def as_labels(labels: ArrayLike, max_items: int) -> Labels:
    """Return labels as (n,) int32.

    Raises VectorIndexError if one is negative or beyond ``max_items``.
    """
    checked = np.atleast_1d(np.asarray(labels, dtype=np.int64))
    if checked.size and (checked.min() < 0 or checked.max() >= max_items):
        msg = (
            f"labels run from {checked.min()} to {checked.max()}, the index holds 0 to {max_items - 1}; "
            "raise index.max_items, or remove items that are gone"
        )
        raise VectorIndexError(msg)
    return checked.astype(np.int32)


def as_vectors(vectors: ArrayLike, dim: int) -> Vectors:
    """Return vectors as (n, dim) float32.

    Raises VectorIndexError for another dimension or a number that is not finite.
    """
    checked = np.atleast_2d(np.asarray(vectors, dtype=np.float32))
    if checked.ndim != 2 or checked.shape[1] != dim:
        msg = f"vectors have shape {checked.shape}, the index has dimension {dim}; use one model for items and queries"
        raise VectorIndexError(msg)
    if not all(np.isfinite(checked[start : start + _CHUNK]).all() for start in range(0, len(checked), _CHUNK)):
        msg = f"{int((~np.isfinite(checked)).any(axis=1).sum())} vectors hold NaN or infinity; check the encoder that made them"
        raise VectorIndexError(msg)
    return checked


def as_changes(labels: ArrayLike, vectors: ArrayLike, dim: int, max_items: int) -> tuple[Labels, Vectors]:
    """Return labels and vectors of an upsert, checked, each label once with its last vector."""
    rows, values = as_labels(labels, max_items), as_vectors(vectors, dim) if np.size(vectors) else np.empty((0, dim), np.float32)
    if len(rows) != len(values):
        msg = f"{len(rows)} labels came with {len(values)} vectors; pass one vector per label"
        raise VectorIndexError(msg)
    _, last = np.unique(rows[::-1], return_index=True)
    if len(last) == len(rows):
        return rows, values
    keep = np.sort(len(rows) - 1 - last)
    return rows[keep], values[keep]


def check_k(k: int) -> None:
    """Refuse a search for nothing.

    Raises VectorIndexError if ``k`` is below 1.
    """
    if k < 1:
        msg = f"k is {k}; ask for at least one neighbour"
        raise VectorIndexError(msg)
