"""Curves over sizes: a table with a figure per row, and what the command line refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from streamrec.bench.freshness import curves
from streamrec.bench.freshness.curves import markdown, run_sizes, write_curves
from streamrec.bench.freshness.options import FreshnessOptions
from streamrec.bench.freshness.report import LATENCIES
from streamrec.cli.app import root
from streamrec.demo.view import PlainView, View
from streamrec.errors import ConfigError


def report(size: int) -> dict[str, Any]:
    """What ``run`` returns, as far as curves look at it."""
    nothing: dict[str, float | None] = {"p50": None, "p95": None, "p99": None, "n": 0}
    seen = {"p50": size / 1000, "p95": size / 500, "p99": size / 400, "n": 9}
    return {
        "latency_ms": {name: seen if name == "click_to_list" else nothing for name in LATENCIES},
        "read_p50_ms": 0.5,
        "read_p95_ms": 0.6,
        "read_p99_ms": 0.7,
        "reads_per_s": 900.0,
        "seconds": 61.4,
        "reads": 5 * size,
        "violations": {"count": 0},
        "bytes_per_visitor": 4000,
        "bytes_per_item": 500,
        "memory_mb": {"redis": size / 100, **({"reader-1": 60.0} if size > 1000 else {})},
        "restart": {"from_topics": {"ready_s": 9.0}},
        "load": {"visitors_written": {"seconds": 2.0, "per_s": size / 2}},
    }


def test_the_table_has_a_row_per_figure_and_a_column_per_size() -> None:
    lines = list(markdown({1000: report(1000), 20_000: report(20_000)}))
    assert lines[:2] == ["| figure | 1,000 | 20,000 |", "|---|---:|---:|"]
    assert "| Latency p99, ms: click → list | 2.5 | 50 |" in lines
    assert "| Memory, MiB: reader-1 | — | 60 |" in lines
    assert "| Recommender's start, s: from_topics, ready | 9 | 9 |" in lines
    assert lines[-2] == "| Seconds of load | 61 | 61 |"
    assert lines[-1] == "| Violations | 0 in 5,000 reads | 0 in 100,000 reads |"
    assert not any("price → visible" in line for line in lines), "what was not measured has no row"


def test_table_plots_and_the_reports_themselves_are_written(tmp_path: Path) -> None:
    reports = {1000: report(1000), 20_000: report(20_000)}
    written = write_curves(reports, tmp_path / "curves")
    assert {path.suffix for path in written} == {".json", ".md", ".svg"}
    assert all(path.stat().st_size > 100 for path in written)
    assert json.loads((tmp_path / "curves" / "freshness.json").read_text()) == {str(size): one for size, one in reports.items()}


def test_sizes_whose_report_is_there_are_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []

    def measured(options: FreshnessOptions, _: View) -> dict[str, Any]:
        asked.append((options.items, options.users))
        return report(options.items)

    monkeypatch.setattr(curves, "run", measured)
    monkeypatch.setattr(curves, "_plot", lambda *_: tmp_path)  # another test draws, which takes seconds
    view = PlainView(lambda _: None)
    run_sizes([1000], FreshnessOptions(), view, tmp_path)
    found = run_sizes([20_000, 1000], FreshnessOptions(), view, tmp_path)
    assert asked == [(1000, 1000), (20_000, 20_000)]
    assert found == {"sizes": {"1000": report(1000), "20000": report(20_000)}}
    assert json.loads((tmp_path / "freshness.json").read_text()).keys() == {"1000", "20000"}
    (tmp_path / "freshness.json").write_text("[]")
    with pytest.raises(ConfigError, match="holds no reports of this bench"):
        run_sizes([1000], FreshnessOptions(), view, tmp_path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sizes", "many"], "write them like 10000,100000"),
        (["--plots", "somewhere"], "give the --sizes"),
        (["--items", "50"], "give at least 100"),
        (["--items", "400", "--users", "200"], "give a stock rate below 1,600"),
    ],
)
def test_what_cannot_be_run_is_refused_before_anything_starts(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(root, ["bench", "freshness", *arguments])
    assert result.exit_code != 0
    assert words in f"{result.output}{result.exception}"
