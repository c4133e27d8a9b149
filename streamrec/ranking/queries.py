"""Vectors of search queries, encoded once each."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrec.errors import ModelError
from streamrec.index import VectorIndex


class QueryVectors:
    """A cache in front of an encoder; at ``max_queries`` the query asked for longest ago is forgotten.

    Its content never shows in an answer, only in its speed: an encoder gives equal texts equal vectors, and when ``model`` names
    another one, nothing of the one before is kept. ``can_encode`` tells
    whether the vectors that ``index`` answers from are of the encoder's model; while they are not, no query has a vector.
    """

    def __init__(
        self,
        encode: Callable[[Sequence[str]], NDArray[Any]] | None,
        index: VectorIndex,
        max_queries: int,
        can_encode: Callable[[], bool] = lambda: True,
        model: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._model = model
        self._encoded_by = model()
        self._encode = encode
        self._index = index
        self._can_encode = can_encode
        self._max = max_queries
        self._vectors: OrderedDict[str, NDArray[np.float32]] = OrderedDict()

    def get(self, queries: Sequence[str]) -> list[NDArray[np.float32]]:
        """Return (1, dim) float32 for each query, (0, dim) for an empty one or where there is no encoder for the index' vectors.

        Raises ModelError if the encoder's vectors do not fit the index.
        """
        nothing = np.empty((0, self._index.dim), np.float32)
        if self._encode is None or not self._can_encode():
            return [nothing] * len(queries)
        if self._model() != self._encoded_by:
            self._encoded_by = self._model()
            self._vectors.clear()
        known = {query: self._vectors[query] for query in queries if query in self._vectors}
        missing = sorted({query for query in queries if query and query not in known})
        if missing:
            vectors = np.asarray(self._encode(missing), np.float32)
            if vectors.shape != (len(missing), self._index.dim):
                msg = (
                    f"the encoder gave {vectors.shape} for {len(missing)} queries, the index has dimension {self._index.dim}; "
                    "use one model for items and queries"
                )
                raise ModelError(msg)
            known |= {query: vectors[i : i + 1] for i, query in enumerate(missing)}
        for query, vector in known.items():
            self._vectors[query] = vector
            self._vectors.move_to_end(query)
        while len(self._vectors) > self._max:
            self._vectors.popitem(last=False)
        return [known[query] if query else nothing for query in queries]
