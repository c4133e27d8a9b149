"""How every figure grows with the number of items and visitors: a table, and plots of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from streamrec.bench.freshness.options import FreshnessOptions
from streamrec.bench.freshness.report import LATENCIES
from streamrec.bench.freshness.run import run
from streamrec.demo.view import View
from streamrec.errors import ConfigError
from streamrec.plotting import pyplot

#: Title of a plot -> name of a curve -> where in a report its figure is.
_Curves = Mapping[str, Mapping[str, tuple[str, ...]]]
_FIXED: Final[_Curves] = {
    "Reads, ms": {name: (f"read_{name}_ms",) for name in ("p50", "p95", "p99")},
    "Reads per second": {"reads": ("reads_per_s",)},
    "Bytes in Redis": {"per visitor": ("bytes_per_visitor",), "per item": ("bytes_per_item",)},
}
Result = dict[str, Any]
_REPORTS: Final = "freshness.json"


def run_sizes(sizes: Sequence[int], options: FreshnessOptions, view: View, folder: Path | None) -> Result:
    """Run each size, items as many as visitors, and return ``sizes``: the reports by size; write table and plots into ``folder``.

    What was measured is written after each size, and a size whose report is in the folder is not measured again: a run that was cut
    off goes on where it was. Raises ConfigError where the plots' library is missing or the folder holds something else, and what
    ``run`` raises.
    """
    reports = {} if folder is None else _measured(folder)
    for size in sorted(set(sizes)):
        if size in reports:
            view.say(f"size {size:,} was measured before; remove {folder} to measure it again")
        else:
            view.say(f"size {size:,}")
            reports[size] = run(replace(options, items=size, users=size), view)
            reports = dict(sorted(reports.items()))
            if folder is not None:
                write_curves(reports, folder)
    return {"sizes": {str(size): found for size, found in reports.items()}}


def _measured(folder: Path) -> dict[int, Result]:
    """Return the reports in a folder by size, none where it has none."""
    pyplot("--plots")  # before anything is measured for an hour
    path = folder / _REPORTS
    if not path.exists():
        return {}
    try:
        return {int(size): found for size, found in json.loads(path.read_bytes()).items()}
    except (ValueError, AttributeError) as error:
        msg = f"{path} holds no reports of this bench ({error}); remove it, or write the plots elsewhere"
        raise ConfigError(msg) from error


def write_curves(reports: Mapping[int, Result], folder: Path) -> list[Path]:
    """Write ``freshness.json``, ``freshness.md`` and one SVG per plot; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    named = {_REPORTS: json.dumps({str(size): found for size, found in reports.items()}, indent=2) + "\n"}
    named["freshness.md"] = "\n".join(markdown(reports)) + "\n"
    for name, text in named.items():
        (folder / name).write_text(text, encoding="utf-8")
    plots = [_plot(title, curves, reports, folder) for title, curves in _all_curves(reports).items()]
    return [*(folder / name for name in named), *plots]


def markdown(reports: Mapping[int, Result]) -> Iterator[str]:
    """Yield the lines of a table: a figure per row, a size per column."""
    yield "| figure | " + " | ".join(f"{size:,}" for size in reports) + " |"
    yield "|---|" + "---:|" * len(reports)
    for title, curves in _all_curves(reports).items():
        for name, where in curves.items():
            values = [_figure(found, where) for found in reports.values()]
            if any(value is not None for value in values):
                yield f"| {title}: {name} | " + " | ".join(map(_told, values)) + " |"
    lengths = (f"{found['seconds']:,.0f}" for found in reports.values())
    yield f"| Seconds of load | {' | '.join(lengths)} |"
    verdicts = (f"{found['violations']['count']:,} in {found['reads']:,} reads" for found in reports.values())
    yield f"| Violations | {' | '.join(verdicts)} |"


def _all_curves(reports: Mapping[int, Result]) -> _Curves:
    memory = {name: ("memory_mb", name) for found in reports.values() for name in found["memory_mb"]}
    starts = {
        f"{how}, {step.removesuffix('_s')}": ("restart", how, step)
        for found in reports.values()
        for how, steps in found["restart"].items()
        for step in steps
    }
    built = {name: ("load", name, "seconds") for found in reports.values() for name in found["load"]}
    return {
        **{f"Latency {share}, ms": _latencies(reports, share) for share in ("p50", "p99")},
        **_FIXED,
        "Memory, MiB": memory,
        "Recommender's start, s": starts,
        "Building, s": built,
    }


def _latencies(reports: Mapping[int, Result], share: str) -> dict[str, tuple[str, ...]]:
    seen = [name for name in LATENCIES if any(found["latency_ms"][name]["n"] for found in reports.values())]
    return {LATENCIES[name]: ("latency_ms", name, share) for name in seen}


def _figure(found: Mapping[str, Any], where: Sequence[str]) -> float | None:
    value: Any = found
    for name in where:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, int | float) else None


def _told(value: float | None) -> str:
    if value is None:
        return "—"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _plot(title: str, curves: Mapping[str, tuple[str, ...]], reports: Mapping[int, Result], folder: Path) -> Path:
    draw = pyplot("--plots")
    figure, axes = draw.subplots(figsize=(7.0, 4.5), layout="constrained")
    for name, where in curves.items():
        points = [(size, value) for size, found in reports.items() if (value := _figure(found, where)) is not None]
        if points:
            axes.plot(*zip(*points, strict=True), marker="o", label=name)
    axes.set(xscale="log", yscale="log", xlabel="items, and as many visitors", title=title)
    axes.grid(visible=True, which="major", alpha=0.3)
    if axes.lines:
        axes.legend(fontsize="x-small")
    path = folder / f"{'-'.join(title.lower().replace(',', '').replace(chr(39), '').split())}.svg"
    figure.savefig(path)
    draw.close(figure)
    return path
