"""Exact search while a catalogue is small, a graph once it is large, and the change between them while both are asked."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamrec.config import IndexSettings
from streamrec.index import files
from streamrec.index.handover import Handover, Index
from streamrec.index.hnsw import HnswIndex, build_hnsw
from streamrec.index.memory import give_back
from streamrec.index.onnx_exact import OnnxExactIndex, build_exact
from streamrec.index.port import Labels, Vectors, as_changes, as_labels
from streamrec.index.rows import Rows

_log: Final = logging.getLogger(__name__)
#: A graph is given up at this share of the size from which it was built, so that a catalogue at the border does not go to and fro.
_BACK: Final = 0.5
#: Where vectors come faster than a graph takes them, they wait for it once so many times the limit are not in it: when the last has
#: come the graph takes over some seconds later, and until then exact search gets no slower than the graph lets vectors in.
_MOST_BEHIND: Final = 2


class AutoIndex:
    """Exact up to a number of vectors, from there a graph; see the port.

    Where the limit lies was measured (``streamrec bench index --exact``): up to ``exact_up_to`` vectors a product answers batches
    of queries about as fast as a graph does, all right instead of nearly all, and a vector is written in microseconds instead of
    some tenths of a millisecond. On a GPU the limit is ``exact_up_to_gpu``.

    The other index is built in the background from what is there and takes over at once when it has everything; a batch that
    outweighs all that is there goes into a graph directly. Back to exact it goes at half the limit, but not from compact
    vectors: what was cut off is not known any more, until a start from the topics.
    """

    def __init__(self, settings: IndexSettings, dim: int) -> None:
        self.dim = dim
        self._settings = settings
        self._index: Index = build_exact(settings, dim)
        #: Whether exact search runs on a GPU, as the latest index of that kind told.
        self._has_gpu = self._index.provider == "cuda"
        self._handover: Handover | None = None
        #: Added to the version of the index that answers.
        self._passed = 0

    def __len__(self) -> int:
        return len(self._index)

    def __contains__(self, label: object) -> bool:
        return label in self._index

    @property
    def answering(self) -> Index:
        """The index that answers now."""
        return self._index

    @property
    def rows(self) -> Rows:
        """The vectors of the index that answers, to be read only."""
        return self._index.rows

    @property
    def version(self) -> int:
        """A number that grows with every change that an answer may show, one of indexes too; see the port."""
        return self._passed + self._index.version

    @property
    def nbytes(self) -> int:
        """Bytes of what answers and of what is being built; see the port."""
        return self._index.nbytes + (self._handover.target.nbytes if self._handover else 0)

    @property
    def compact(self) -> bool:
        """Whether the vectors are cut; see the port."""
        return self._index.compact

    def upsert(self, labels: ArrayLike, vectors: ArrayLike) -> None:
        """Set the vectors of labels; see the port."""
        rows, values = as_changes(labels, vectors, self.dim, self._settings.max_items)
        if self._is_exact and self._handover is None and len(rows) >= len(self) and self._is_large(len(rows) + len(self)):
            self._begin()
            self.finish_rebuild()
        self._index.upsert(rows, values)
        self._changed(rows)

    def remove(self, labels: ArrayLike) -> None:
        """Forget the vectors of labels; see the port."""
        rows = as_labels(labels, self._settings.max_items)
        self._index.remove(rows)
        self._changed(rows)

    def block(self, labels: ArrayLike) -> None:
        """Keep labels out of every answer; see the port."""
        self._index.block(labels)

    def unblock(self, labels: ArrayLike) -> None:
        """Let labels back into the answers; see the port."""
        self._index.unblock(labels)

    def shown(self, labels: ArrayLike) -> NDArray[np.bool_]:
        """Tell which labels an answer may hold; see the port."""
        return self._index.shown(labels)

    def search(
        self, queries: ArrayLike, k: int, mask: NDArray[np.bool_] | None = None, *, blocked: bool = False
    ) -> tuple[Labels, Vectors]:
        """Return the ``k`` best for each query, exactly or nearly; see the port."""
        self._adopt()
        return self._index.search(queries, k, mask, blocked=blocked)

    def vectors(self, labels: ArrayLike) -> Vectors:
        """Return the vectors of labels; see the port."""
        return self._index.vectors(labels)

    def similarity(self, labels: ArrayLike, queries: ArrayLike) -> Vectors:
        """Return the cosines of labels with queries; see the port."""
        return self._index.similarity(labels, queries)

    def save(self, folder: Path) -> None:
        """Write the index that answers into an empty folder; see the port. What is being built is left out."""
        self._index.save(folder)

    def restore(self, folder: Path) -> None:
        """Take what was saved of an index of either kind; see the port."""
        files.expect_empty(len(self))
        restored: Index = (build_hnsw if files.kind_of(folder) == "hnsw" else build_exact)(self._settings, self.dim)
        restored.restore(folder)
        self.close()
        self._take(restored)
        self._changed(np.empty(0, np.int32))

    def finish_rebuild(self, timeout_s: float | None = None) -> bool:
        """Wait for what is being built and take it; True when nothing is left."""
        if self._handover is not None:
            self._handover.join(timeout_s)
            self._adopt()
        rebuilt = not isinstance(self._index, HnswIndex) or self._index.finish_rebuild(timeout_s)
        return rebuilt and self._handover is None

    def close(self) -> None:
        """Stop what is being built; the index goes on answering from what it has."""
        if self._handover is not None:
            self._handover.cancel()
            self._handover = None
        if isinstance(self._index, HnswIndex):
            self._index.close()

    @property
    def _is_exact(self) -> bool:
        return isinstance(self._index, OnnxExactIndex)

    @property
    def _limit(self) -> int:
        if isinstance(self._index, OnnxExactIndex):
            self._has_gpu = self._index.provider == "cuda"
        return self._settings.exact_up_to_gpu if self._has_gpu else self._settings.exact_up_to

    def _is_large(self, count: int) -> bool:
        return count > self._limit

    def _due(self) -> bool:
        """Whether the other index should answer as many vectors as there are."""
        if self._is_exact:
            return self._is_large(len(self))
        return len(self) <= _BACK * self._limit and not self.compact

    def _changed(self, labels: Labels) -> None:
        """Tell the builder about labels that changed; start it, give it up, or wait for it where it is time."""
        if self._handover is None:
            if self._due():
                self._begin()
            return
        if not self._due():
            # The catalogue went back over the border.
            self._handover.cancel()
            self._handover = None
            return
        self._handover.note(labels)
        if self._is_exact:
            self._handover.pace(_MOST_BEHIND * max(1, self._limit))
        self._adopt()

    def _begin(self) -> None:
        make = build_hnsw if self._is_exact else build_exact
        self._handover = Handover(self._index, make(self._settings, self.dim))

    def _adopt(self) -> None:
        """Answer from what was built and is ready; the old is freed here."""
        if self._handover is not None and self._handover.ready:
            handover, self._handover = self._handover, None
            old = self._index
            self._take(handover.finish())
            if isinstance(old, HnswIndex):
                old.close()
            _log.info("the vector index answers %s now, %d vectors", "exactly" if self._is_exact else "from a graph", len(self))
            del old, handover
            give_back()

    def _take(self, index: Index) -> None:
        version = self.version
        self._index = index
        self._passed = version + 1 - index.version
