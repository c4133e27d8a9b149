"""What answers a query: the project's own search, what it approximates, keyword search, and both together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamrec.candidates.ordering import top
from streamrec.catalogue.filters import ANY, Filter
from streamrec.evaluate.relevance import fusion
from streamrec.evaluate.relevance.catalogue import Catalogue
from streamrec.evaluate.relevance.lexical import Bm25

#: What fusion takes of each answer.
DEPTH: Final = 100
Places = NDArray[np.intp]
#: Place of an item in the catalogue → its score, best first.
Answer = dict[int, float]


class Method(ABC):
    """Answers queries over one catalogue."""

    def warm(self, queries: Sequence[str]) -> None:  # noqa: B027 - most methods keep nothing
        """Do beforehand what has nothing to do with searching: encode the queries."""

    @abstractmethod
    def search(self, query: str, n: int, among: Places | None = None) -> Answer:
        """Return the best ``n`` or fewer, of all items or of those at the places ``among``."""


class Exact(Method):
    """Cosines with all vectors as the encoder gave them."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._vectors: dict[str, NDArray[np.float32]] = {}

    def warm(self, queries: Sequence[str]) -> None:
        """Encode the queries."""
        self._vectors.update(zip(queries, self._catalogue.texts.encode(queries, query=True), strict=True))

    def search(self, query: str, n: int, among: Places | None = None) -> Answer:
        """Return the nearest."""
        if query not in self._vectors:
            self.warm([query])
        scores = (self._catalogue.vectors @ self._vectors[query]).astype(np.float64)
        return best(_only(scores, among), self._catalogue.hashes, n)


class Hnsw(Method):
    """What a worker answers: the ranker's search over the index that the settings name."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        catalogue.shop.settle()
        self._ranker = catalogue.shop.knowledge.ranker

    def warm(self, queries: Sequence[str]) -> None:
        """Have the ranker encode the queries."""
        for query in queries:
            self._ranker.search(query, self._catalogue.now_ms, 1)

    def search(self, query: str, n: int, among: Places | None = None) -> Answer:
        """Return the nearest; among few items the index finds them without its graph, as behind any narrow filter."""
        known = self._catalogue
        wanted = ANY if among is None else Filter(exclude=frozenset(known.ids) - {known.ids[place] for place in among.tolist()})
        found = self._ranker.search(query, known.now_ms, n, wanted)
        places = (known.places[item_id] for item_id in found.ids(self._ranker.items))
        return dict(zip(places, map(float, found.scores), strict=True))


class Keywords(Method):
    """BM25; what has no word of the query is not found."""

    def __init__(self, catalogue: Catalogue, model: Bm25) -> None:
        self._hashes = catalogue.hashes
        self._model = model

    def search(self, query: str, n: int, among: Places | None = None) -> Answer:
        """Return the best."""
        scores = self._model.scores(query)
        scores[scores <= 0] = -np.inf
        return best(_only(scores, among), self._hashes, n)


class Hybrid(Method):
    """The best ``DEPTH`` of two methods by the sum of their reciprocal ranks, or by half the scores of each."""

    def __init__(self, catalogue: Catalogue, parts: tuple[Method, Method], *, ranks: bool) -> None:
        self._hashes = catalogue.hashes
        self._parts = parts
        self._ranks = ranks

    def warm(self, queries: Sequence[str]) -> None:
        """Have the parts encode the queries."""
        for part in self._parts:
            part.warm(queries)

    def search(self, query: str, n: int, among: Places | None = None) -> Answer:
        """Return the best."""
        answers = [part.search(query, max(n, DEPTH), among) for part in self._parts]
        fused = fusion.by_ranks([list(answer) for answer in answers]) if self._ranks else fusion.by_scores(answers, (0.5, 0.5))
        places = np.fromiter(fused, np.intp, len(fused))
        scores = np.fromiter(fused.values(), np.float64, len(fused))
        found = top(scores, self._hashes[places], n)
        return dict(zip(places[found].tolist(), scores[found].tolist(), strict=True))


def best(scores: NDArray[np.float64], hashes: NDArray[np.uint64], n: int) -> Answer:
    """Return the ``n`` greatest of (m,) scores, equal ones by their hash; -inf is no answer."""
    # Rounded, so that equal texts tie exactly and no row number decides.
    found = top(scores.round(6), hashes, n)
    return dict(zip(found.tolist(), scores[found].tolist(), strict=True))


def _only(scores: NDArray[np.float64], among: Places | None) -> NDArray[np.float64]:
    if among is None:
        return scores
    kept = np.full(len(scores), -np.inf)
    kept[among] = scores[among]
    return kept


def build(catalogue: Catalogue, keywords: Method | None) -> dict[str, Method]:
    """Return the methods of one encoder by name; hybrids only where there is keyword search."""
    hnsw = Hnsw(catalogue)
    methods: dict[str, Method] = {"exact": Exact(catalogue), "hnsw": hnsw}
    if keywords is not None:
        methods["rrf"] = Hybrid(catalogue, (hnsw, keywords), ranks=True)
        methods["weighted"] = Hybrid(catalogue, (hnsw, keywords), ranks=False)
    return methods
