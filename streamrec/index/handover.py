"""One index filled from another in a background thread while the other goes on answering and changing."""

from __future__ import annotations

import threading
from typing import Final

import numpy as np

from streamrec.errors import VectorIndexError
from streamrec.index.hnsw import HnswIndex
from streamrec.index.onnx_exact import OnnxExactIndex
from streamrec.index.port import Labels

#: Vectors copied between two looks at whether to stop; into a graph they take a fifth of a second.
_CHUNK: Final = 512
#: The builder catches up by itself until so few changes are left; the caller's thread pays for these.
_LEFT_FOR_CALLER: Final = 32

Index = OnnxExactIndex | HnswIndex


class Handover:
    """Copies what ``source`` holds into ``target``; the caller notes every label that it changes meanwhile.

    A row may be read while it is being written: its label is noted after the write, so it is read again. Only the builder's thread
    touches the target until ``ready``, only the caller's from then on. Blocks are copied in ``finish``.
    """

    def __init__(self, source: Index, target: Index) -> None:
        self._source = source
        self.target = target
        self._labels = np.flatnonzero(source.rows.present).astype(np.int32)
        self._copied = 0
        self._changed: set[int] = set()
        self._progress = threading.Condition()
        self._stop = threading.Event()
        self._error: BaseException | None = None
        # A daemon, so that a worker that is told to end does not wait for an index that nobody will search.
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="streamrec-index-handover", daemon=True)
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether the builder has nothing more to do."""
        return not self._thread.is_alive()

    def note(self, labels: Labels) -> None:
        """Remember labels that were just written or dropped."""
        with self._progress:
            self._changed.update(labels.tolist())
            self._progress.notify_all()

    def pace(self, most: int) -> None:
        """Wait until at most so many labels are left to copy, or the builder has ended."""
        with self._progress:
            self._progress.wait_for(lambda: self._left() <= most or self._ended)

    def join(self, timeout_s: float | None = None) -> None:
        """Wait until ``ready``."""
        self._thread.join(timeout_s)

    def cancel(self) -> None:
        """Give up the target; returns when the builder has ended, at most one chunk later."""
        self._stop.set()
        self._thread.join()
        _close(self.target)

    def finish(self) -> Index:
        """Return the target with every noted change and all blocks; call it once, when ``ready``.

        Raises VectorIndexError if the builder failed.
        """
        if self._error is not None:
            msg = (
                f"building another vector index failed: {self._error!r}; if memory ran out, give the worker more or set index.kind"
            )
            raise VectorIndexError(msg) from self._error
        self._replay(self._changed)
        self.target.block(np.flatnonzero(self._source.rows.blocked))
        return self.target

    def _left(self) -> int:
        return len(self._labels) - self._copied + len(self._changed)

    def _run(self) -> None:
        try:
            for start in range(0, len(self._labels), _CHUNK):
                if self._stop.is_set():
                    return
                self._copy(self._labels[start : start + _CHUNK])
                with self._progress:
                    self._copied = min(start + _CHUNK, len(self._labels))
                    self._progress.notify_all()
            while (changed := self._take()) and not self._stop.is_set():
                self._replay(changed)
        except BaseException as error:  # noqa: BLE001 - it is raised again where somebody can act on it, in ``finish``
            self._error = error
        finally:
            with self._progress:
                self._ended = True
                self._progress.notify_all()

    def _take(self) -> set[int]:
        """Return some of the changes to catch up with, or none when the few that are left are the caller's."""
        with self._progress:
            self._progress.notify_all()
            if len(self._changed) <= _LEFT_FOR_CALLER:
                return set()
            return {self._changed.pop() for _ in range(min(_CHUNK, len(self._changed)))}

    def _replay(self, changed: set[int]) -> None:
        labels = np.array(sorted(changed), np.int32)
        for start in range(0, len(labels), _CHUNK):
            self._copy(labels[start : start + _CHUNK])

    def _copy(self, labels: Labels) -> None:
        rows = self._source.rows
        present = rows.present[labels]
        self.target.remove(labels[~present])
        if present.any():
            self.target.upsert(labels[present], rows.get(labels[present]))


def _close(index: Index) -> None:
    if isinstance(index, HnswIndex):
        index.close()
