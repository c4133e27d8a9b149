"""Data that judged single pairs of a query and a text: whether a method's score can tell the grades apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streamrec.evaluate.intervals import interval

_DRAWS: Final = 200


def ranks(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the ranks of (n,) values, 1 for the least, equal ones the mean of theirs.

    >>> ranks(np.array([5.0, 1.0, 5.0])).tolist()
    [2.5, 1.0, 2.5]
    """
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean: NDArray[np.float64] = last - (counts - 1) / 2
    return mean[place]


def auc(scores: NDArray[np.float64], fits: NDArray[np.bool_]) -> float:
    """Return the chance that a pair that fits scores higher than one that does not, a tie counting half; nan without both.

    The Mann-Whitney statistic, as the area under the ROC curve.

    >>> auc(np.array([0.9, 0.5, 0.5, 0.1]), np.array([True, True, False, False]))
    0.875
    """
    n, m = int(fits.sum()), int((~fits).sum())
    return float((ranks(scores)[fits].sum() - n * (n + 1) / 2) / (n * m)) if n and m else float("nan")


def spearman(scores: NDArray[np.float64], grades: NDArray[np.int64]) -> float:
    """Return Spearman's rank correlation of scores and grades; nan where either never changes.

    >>> round(spearman(np.array([0.1, 0.4, 0.9]), np.array([0, 2, 1])), 6)
    0.5
    """
    left, right = ranks(scores), ranks(grades.astype(np.float64))
    varied = len(np.unique(scores)) > 1 and len(np.unique(grades)) > 1
    return float(np.corrcoef(left, right)[0, 1]) if varied else float("nan")


def same_query(scores: NDArray[np.float64], grades: NDArray[np.int64], queries: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return, for each two pairs of one query with different grades, 1 where the better one scores higher, ½ at a tie; (p, 2).

    The second column is the query's number.
    """
    order = np.argsort(queries, kind="stable")
    found: list[tuple[float, int]] = []
    for group in np.split(order, np.flatnonzero(np.diff(queries[order])) + 1):
        for i, first in enumerate(group):
            for second in group[i + 1 :]:
                sign = np.sign(grades[first] - grades[second])
                if sign:
                    found.append(((1.0 + sign * np.sign(scores[first] - scores[second])) / 2, int(queries[first])))
    return np.array(found, np.float64).reshape(len(found), 2)


def figures(scores: NDArray[np.float64], grades: NDArray[np.int64], queries: NDArray[np.int64], seed: int) -> dict[str, Any]:
    """Return the figures of (n,) pairs with their intervals over queries, which are (n,) numbers."""
    means = _of(scores, grades)
    together = same_query(scores, grades, queries)
    rng = np.random.default_rng(seed)
    n = int(queries.max()) + 1
    drawn: dict[str, list[float]] = {name: [] for name in (*means, "same_query")}
    for _ in range(_DRAWS):
        # The Poisson form of ``intervals``: each query counts a number of times.
        times = rng.poisson(1.0, n)
        chosen = np.repeat(np.arange(len(queries)), times[queries])
        for name, value in _of(scores[chosen], grades[chosen]).items():
            drawn[name].append(value)
        weights = times[together[:, 1].astype(np.intp)]
        drawn["same_query"].append(float(np.average(together[:, 0], weights=weights)) if weights.any() else float("nan"))
    means["same_query"] = float(together[:, 0].mean()) if len(together) else float("nan")
    return {
        "pairs": len(scores),
        "pairs_of_one_query": len(together),
        **{name: _plain(value) for name, value in means.items()},
        "interval95": {name: interval(known) for name, values in drawn.items() if len(known := _known(values))},
    }


def _of(scores: NDArray[np.float64], grades: NDArray[np.int64]) -> dict[str, float]:
    greatest = int(grades.max(initial=0))
    ends = (grades == 0) | (grades == greatest)
    return {
        "auc_best_from_worst": auc(scores[ends], grades[ends] > 0),
        "auc_best_from_rest": auc(scores, grades == greatest),
        "spearman": spearman(scores, grades),
    }


def _known(values: Sequence[float]) -> NDArray[np.float64]:
    """Return what of the draws could be told: few pairs may be drawn without one of the grades."""
    drawn = np.array(values)
    known: NDArray[np.float64] = drawn[~np.isnan(drawn)]
    return known


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 4)


def numbered(queries: Sequence[str]) -> NDArray[np.int64]:
    """Return a number for each query, equal ones having one; (n,) int64."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(query, len(numbers)) for query in queries], np.int64)
