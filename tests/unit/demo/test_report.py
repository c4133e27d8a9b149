"""The report holds the keys that were promised, and its percentiles are values that were measured."""

from __future__ import annotations

import json
import math
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from streamrec.demo.report import LATENCIES, Latency, Report, Violations, summary


def report(count: int = 0) -> Report:
    latencies = {name: Latency.of([1.0, 2.0, 3.0]) for name in LATENCIES}
    examples: list[dict[str, str | float]] = [{"kind": "soldout_shown", "item_id": "a"}] * min(count, 1)
    return Report(
        data="completejourney",
        broker="Tansu",
        seconds=60.0,
        events={"clicks": 9000, "stock": 300},
        items=92_331,
        items_embedded_per_s=1500.0,
        lists_pushed=12_345,
        reads=27_000,
        violations=Violations(count, {"soldout_shown": count} if count else {}, examples),
        latency_ms=latencies,
        more_latency_ms={"exclude_to_gone": Latency.of([])},
        unresolved={"restock_to_back": 1},
        notes=["purchases only"],
    )


def test_the_json_report_holds_the_promised_keys(tmp_path: Path) -> None:
    report().write(tmp_path / "r.json")
    found = json.loads((tmp_path / "r.json").read_text())
    promised = {"data", "broker", "seconds", "events", "items_embedded_per_s", "lists_pushed", "reads", "violations", "latency_ms"}
    assert promised <= found.keys()
    assert list(found["latency_ms"]) == [
        "click_to_list",
        "soldout_to_guarded",
        "soldout_to_evicted",
        "restock_to_back",
        "price_to_visible",
        "campaign_to_lists",
    ]
    assert all(set(latency) == {"p50", "p95", "p99", "n"} for latency in found["latency_ms"].values())
    assert found["violations"] == {"count": 0, "kinds": {}, "examples": []}


def test_violations_end_the_demo_with_an_error_and_stand_in_the_summary() -> None:
    assert report().exit_code == 0
    assert "violations: 0" in summary(report())
    assert report(3).exit_code == 1
    assert "VIOLATIONS: 3 (3 soldout_shown)" in summary(report(3))[-1]


def test_the_summary_names_the_data_every_latency_and_what_was_not_seen() -> None:
    text = "\n".join(summary(report()))
    for words in ("completejourney", "9,000 clicks", "27,000", *LATENCIES.values(), "1 × restock_to_back", "purchases only"):
        assert words in text


@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=300))
def test_percentiles_are_measured_values_with_at_least_their_share_below(samples: list[float]) -> None:
    latency = Latency.of(samples)
    for value, share in ((latency.p50, 0.5), (latency.p95, 0.95), (latency.p99, 0.99)):
        assert value is not None
        assert any(value == round(sample, 1) for sample in samples)
        assert sum(round(sample, 1) <= value for sample in samples) >= math.ceil(share * len(samples))


def test_without_samples_there_is_no_percentile() -> None:
    assert Latency.of([]) == Latency(None, None, None, 0)
