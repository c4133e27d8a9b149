"""The bench of the lists reports figures of the real thing on a small world."""

from __future__ import annotations

import pytest

from streamrec.bench import lists


@pytest.mark.integration
def test_every_figure_is_a_positive_number() -> None:
    figures = lists.run(visitors=60, reads=20, matrix_visitors=1200, kept=300)
    named = {"commits_per_s", "plain_set_lists_per_s", "top10_functions_p99_us", "matrix_scan_s_per_million"}
    assert named | {"evict_s", "restock_s", "adopted_lists_per_s"} <= set(figures)
    grown = figures.pop("resident_bytes_per_visitor")  # so few visitors fit into memory that is there already
    assert grown >= 0
    assert all(value > 0 for value in figures.values())
