"""Figures of retrieval, pairs and lists as rows of tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

RETRIEVAL: Final = ("encoder/method", "NDCG@10", "95 %", "recall@10", "hit@10", "MRR@10", "judged@10", "ms", "NDCG of originals")
PAIRS: Final = ("encoder/method", "AUC best from worst", "95 %", "AUC best from rest", "Spearman", "two of one query")
LISTS: Final = (
    "ranking",
    "what happens",
    "NDCG@10 before",
    "after",
    "95 %",
    "fitting before",
    "after",
    "other need before",
    "after",
    "new in first 10",
)


def all_tables(result: Mapping[str, Any]) -> Iterator[tuple[str, Sequence[str], list[list[Any]]]]:
    """Yield title, columns and rows of every table that the figures make."""
    for name, protocols in result["retrieval"].items():
        for protocol, methods in protocols.items():
            yield f"retrieval: {name}: {protocol}", RETRIEVAL, retrieval_rows(methods)
    for name, methods in result["pairs"].items():
        yield f"pairs: {name}", PAIRS, pair_rows(methods)
    for name, encoders in result["lists"].items():
        for encoder, rankings in encoders.items():
            yield f"lists: {name}: {encoder}", LISTS, list_rows(rankings)


def retrieval_rows(methods: Mapping[str, Mapping[str, Any]]) -> list[list[Any]]:
    """Return one row for each method, the best NDCG@10 first."""
    keys = ("recall@10", "hit@10", "mrr@10", "judged@10", "ms")
    ordered = sorted(methods.items(), key=lambda pair: -pair[1]["ndcg@10"])
    return [
        [name, found["ndcg@10"], _interval(found, "ndcg@10"), *(found[key] for key in keys), found.get("ndcg@10_of_originals", "-")]
        for name, found in ordered
    ]


def pair_rows(methods: Mapping[str, Mapping[str, Any]]) -> list[list[Any]]:
    """Return one row for each method."""
    keys = ("auc_best_from_rest", "spearman", "same_query")
    return [
        [name, _known(found["auc_best_from_worst"]), _interval(found, "auc_best_from_worst"), *(_known(found[key]) for key in keys)]
        for name, found in methods.items()
    ]


def list_rows(rankings: Mapping[str, Any]) -> list[list[Any]]:
    """Return one row for each ranking and scenario."""
    return [
        [
            name,
            scenario,
            found["before"]["ndcg@10"],
            found["after"]["ndcg@10"],
            _interval(found["after"], "ndcg@10"),
            *(found[when][key] for key in ("fitting@10", "other@10") for when in ("before", "after")),
            found["new_in_first_10"],
        ]
        for name, scenarios in rankings.items()
        if isinstance(scenarios, dict)
        for scenario, found in scenarios.items()
    ]


def _interval(found: Mapping[str, Any], key: str) -> str:
    low, high = found["interval95"].get(key, (None, None))
    return "-" if low is None else f"{low:.3f} to {high:.3f}"


def _known(value: float | None) -> float | str:
    return "-" if value is None else value
