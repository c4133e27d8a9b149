"""A second graph, built from the rows in a background thread while the first one goes on answering."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

import numpy as np

from streamrec.errors import VectorIndexError
from streamrec.index.codec import Codec, Stored
from streamrec.index.graph import Graph, GraphOptions
from streamrec.index.port import Labels, Vectors
from streamrec.index.rows import Rows, grown

#: Vectors inserted between two looks at whether to stop. Few, because what the builder's threads free the allocator keeps for them:
#: with 2,048 of 512 dimensions memory grew by 6.7 MB with each of the first rebuilds.
_CHUNK: Final = 512
#: The builder catches up by itself until so few changes are left; the caller's thread pays for these, about 0.2 ms each.
_LEFT_FOR_CALLER: Final = 32


class Rebuild:
    """Builds a fresh graph of what the rows hold; the caller notes every label that it changes meanwhile.

    With ``learn``, a codec is learnt first and the rows are written anew by it, beside the old ones: both graph and rows are the
    caller's to swap in. A row may be read while it is being written: its label is noted after the write, so it is read again.
    Only the builder's thread touches what is new until ``ready``, only the caller's from then on.
    """

    def __init__(self, rows: Rows, options: GraphOptions, learn: Callable[[], Codec] | None = None) -> None:
        self._rows = rows
        self._options = options
        self._learn = learn
        self._labels = np.flatnonzero(rows.present).astype(np.int32)
        self._graph: Graph | None = None
        self._fresh: FreshRows | None = None
        self._changed: set[int] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._error: BaseException | None = None
        # A daemon, so that a worker that is told to end does not wait for a graph that nobody will search.
        self._thread = threading.Thread(target=self._run, name="streamrec-index-rebuild", daemon=True)
        self._thread.start()

    @property
    def compacting(self) -> bool:
        """Whether the rows are written anew by another codec."""
        return self._learn is not None

    @property
    def ready(self) -> bool:
        """Whether the builder has nothing more to do."""
        return not self._thread.is_alive()

    def note(self, labels: Labels) -> None:
        """Remember labels whose row was just written or dropped."""
        with self._lock:
            self._changed.update(labels.tolist())

    def join(self, timeout_s: float | None = None) -> None:
        """Wait until ``ready``."""
        self._thread.join(timeout_s)

    def cancel(self) -> None:
        """Give up the new graph; returns when the builder has ended, at most one chunk later."""
        self._stop.set()
        self._thread.join()

    def finish(self) -> tuple[Graph, FreshRows | None]:
        """Return the new graph, and rows where they are new too, with every noted change; call it once, when ``ready``.

        Raises VectorIndexError if the builder failed.
        """
        if self._error is not None:
            msg = f"rebuilding the vector index failed: {self._error!r}; if memory ran out, give the worker more or lower index.m"
            raise VectorIndexError(msg) from self._error
        self._replay(self._changed)
        assert self._graph is not None
        return self._graph, self._fresh

    def _run(self) -> None:
        try:
            self._begin()
            for start in range(0, len(self._labels), _CHUNK):
                if self._stop.is_set():
                    return
                self._copy(self._labels[start : start + _CHUNK])
            while changed := self._take():
                if self._stop.is_set():
                    return
                self._replay(changed)
        except BaseException as error:  # noqa: BLE001 - it is raised again where somebody can act on it, in ``finish``
            self._error = error

    def _begin(self) -> None:
        codec = self._rows.codec
        if self._learn is not None:
            codec = self._learn()
            self._fresh = FreshRows(codec, len(self._rows.present))
        # Room for as many dead nodes as bring on the next rebuild by default: growing would happen in the caller's thread.
        self._graph = Graph(codec, self._options, capacity=len(self._labels) + len(self._labels) // 4 + _CHUNK)

    def _take(self) -> set[int]:
        """Return the changes to catch up with, or none when the few that are left are the caller's."""
        with self._lock:
            if len(self._changed) <= _LEFT_FOR_CALLER:
                return set()
            taken, self._changed = self._changed, set()
            return taken

    def _replay(self, changed: set[int]) -> None:
        labels = np.array(sorted(changed), np.int32)
        for start in range(0, len(labels), _CHUNK):
            self._copy(labels[start : start + _CHUNK])

    def _copy(self, labels: Labels) -> None:
        assert self._graph is not None
        present = self._rows.present[labels]
        self._graph.drop(labels[~present])
        labels = labels[present]
        stored = self._rows.matrix[labels]
        if self._fresh is not None:
            stored = self._fresh.put(labels, self._rows.codec.floats(stored))
        self._graph.put(labels, stored)


class FreshRows:
    """The rows as another codec has them."""

    def __init__(self, codec: Codec, size: int) -> None:
        self.codec = codec
        self.matrix: Stored = np.zeros((size, codec.width), codec.dtype)

    def put(self, labels: Labels, vectors: Vectors) -> Stored:
        """Write vectors and return how they are stored."""
        needed = int(labels.max(initial=-1)) + 1
        if needed > len(self.matrix):
            self.matrix = grown(self.matrix, max(needed, len(self.matrix) * 3 // 2))
        stored = self.codec.encode(vectors)
        self.matrix[labels] = stored
        return stored
