"""The bench of the index reports true figures on a small world."""

from __future__ import annotations

import json

from streamrec.bench import index


def test_the_bench_returns_figures_that_json_can_hold() -> None:
    figures = index.run(1500, 16, queries=20, k=5)
    assert json.loads(json.dumps(figures)) == figures
    for part in ("fresh", "churned", "rebuilt"):
        assert figures[part]["recall"] >= 0.9
    assert figures["inserts_per_s"] > 0
    assert figures["query_ms"]["p50"] <= figures["query_ms"]["p99"]
