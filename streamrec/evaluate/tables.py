"""Figures as rows of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

#: Column → key of a method's figures.
_KEYS: Final = {
    "HR@10": "hr@10",
    "HR@20": "hr@20",
    "MRR@20": "mrr@20",
    "NDCG@20": "ndcg@20",
    "recall@20": "recall@20",
    "coverage": "coverage",
    "tail recall": "longtail_recall",
    "tail share": "longtail_share",
    "novelty": "novelty",
    "diversity": "diversity",
    "cold": "cold_lists",
    "ms": "ms",
    "MB": "bytes",
    "freshness s": "freshness_s",
}
COLUMNS: Final = ("method", *_KEYS)


#: Of the table of injected fraud.
FRAUD_COLUMNS: Final = (
    *("fraud", "bounds", "stays of a list", "least", "cold list"),
    *("lists with it", "before", "trend", "before", "a weight moved by"),
)


def rows(methods: Mapping[str, Mapping[str, Any]]) -> list[list[Any]]:
    """Return one row for each method, the best MRR@20 first; bytes as MB, "-" for what does not apply."""
    ordered = sorted(methods.items(), key=lambda pair: -pair[1]["mrr@20"])
    return [[name, *(_value(figures, key) for key in _KEYS.values())] for name, figures in ordered]


def fraud_rows(found: Mapping[str, Any]) -> list[list[Any]]:
    """Return one row for each fraud, without and with the bounds against it, and one for the stream itself."""
    sides = [(name, side, figures) for name, both in found["frauds"].items() for side, figures in both.items()]
    return [
        [
            name,
            "without" if side == "undefended" else "with",
            *(figures[key] for key in ("overlap", "least", "cold")),
            *figures["pushed"][::-1],
            *figures["trend"][::-1],
            figures.get("weights", "-"),  # of measurements from before weights were learnt
        ]
        for name, side, figures in [*sides, ("none, 100 interactions", "defended", found["calm"])]
    ]


def _value(figures: Mapping[str, Any], key: str) -> Any:
    value = figures.get(key)
    if value is None:
        return "-"
    return round(value / 1e6, 2) if key == "bytes" else value


def markdown(columns: Sequence[str], lines: Sequence[Sequence[Any]]) -> str:
    """Return a table in Markdown."""
    head = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    return "\n".join([*head, *(f"| {' | '.join(_cell(value) for value in line)} |" for line in lines)])


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
