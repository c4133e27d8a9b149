"""One index in front of two: the model that answers now, and the next one until it can take over.

Vectors of two models cannot be compared. A new model's vectors come one by one, while searches go on: they are collected beside the
old ones, and from one search to the next the other model answers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamrec.index.port import Labels, VectorIndex, Vectors
from streamrec.index.rows import grown


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many items have a vector in the generation served now, in the next one, and in both."""

    served: int
    next: int
    both: int

    @property
    def share(self) -> float:
        """How much of what is served now the next generation has, in [0, 1]."""
        return self.both / self.served if self.served else float(self.next > 0)


class Generation:
    """The vectors of one model, and a mask of the labels that have one."""

    def __init__(self, index: VectorIndex, model: str | None) -> None:
        self.index = index
        self.model = model
        self._has = _held(index)

    def put(self, labels: ArrayLike, vectors: ArrayLike) -> None:
        """Set the vectors of labels."""
        self.index.upsert(labels, vectors)
        rows = _rows(labels)
        self._has = _long_enough(self._has, rows)
        self._has[rows] = True

    def drop(self, labels: ArrayLike) -> None:
        """Forget the vectors of labels."""
        self.index.remove(labels)
        rows = _rows(labels)
        self._has[rows[rows < len(self._has)]] = False

    def has(self, n: int) -> NDArray[np.bool_]:
        """Return which of the labels 0..n have a vector, (n,) bool."""
        return self._has[:n] if n <= len(self._has) else grown(self._has, n)

    @property
    def labels(self) -> Labels:
        """The labels that have a vector, ascending."""
        return np.flatnonzero(self._has).astype(np.int32)

    @property
    def size(self) -> int:
        """One more than the greatest label that there may be."""
        return len(self._has)

    def close(self) -> None:
        """Stop what the index still does in the background."""
        close: Callable[[], None] | None = getattr(self.index, "close", None)
        if close is not None:
            close()


