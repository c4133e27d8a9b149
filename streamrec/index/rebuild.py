"""A second graph, built from the rows in a background thread while the first one goes on answering."""

from __future__ import annotations

import threading
from typing import Final

import numpy as np

from streamrec.errors import VectorIndexError
from streamrec.index.graph import Graph, GraphOptions
from streamrec.index.port import Labels
from streamrec.index.rows import Rows

#: Vectors inserted between two looks at whether to stop.
_CHUNK: Final = 2048
#: The builder catches up by itself until so few changes are left; the caller's thread pays for these, about 0.2 ms each.
_LEFT_FOR_CALLER: Final = 32


class Rebuild:
    """Builds a fresh graph of what the rows hold; the caller notes every label that it changes meanwhile.

    A row may be read while it is being written: its label is noted after the write, so it is read again.
    Only the builder's thread touches the new graph until ``ready``, only the caller's from then on.
    """

    def __init__(self, rows: Rows, dim: int, options: GraphOptions) -> None:
        self._rows = rows
        self._labels = np.flatnonzero(rows.present).astype(np.int32)
        self._graph = Graph(dim, options, capacity=len(self._labels) + len(self._labels) // 8 + _CHUNK)
        self._changed: set[int] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._error: BaseException | None = None
        # A daemon, so that a worker that is told to end does not wait for a graph that nobody will search.
        self._thread = threading.Thread(target=self._run, name="streamrec-index-rebuild", daemon=True)
        self._thread.start()

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

    def finish(self) -> Graph:
        """Return the new graph with every noted change and every block in it; call it once, when ``ready``.

        Raises VectorIndexError if the builder failed.
        """
        if self._error is not None:
            msg = f"rebuilding the vector index failed: {self._error!r}; if memory ran out, give the worker more or lower index.m"
            raise VectorIndexError(msg) from self._error
        self._replay(self._changed)
        present = self._rows.present & self._rows.blocked
        self._graph.hide(np.flatnonzero(present).astype(np.int32))
        return self._graph

    def _run(self) -> None:
        try:
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
        present = self._rows.present[labels]
        self._graph.drop(labels[~present])
        self._graph.put(labels[present], self._rows.matrix[labels[present]])
