"""The bench of the index measures every engine on one world, and its figures are true on a small one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from streamrec.bench import index
from streamrec.bench.catalogue import BenchCatalogue, bench_catalogue
from streamrec.bench.index.engines import ENGINES, OURS, PEERS, Ours, missing_peers
from streamrec.bench.index.filters import SHARES, filters
from streamrec.bench.index.measure import Job, Subject, measure
from streamrec.bench.index.world import State, World, applied
from streamrec.cli.bench_index import show
from streamrec.config import IndexSettings, ModelSettings
from streamrec.errors import DataError
from streamrec.index import ExactIndex
from tests.unit.bench.test_catalogue import TITLES

SETTINGS = IndexSettings()


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], BenchCatalogue]:
    model = ModelSettings(name="hashing", cache_dir=tmp_path_factory.mktemp("vectors"))
    return lambda n: bench_catalogue(max(n, len(TITLES) + 1), titles=TITLES, settings=model)


@pytest.fixture(scope="module")
def world(make: Callable[[int], BenchCatalogue]) -> World:
    small = World(Path(), 600, 2, 40)
    vectors = make(small.needed).vectors
    assert isinstance(vectors, np.memmap)
    return replace(small, path=Path(str(vectors.filename)))


def job(world: World, engine: str) -> Job:
    return Job(engine, SETTINGS, world, [world.exact(world.state(number)) for number in range(world.cycles + 1)])


def test_the_exact_scores_are_those_of_the_exact_index(world: World) -> None:
    state, oracle = world.state(2), ExactIndex(64)
    oracle.upsert(np.arange(world.items), world.wide(state.rows))
    oracle.block(np.flatnonzero(state.hidden))
    mask = np.arange(world.items) % 3 == 0
    assert np.allclose(world.exact(state), oracle.search(world.asked, 10)[1], atol=1e-5)
    assert np.allclose(world.exact(state, mask), oracle.search(world.asked, 10, mask)[1], atol=1e-5)


def test_a_cycle_changes_a_tenth_to_vectors_that_no_label_had_and_a_tenth_sells_out_or_returns(world: World) -> None:
    seen = set(range(world.items))
    state = world.state(0)
    for cycle in range(world.cycles):
        changes = world.changes(cycle, state)
        assert len(set(changes.labels.tolist())) == 60
        assert not seen & set(changes.rows.tolist())
        assert len(changes.sold_out) + len(changes.returned) == 60
        assert not state.hidden[changes.sold_out].any()
        assert state.hidden[changes.returned].all()
        seen |= set(changes.rows.tolist())
        state = applied(state, changes)
    assert not seen & set(range(world.needed - world.queries, world.needed)), "queries are of other items"
    assert state.hidden.sum() == 60


def test_recall_counts_what_is_as_near_as_the_best_and_on_sale(world: World) -> None:
    state, oracle = world.state(0), ExactIndex(64)
    oracle.upsert(np.arange(world.items), world.wide(state.rows))
    best = oracle.search(world.asked, 10)[0]
    truth = world.exact(state)
    assert (world.recall(best, truth, state) == 1.0).all()
    half = best.copy()
    half[:, 5:] = -1
    assert (world.recall(half, truth, state) == 0.5).all()
    assert (world.recall(best[:, :1].repeat(10, axis=1), truth, state) == 0.1).all(), "an answer counts once"
    assert (world.recall(best, truth, State(state.rows, np.ones(world.items, np.bool_))) == 0.0).all()


def test_where_nothing_passes_nothing_can_be_missed(world: World) -> None:
    state, nothing = world.state(0), np.zeros(world.items, np.bool_)
    found = np.full((world.queries, 10), -1, np.int32)
    assert (world.recall(found, world.exact(state, nothing), state, nothing) == 1.0).all()


@pytest.mark.parametrize("name", [OURS, *PEERS])
def test_every_engine_stays_near_the_exact_answers_and_never_shows_what_is_sold_out(world: World, name: str) -> None:
    result = measure(job(world, name))
    assert result["fresh"]["recall_at_10"] >= 0.95
    for cycle in result["cycles"]:
        assert cycle["recall_at_10"] >= 0.9
        assert cycle["sold_out_shown"] == 0
    assert [cycle["cycle"] for cycle in result["cycles"]] == [1, 2]


def test_our_index_misses_no_updated_item_at_any_moment(world: World) -> None:
    assert sum(cycle["missing"] for cycle in measure(job(world, OURS))["cycles"]) == 0


def test_an_engine_that_forgets_updated_items_is_found_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    class Forgetful(Ours):
        def change(self, labels: np.typing.NDArray[np.int32], vectors: np.typing.NDArray[np.float32]) -> None:
            self.index.remove(labels)

    monkeypatch.setitem(ENGINES, OURS, Forgetful)
    assert measure(job(world, OURS))["cycles"][0]["missing"] > 0


def test_an_engine_that_shows_sold_out_items_is_found_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    class Careless(Ours):
        def hide(self, labels: np.typing.NDArray[np.int32]) -> None:
            return

    monkeypatch.setitem(ENGINES, OURS, Careless)
    assert measure(job(world, OURS))["cycles"][0]["sold_out_shown"] > 0


def test_the_state_that_an_engine_reached_is_the_one_that_is_built_afresh(world: World) -> None:
    subject = Subject(job(world, OURS))
    for number, truth in enumerate(subject.job.truths[1:]):
        subject.cycle(number, truth)
    expected = world.state(world.cycles)
    assert np.array_equal(subject.state.rows, expected.rows)
    assert np.array_equal(subject.state.hidden, expected.hidden)


def test_filters_pass_about_the_share_that_they_stand_for(make: Callable[[int], BenchCatalogue]) -> None:
    goods = make(4000)
    for share, (name, mask) in zip(SHARES, filters(goods, 4000), strict=True):
        assert name
        assert share / 4 <= mask.mean() <= share * 4


def test_the_bench_returns_figures_that_json_can_hold_and_tables_show(
    make: Callable[[int], BenchCatalogue], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(index, "QUERIES", 20)
    figures = index.run(
        500, queries=20, cycles=2, tier_items=300, peers=("hnswlib",), catalogue=make, settings=SETTINGS, apart=False
    )
    assert json.loads(json.dumps(figures)) == figures
    for measured in (figures["fresh"], figures["rebuilt"], *figures["cycles"], *figures["filters"], figures["tier"]):
        assert measured["recall_at_10"] >= 0.9
        assert measured["worst_recall"] <= measured["recall_at_10"]
        assert measured["p50_ms"] <= measured["p99_ms"]
    assert figures["missing"] == 0
    assert figures["ratios"]["recall_lost"] <= 0.05
    assert set(figures["peers"]) == {"hnswlib"}
    assert set(figures["tier"]["variants"]) == {"compact", "whole"}
    show(figures)
    printed = capsys.readouterr().out
    for said in ("streamrec", "hnswlib", "cycle 2", "rebuilt", "price <", "compact", "last cycle to a fresh build"):
        assert said in printed


def test_of_a_large_tier_only_the_memory_of_the_reference_is_told(
    make: Callable[[int], BenchCatalogue], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(import_module("streamrec.bench.index.tier"), "LARGE", 299)
    monkeypatch.setattr(index, "QUERIES", 20)
    figures = index.run(300, queries=10, cycles=0, tier_items=300, peers=(), catalogue=make, settings=SETTINGS, apart=False)
    assert figures["tier"]["queries"] == 20
    assert set(figures["tier"]["float32"]) == {"memory_mb", "bytes_per_item"}
    assert set(figures["tier"]["variants"]) == {"compact"}
    show(figures)
    assert "least effort" in capsys.readouterr().out


def test_without_cycles_there_is_nothing_to_compare_and_nothing_missing(
    make: Callable[[int], BenchCatalogue], capsys: pytest.CaptureFixture[str]
) -> None:
    figures = index.run(300, queries=10, cycles=0, peers=(), catalogue=make, settings=SETTINGS, apart=False)
    assert (figures["cycles"], figures["missing"], figures["tier"]) == ([], 0, None)
    show(figures)
    assert "fresh" in capsys.readouterr().out


def test_an_engine_apart_gives_the_same_answers_and_its_memory(world: World) -> None:
    small = replace(job(world, "hnswlib"), truths=[world.exact(world.state(0))])
    apart, here = index.measure_apart(small)["fresh"], measure(small)["fresh"]
    assert apart["recall_at_10"] == pytest.approx(here["recall_at_10"], abs=0.02)
    assert apart["memory_mb"] > 0


def test_a_peer_that_nobody_knows_is_refused_before_anything_is_built() -> None:
    with pytest.raises(DataError, match="hnswlib, usearch, faiss"):
        index.run(10, peers=("annoy",))


def test_a_peer_that_is_not_installed_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamrec.bench.index.engines.find_spec", lambda name: None)
    assert "streamrec[bench]" in missing_peers(("faiss",))["faiss"]
