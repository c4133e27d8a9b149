"""Nearest items of interests and queries, searched for once each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamrec.index import VectorIndex

#: Halves of what is asked for that are searched for: at first half as many again, at most eight times as many.
_FIRST_HALVES: Final = 3
_MOST_HALVES: Final = 16


class NearestItems:
    """A cache in front of an index that lasts until a vector changes; past ``max_searches`` the oldest answer is forgotten.

    Its content shows in no answer of an exact index, and in those of others no more than their own approximation. It pays because a
    visitor's interests are real items and outlive the visitor's next events: replaying shop visits, four of five searches had just
    been made. Kept is what is near, sold out or not, and more of it than is asked for: an item that sells out or returns changes no
    answer that is kept, only what is taken of it. Where too little is left the index is asked again, and where that happens often
    more is kept.
    """

    def __init__(self, index: VectorIndex, max_searches: int) -> None:
        self._index = index
        self._max = max_searches
        #: By how many were searched for, and the key.
        self._found: dict[tuple[int, int | str], NDArray[np.int32]] = {}
        self._version = index.version
        self._halves = _FIRST_HALVES

    def get(self, keys: Sequence[int | str], vectors: NDArray[np.float32], n: int) -> NDArray[np.int32]:
        """Return the ``n`` nearest items of (q, dim) vectors, (q, n or fewer) int32, -1 where there are fewer.

        A key names its vector for as long as the index stays as it is: the row of an item, or the text of a query.
        """
        k = min(n, len(self._index))
        if not keys or not k:
            return np.empty((len(keys), 0), np.int32)
        kept = self._kept(keys, vectors, min(k * self._halves // 2 + 1, len(self._index)))
        shown = (kept >= 0) & self._index.shown(kept.clip(min=0).ravel()).reshape(kept.shape)
        if shown[:, :k].all():
            return kept[:, :k]
        order = np.argsort(~shown, axis=1, kind="stable")[:, :k]
        labels = np.where(np.take_along_axis(shown, order, axis=1), np.take_along_axis(kept, order, axis=1), -1)
        if kept.shape[1] < len(self._index):
            self._mend(labels, vectors)
        return labels

    def _kept(self, keys: Sequence[int | str], vectors: NDArray[np.float32], width: int) -> NDArray[np.int32]:
        """Return the ``width`` nearest vectors of each key, sold out or not."""
        if self._version != self._index.version:
            self._version = self._index.version
            self._found.clear()
        wanted = [(width, key) for key in keys]
        missing = {key: place for place, key in enumerate(wanted) if key not in self._found}
        if missing:
            found = self._index.search(vectors[list(missing.values())], width, blocked=True)[0]
            self._found.update(zip(missing, found, strict=True))
        kept = np.array([self._found[key] for key in wanted])
        while len(self._found) > self._max:
            del self._found[next(iter(self._found))]
        return kept

    def _mend(self, labels: NDArray[np.int32], vectors: NDArray[np.float32]) -> None:
        """Search again where too much of what is kept has sold out."""
        short = np.flatnonzero(labels[:, -1] < 0)
        if len(short):
            labels[short] = self._index.search(vectors[short], labels.shape[1])[0]
        if len(short) * 8 > len(labels):
            self._halves = min(self._halves + 1, _MOST_HALVES)
