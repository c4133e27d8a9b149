"""Nearest items of interests and queries, searched for once each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamrec.index import VectorIndex


class NearestItems:
    """A cache in front of an index that lasts until the index changes; past ``max_searches`` the oldest answer is forgotten.

    Its content never shows in an answer, only in its speed. It pays because a visitor's interests are real items and outlive the
    visitor's next events: replaying shop visits, four of five searches had just been made.
    """

    def __init__(self, index: VectorIndex, max_searches: int) -> None:
        self._index = index
        self._max = max_searches
        #: By how many were asked for, and the key.
        self._found: dict[tuple[int, int | str], NDArray[np.int32]] = {}
        self._version = index.version

    def get(self, keys: Sequence[int | str], vectors: NDArray[np.float32], n: int) -> NDArray[np.int32]:
        """Return the ``n`` nearest items of (q, dim) vectors, (q, n or fewer) int32, -1 where there are fewer.

        A key names its vector for as long as the index stays as it is: the row of an item, or the text of a query.
        """
        k = min(n, len(self._index))
        if not keys or not k:
            return np.empty((len(keys), 0), np.int32)
        if self._version != self._index.version:
            self._version = self._index.version
            self._found.clear()
        wanted = [(k, key) for key in keys]
        missing = {key: place for place, key in enumerate(wanted) if key not in self._found}
        if missing:
            self._found.update(zip(missing, self._index.search(vectors[list(missing.values())], k)[0], strict=True))
        labels = np.array([self._found[key] for key in wanted])
        while len(self._found) > self._max:
            del self._found[next(iter(self._found))]
        return labels
