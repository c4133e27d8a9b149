"""Exact search by one matrix product of numpy: the oracle that other indexes are measured against."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamrec.index import files
from streamrec.index.codec import WholeCodec
from streamrec.index.port import Labels, Vectors, as_changes, as_labels, as_vectors, check_k
from streamrec.index.rows import Rows


class ExactIndex:
    """Scores every vector for every query: always right, time and memory grow with labels × dim."""

    def __init__(self, dim: int, max_items: int = 2_000_000, dtype: type[np.float16] | type[np.float32] = np.float32) -> None:
        self.dim = dim
        self._rows = Rows(WholeCodec(dim, dtype), max_items)

    @property
    def rows(self) -> Rows:
        """The vectors, to be read only."""
        return self._rows

    def __len__(self) -> int:
        return self._rows.count

    def __contains__(self, label: object) -> bool:
        return self._rows.holds(label)

    @property
    def nbytes(self) -> int:
        """Bytes of the vectors; see the port."""
        return self._rows.nbytes

    @property
    def compact(self) -> bool:
        """Never."""
        return False

    @property
    def version(self) -> int:
        """A number that differs whenever an answer may differ; see the port."""
        return self._rows.version

    def upsert(self, labels: ArrayLike, vectors: ArrayLike) -> None:
        """Set the vectors of labels; see the port."""
        rows, values = as_changes(labels, vectors, self.dim, self._rows.max_items)
        self._written(rows, values)

    def _written(self, labels: Labels, vectors: Vectors) -> Labels:
        """Write the rows of distinct labels and return those that differ from what they had."""
        stored = self._rows.codec.encode(vectors)
        self._rows.reserve(labels)
        new = ~self._rows.has(labels, stored)
        self._rows.put(labels[new], stored[new])
        return labels[new]

    def remove(self, labels: ArrayLike) -> None:
        """Forget the vectors of labels; see the port."""
        self._rows.drop(self._rows.known(np.unique(as_labels(labels, self._rows.max_items))))

    def block(self, labels: ArrayLike) -> None:
        """Keep labels out of every answer; see the port."""
        self._rows.block(as_labels(labels, self._rows.max_items))

    def unblock(self, labels: ArrayLike) -> None:
        """Let labels back into the answers; see the port."""
        self._rows.unblock(as_labels(labels, self._rows.max_items))

    def shown(self, labels: ArrayLike) -> NDArray[np.bool_]:
        """Tell which labels an answer may hold; see the port."""
        return self._rows.shown(as_labels(labels, self._rows.max_items))

    def search(
        self, queries: ArrayLike, k: int, mask: NDArray[np.bool_] | None = None, *, blocked: bool = False
    ) -> tuple[Labels, Vectors]:
        """Return the exact ``k`` best for each query, equal scores by label; see the port."""
        check_k(k)
        allowed, _ = self._rows.allowed(mask, blocked=blocked)
        return self._rows.nearest(as_vectors(queries, self.dim), k, np.flatnonzero(allowed))

    def vectors(self, labels: ArrayLike) -> Vectors:
        """Return the vectors of labels in the precision of the rows; see the port."""
        return self._rows.get(as_labels(labels, self._rows.max_items))

    def similarity(self, labels: ArrayLike, queries: ArrayLike) -> Vectors:
        """Return the cosines of labels with queries; see the port."""
        return self._rows.similarity(as_labels(labels, self._rows.max_items), as_vectors(queries, self.dim))

    def save(self, folder: Path) -> None:
        """Write the index into an empty folder; see the port."""
        files.write(folder, {"kind": "exact", "dim": self.dim}, self._rows.save())

    def restore(self, folder: Path) -> None:
        """Take what was saved, in whichever precision; see the port."""
        files.expect_empty(len(self))
        _, arrays = files.read(folder, "exact", self.dim)
        try:
            if arrays["matrix"].dtype in (np.float16, np.float32):
                arrays["matrix"] = arrays["matrix"].astype(self._rows.codec.dtype, copy=False)
            rows = Rows.restored(self._rows.codec, self._rows.max_items, arrays)
        except (ValueError, KeyError) as error:
            raise files.torn(folder, error) from error
        rows.version += self._rows.version
        self._rows = rows
