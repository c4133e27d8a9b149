"""The whole freshness bench on a tiny shop: broker, Redis, four workers, visitors with lists, load, storefront, last look."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from streamrec.bench.catalogue import Title
from streamrec.bench.freshness.options import FreshnessOptions
from streamrec.bench.freshness.report import LATENCIES, summary
from streamrec.bench.freshness.run import run
from streamrec.demo.view import PlainView
from tests.brokers import KIND
from tests.processes import check_ctrl_c_leaves_nothing_behind

pytestmark = [pytest.mark.integration, pytest.mark.embedded_only]

KINDS = ("mug", "lamp", "chair", "bowl")
TITLES = tuple(Title(f"{KINDS[n % 4]} of kind {n}", category=KINDS[n % 4], brand=f"brand {n % 31}") for n in range(120))
#: What this bench can measure on a system that ranks by price and has a page to search; the rest it always measures.
OPTIONAL = {"price_to_ranked", "new_item_to_search", "boost_to_lists"}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The hashing encoder loads in no time; vectors are kept apart from those of real benches."""
    monkeypatch.setenv("STREAMREC_MODEL__NAME", "hashing")
    monkeypatch.setenv("STREAMREC_MODEL__CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("STREAMREC_LOG_LEVEL", "WARNING")


@pytest.mark.usefixtures("quick")
def test_a_tiny_run_measures_every_effect_and_finds_no_violation(tmp_path: Path) -> None:
    options = FreshnessOptions(
        items=300,
        users=200,
        seconds=12.0,
        reads=300,
        readers=2,
        read_rate=150.0,
        stock_rate=40.0,
        flash_sales=1.0,
        clicks=10.0,
        prices=5.0,
        new_items=1.0,
        patience_s=8.0,
        titles=TITLES,
        log_dir=tmp_path / "logs",
        broker=KIND,
    )
    said: list[str] = []
    found = run(options, PlainView(said.append))
    assert json.loads(json.dumps(found)) == found
    assert found["violations"] == {"count": 0, "kinds": {}, "examples": []}
    assert found["reads"] >= 300
    assert found["scan"]["lists"] >= 200
    assert {name for name in LATENCIES if not found["latency_ms"][name]["n"]} <= OPTIONAL
    assert found["latency_ms"]["soldout_to_guarded"]["n"] > 100
    assert 0 < found["read_p50_ms"] <= found["read_p99_ms"] <= found["read_max_ms"]
    assert {"broker", "redis", "recommender", "embedder", "availability", "aggregator", "reader-0", "reader-1", "bench"} == set(
        found["memory_mb"]
    )
    assert found["bytes_per_visitor"] > 1000
    assert found["bytes_per_item"] > 100
    assert found["load"]["visitors_written"]["per_s"] > 0
    assert all(step["settled_s"] >= step["ready_s"] for step in list(found["restart"].values())[-1:])
    assert summary(found)[-1] == "violations: 0"


@pytest.mark.usefixtures("quick")
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_ctrl_c_ends_the_bench_and_leaves_no_process_behind(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    arguments = ["bench", "freshness", "--items", "300", "--users", "200", "--data", str(data), "--stock-rate", "20"]
    # Broker, Redis and three workers.
    check_ctrl_c_leaves_nothing_behind(arguments, tmp_path / "out", environment=os.environ, when=b"histories ranked", children=5)
