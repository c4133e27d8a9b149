"""The bench compares exact search with the graph on one world, and tells where one overtakes the other."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from streamrec.bench import index
from streamrec.bench.catalogue import BenchCatalogue, bench_catalogue
from streamrec.bench.index import exact
from streamrec.bench.index.exact import GRAPH, crossovers, makers
from streamrec.bench.index.memory import anonymous_mb
from streamrec.cli.bench_index import show
from streamrec.config import IndexSettings, ModelSettings
from tests.unit.bench.test_catalogue import TITLES


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], BenchCatalogue]:
    model = ModelSettings(name="hashing", cache_dir=tmp_path_factory.mktemp("vectors"))
    return lambda n: bench_catalogue(max(n, len(TITLES) + 1), titles=TITLES, settings=model)


def test_every_exact_index_finds_all_and_json_and_tables_hold_the_figures(
    make: Callable[[int], BenchCatalogue], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(exact, "_ROUNDS", {})
    monkeypatch.setattr(exact, "settled_mb", anonymous_mb)  # garbage is collected slowly among all that a test run has loaded
    figures = index.run(
        300, queries=20, cycles=0, exact=(400,), peers=(), catalogue=make, settings=IndexSettings(threads=1), apart=False
    )
    assert json.loads(json.dumps(figures)) == figures
    assert [size["items"] for size in figures["exact"]] == [400]
    for size in figures["exact"]:
        assert set(size["engines"]) | set(size["missing"]) == set(makers(IndexSettings(), 8, 10))
        for name, engine in size["engines"].items():
            least = 0.9 if name == GRAPH else 1.0
            assert engine["recall_at_10"] >= least
            assert engine["recall_at_91"] >= least
            assert set(engine["batches"]) == {"1", "16", "256"}
            for batch in engine["batches"].values():
                assert 0 < batch["p50_ms"] <= batch["p99_ms"]
                assert batch["rounds"] == 3
            assert engine["updates_per_s"] > 0
    assert set(figures["exact_crossover"]) == set(figures["exact"][0]["engines"]) - {GRAPH}
    show(figures)
    printed = capsys.readouterr().out
    for said in ("float16", "int8", "p50 ms of", "recall_at_91", "faster than the graph up to"):
        assert said in printed


def size(items: int, **p50_ms: float) -> dict[str, Any]:
    return {"items": items, "engines": {name: {"batches": {"1": {"p50_ms": ms}}} for name, ms in p50_ms.items()}}


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([(100, 1.0, 1.5), (1000, 2.0, 2.5)], 0),
        ([(100, 2.0, 1.0), (1000, 2.0, 1.9)], None),
        ([(100, 2.0, 1.0), (10_000, 2.0, 4.0)], 1000),
        ([(10_000, 2.0, 4.0), (100, 2.0, 1.0), (200, 2.0, 1.0)], 1414),
    ],
)
def test_one_overtakes_the_other_where_their_times_meet(times: list[tuple[int, float, float]], expected: int | None) -> None:
    sizes = [size(items, hnsw=graph, float32=product) for items, graph, product in times]
    assert crossovers(sizes) == {"float32": {"1": expected}}


def test_without_sizes_nothing_is_compared() -> None:
    assert crossovers([]) == {}