class Generations:
    """A vector index that answers from one model at a time; see the port.

    Changes by the port's methods are changes of the generation served now; removals and blocks reach both. ``make`` returns an
    empty index for a dimension; ``model`` is the digest of the model whose vectors ``index`` holds or will hold, None while
    unknown.
    """

    def __init__(self, index: VectorIndex, make: Callable[[int], VectorIndex], model: str | None = None) -> None:
        self.dim = index.dim
        self._make = make
        self._served = Generation(index, model)
        self._next: Generation | None = None
        self._blocked = np.zeros(0, np.bool_)
        #: Added to the version of the index that answers, which counts from 0.
        self._passed = 0

    # -- the port ----------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._served.index)

    def __contains__(self, label: object) -> bool:
        return label in self._served.index

    @property
    def version(self) -> int:
        """A number that grows with every change that an answer may show, a switch of models too; see the port."""
        return self._passed + self._served.index.version

    @property
    def nbytes(self) -> int:
        """How many bytes both take; see the port."""
        return sum(generation.index.nbytes for generation in self._both())

    @property
    def compact(self) -> bool:
        """Whether the vectors that are served are cut; see the port."""
        return self._served.index.compact

    def upsert(self, labels: ArrayLike, vectors: ArrayLike) -> None:
        """Set vectors of the model that is served; see the port."""
        self._served.put(labels, vectors)

    def remove(self, labels: ArrayLike) -> None:
        """Forget the vectors of labels, those of the next model too; see the port."""
        for generation in self._both():
            generation.drop(labels)

    def block(self, labels: ArrayLike) -> None:
        """Keep labels out of every answer, those of the next model too; see the port."""
        for generation in self._both():
            generation.index.block(labels)
        rows = _rows(labels)
        self._blocked = _long_enough(self._blocked, rows)
        self._blocked[rows] = True

    def unblock(self, labels: ArrayLike) -> None:
        """Let labels back into the answers; see the port."""
        for generation in self._both():
            generation.index.unblock(labels)
        rows = _rows(labels)
        self._blocked[rows[rows < len(self._blocked)]] = False

    def shown(self, labels: ArrayLike) -> NDArray[np.bool_]:
        """Tell which labels an answer may hold; see the port."""
        return self._served.index.shown(labels)

    def search(
        self, queries: ArrayLike, k: int, mask: NDArray[np.bool_] | None = None, *, blocked: bool = False
    ) -> tuple[Labels, Vectors]:
        """Answer from the model that is served; see the port."""
        return self._served.index.search(queries, k, mask, blocked=blocked)

    def vectors(self, labels: ArrayLike) -> Vectors:
        """Return vectors of the model that is served; see the port."""
        return self._served.index.vectors(labels)

    def similarity(self, labels: ArrayLike, queries: ArrayLike) -> Vectors:
        """Return cosines by the model that is served; see the port."""
        return self._served.index.similarity(labels, queries)

    def save(self, folder: Path) -> None:
        """Write what is served; see the port. What is collected is written by ``save_next``."""
        self._served.index.save(folder)

    def save_next(self, folder: Path) -> tuple[str, int] | None:
        """Write what is collected into a new folder, and return its model and dimension; None and no folder where nothing is."""
        if self._next is None or self._next.model is None:
            return None
        folder.mkdir()
        self._next.index.save(folder)
        return self._next.model, self._next.index.dim

    def restore_next(self, folder: Path, model: str, dim: int) -> None:
        """Collect from now on beside what ``save_next`` wrote."""
        index = self._make(dim)
        index.restore(folder)
        self.abandon()
        self._next = Generation(index, model)
        index.block(np.flatnonzero(self._blocked))

    def replace_empty(self, model: str, dim: int) -> None:
        """Answer from an empty index of another model."""
        self.answer_from(self._make(dim), model)

    def restore(self, folder: Path) -> None:
        """Take what was saved as vectors of the model that is named, and collect nothing; see the port."""
        self._served.index.restore(folder)
        self.answer_from(self._served.index, self._served.model)

    # -- the roll ----------------------------------------------------------------------------------------------------

    @property
    def served(self) -> VectorIndex:
        """The index that answers now."""
        return self._served.index

    @property
    def model(self) -> str | None:
        """The digest of the model that answers now; None before its first vector, where nobody named it."""
        return self._served.model

    @property
    def next_model(self) -> str | None:
        """The digest of the model whose vectors are collected, None while there is none."""
        return None if self._next is None else self._next.model

    def name(self, model: str) -> None:
        """Say whose vectors the index that answers holds."""
        self._served.model = model

    def answer_from(self, index: VectorIndex, model: str | None) -> None:
        """Answer from an index that was filled elsewhere, such as one read from a snapshot; nothing is collected then."""
        version = self.version
        self._served, self._next, self.dim = Generation(index, model), None, index.dim
        self._served.index.block(np.flatnonzero(self._blocked))
        self._passed = version + 1 - index.version

    def begin(self, model: str, dim: int) -> None:
        """Collect the vectors of a model; what was collected of another is dropped."""
        self.abandon()
        self._next = Generation(self._make(dim), model)
        self._next.index.block(np.flatnonzero(self._blocked))

    def abandon(self) -> None:
        """Collect no longer."""
        if self._next is not None:
            self._next.close()
            self._next = None

    def dim_of(self, model: str) -> int | None:
        """Return the dimension of a model's generation, None where it has none."""
        generation = self._of(model)
        return None if generation is None else generation.index.dim

    def put(self, model: str, labels: Labels, vectors: ArrayLike) -> None:
        """Set vectors of a model that has a generation; those of others are ignored."""
        generation = self._of(model)
        if generation is not None and len(labels):
            generation.put(labels, vectors)

    def drop(self, model: str, labels: Labels) -> None:
        """Forget vectors of a model that has a generation."""
        generation = self._of(model)
        if generation is not None and len(labels):
            generation.drop(labels)

    def coverage(self, gone: NDArray[np.bool_] | None = None) -> Coverage:
        """Count who has a vector where; labels that are True in ``gone`` do not count."""
        if self._next is None:
            return Coverage(len(self), 0, 0)
        n = max(self._served.size, self._next.size)
        served, following = self._served.has(n), self._next.has(n)
        if gone is not None:
            counted = ~grown(gone, n)[:n] if len(gone) < n else ~gone[:n]
            served, following = served & counted, following & counted
        return Coverage(*(int(np.count_nonzero(mask)) for mask in (served, following, served & following)))

    def switch(self, *, keep: bool, whole: bool = False) -> Labels:
        """Answer from the next generation from now on; returns the labels that have a vector in it.

        The old one is freed, or with ``keep`` collects further: it keeps the vectors of items that the new one does not have, and
        with ``whole`` all that it has.
        """
        if self._next is None:
            return self._served.labels
        old, new, version = self._served, self._next, self.version
        self._served, self._next, self.dim = new, None, new.index.dim
        self._passed = version + 1 - new.index.version
        if whole:
            self._next = old
            return new.labels
        superseded = np.flatnonzero(old.has(old.size) & new.has(old.size)).astype(np.int32)
        if keep and len(superseded) < len(old.index):
            old.drop(superseded)
            self._next = old
        else:
            old.close()
        return new.labels

    def _both(self) -> list[Generation]:
        return [self._served] if self._next is None else [self._served, self._next]

    def _of(self, model: str) -> Generation | None:
        return next((generation for generation in self._both() if generation.model == model), None)


def _rows(labels: ArrayLike) -> Labels:
    """Return labels that an index has checked as positions."""
    return np.atleast_1d(np.asarray(labels)).astype(np.int32)


def _long_enough(mask: NDArray[np.bool_], labels: Labels) -> NDArray[np.bool_]:
    needed = int(labels.max(initial=-1)) + 1
    return mask if needed <= len(mask) else grown(mask, max(needed, len(mask) + len(mask) // 2))


def _held(index: VectorIndex) -> NDArray[np.bool_]:
    """Ask an index that may hold vectors already which labels have one."""
    held: list[bool] = []
    missing = len(index)
    while missing:
        held.append(len(held) in index)
        missing -= held[-1]
    return np.array(held, np.bool_)
