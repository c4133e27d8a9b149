"""What is shown of a comparison: one line per measure and one column per design, for people and for documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

#: Where a measure stands among a design's figures.
MEASURES: Final[Mapping[str, tuple[str, ...]]] = {
    "read p50, ms": ("read", "p50_ms"),
    "read p99, ms": ("read", "p99_ms"),
    "reads/s of one client": ("read", "per_s"),
    "read of three interests p50, ms": ("read_three", "p50_ms"),
    "read of three interests p99, ms": ("read_three", "p99_ms"),
    "read p50 while items flip, ms": ("read_during_flips", "p50_ms"),
    "read p99 while items flip, ms": ("read_during_flips", "p99_ms"),
    "flips/s reached meanwhile": ("read_during_flips", "flips_per_s"),
    "sold out → in no read p50, ms": ("soldout", "p50_ms"),
    "sold out → in no read p99, ms": ("soldout", "p99_ms"),
    "hot item gone from all reads, ms": ("hot", "gone_ms"),
    "hot item back in all reads, ms": ("hot", "back_ms"),
    "recall@10, fresh": ("recall_at_10", "fresh"),
    "recall@10, after churn": ("recall_at_10", "churned"),
    "Redis bytes per item": ("memory", "bytes_per_item"),
    "Redis bytes per visitor": ("memory", "bytes_per_visitor"),
    "Redis resident, MiB": ("memory", "rss_mib"),
    "loading items, s": ("build", "items_s"),
    "loading visitors, s": ("build", "visitors_s"),
}
#: What one line says of a design as soon as it has ended.
_TOLD: Final = (
    "read p50, ms",
    "read p99 while items flip, ms",
    "flips/s reached meanwhile",
    "hot item gone from all reads, ms",
    "hot item back in all reads, ms",
    "Redis resident, MiB",
)


def columns(result: Mapping[str, Any]) -> list[str]:
    """Return the names above ``rows``: the measure, then each design that was measured."""
    return ["measure", *_measured(result)]


def rows(result: Mapping[str, Any]) -> list[list[Any]]:
    """Return one row per measure of ``run``'s result; '-' where a design has no such figure."""
    return [[name, *(_figure(figures, path) for figures in _measured(result).values())] for name, path in MEASURES.items()]


def markdown(result: Mapping[str, Any]) -> str:
    """Return the rows as a Markdown table."""
    head = columns(result)
    lines = [head, ["---", *("---:" for _ in head[1:])], *([_shown(cell) for cell in row] for row in rows(result))]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def line(name: str, figures: Mapping[str, Any]) -> str:
    """Return the most telling figures of one design."""
    told = "; ".join(f"{measure}: {_shown(_figure(figures, MEASURES[measure]))}" for measure in _TOLD)
    return f"{name}: {told}; took {figures['seconds']:.0f} s"


def _measured(result: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {name: figures for name, figures in result["designs"].items() if figures is not None}


def _figure(figures: Mapping[str, Any], path: Sequence[str]) -> Any:
    part, name = path
    figure = figures.get(part, {}).get(name, "-")
    return figure if isinstance(figure, str) else round(figure, 4)  # a microsecond of nothing to do is 0


def _shown(cell: Any) -> str:
    if isinstance(cell, str):
        return cell
    return f"{cell:,.3g}" if abs(cell) < 100 else f"{cell:,.0f}"
