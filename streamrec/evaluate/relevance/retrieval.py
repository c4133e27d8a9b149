"""Answers to queries judged: among what people judged alone, and in the whole catalogue."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streamrec.evaluate.intervals import bootstrap_means, interval
from streamrec.evaluate.relevance import graded
from streamrec.evaluate.relevance.catalogue import Catalogue
from streamrec.evaluate.relevance.judgements import Query
from streamrec.evaluate.relevance.methods import Answer, Method

K: Final = 10
MEASURES: Final = ("ndcg@10", "recall@10", "hit@10", "mrr@10", "judged@10")
#: The method that workers search by; others are compared with it.
OURS: Final = "hnsw"


class Judge:
    """Asks methods the queries that have something to find, by one protocol.

    ``judged``: only items judged for the query are ranked. ``whole``: all items are, and what nobody judged counts as grade 0.
    """

    def __init__(self, catalogue: Catalogue, queries: Sequence[Query], least: int, protocol: str) -> None:
        self._catalogue = catalogue
        self.queries = [query for query in queries if query.fitting(least)]
        self._least = least
        self._judged = protocol == "judged"

    def values(self, method: Method, asked: Callable[[], None] = lambda: None) -> tuple[NDArray[np.float64], list[float]]:
        """Return the measures of each query, (q, len(MEASURES)) float64, and the seconds that each search took."""
        method.warm([query.text for query in self.queries])
        values, seconds = [], []
        for query in self.queries:
            among = self._places(query) if self._judged else None
            begin = perf_counter()
            answer = method.search(query.text, K if among is None else len(among), among)
            seconds.append(perf_counter() - begin)
            values.append(self._measured(query, answer, among))
            asked()
        return np.array(values).reshape(len(self.queries), len(MEASURES)), seconds

    def _places(self, query: Query) -> NDArray[np.intp]:
        """Return the places of what was judged, in the order of their hashes: what a method leaves out follows in it."""
        places = np.array([self._catalogue.places[item_id] for item_id in query.grades], np.intp)
        return places[np.argsort(self._catalogue.hashes[places])]

    def _measured(self, query: Query, answer: Answer, among: NDArray[np.intp] | None) -> list[float]:
        places = list(answer)
        if among is not None:
            places += [place for place in among.tolist() if place not in answer]
        ids = [self._catalogue.ids[place] for place in places[:K]]
        grades, judged = [query.grades.get(item_id, 0) for item_id in ids], list(query.grades.values())
        return [
            graded.ndcg(grades, judged, K),
            graded.recall(grades, judged, K, self._least),
            float(any(grade >= self._least for grade in grades)),
            graded.first_found(grades, K, self._least),
            sum(item_id in query.grades for item_id in ids) / max(len(ids), 1),
        ]


def figures(values: NDArray[np.float64], seconds: Sequence[float], seed: int) -> dict[str, Any]:
    """Return the means over queries, (q, len(MEASURES)) float64, with the intervals over queries and the median time."""
    drawn = bootstrap_means(values, np.arange(len(values)), seed=seed)
    return {
        **{name: round(float(mean), 4) for name, mean in zip(MEASURES, values.mean(axis=0), strict=True)},
        "interval95": {name: interval(drawn[:, place]) for place, name in enumerate(MEASURES)},
        "ms": round(1e3 * float(np.median(seconds)), 3),
    }


def lead(values: NDArray[np.float64], others: NDArray[np.float64], seed: int) -> dict[str, Any]:
    """Return by how much one method's NDCG@10 exceeds another's over the same queries, and its interval."""
    difference = (values - others)[:, :1]
    drawn = bootstrap_means(difference, np.arange(len(difference)), seed=seed)
    return {"ndcg@10": round(float(difference.mean()), 4), "interval95": interval(drawn[:, 0])}


def of_originals(queries: Sequence[Query], by_text: Mapping[str, float]) -> float | None:
    """Return the mean NDCG@10 of what the queries are translations of; None where they are none, or one was not asked."""
    found = [by_text.get(query.original) for query in queries]
    known = [value for value in found if value is not None]
    return round(float(np.mean(known)), 4) if known and len(known) == len(found) else None
