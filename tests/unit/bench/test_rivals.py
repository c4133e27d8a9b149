"""The rivals stand on the same world, do what they are said to do, and every figure is of the real thing."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import redis
from click.testing import CliRunner
from numpy.typing import NDArray

from streamrec.bench.catalogue import bench_catalogue
from streamrec.bench.freshness.rivals import columns, markdown, rows, run
from streamrec.bench.freshness.rivals.apart import Flipper
from streamrec.bench.freshness.rivals.compare import DESIGNS
from streamrec.bench.freshness.rivals.design import Design
from streamrec.bench.freshness.rivals.fan_out import FanOut, RewrittenLists
from streamrec.bench.freshness.rivals.pushed import Pushed
from streamrec.bench.freshness.rivals.vector_search import VectorSearch, exact, module_path, recall
from streamrec.bench.freshness.rivals.world import HOT, LIST_SIZE, SHOWN, World, item_id, make_world
from streamrec.cli.app import root
from streamrec.config import ModelSettings
from streamrec.errors import ConfigError, LocalStackError
from streamrec.local import LocalRedis
from tests.unit.bench.test_catalogue import TITLES

ITEMS, USERS, HOLDERS = 200, 100, 40
LISTS = [Pushed, FanOut, RewrittenLists]


def _needs_search() -> None:
    """Skip where the search module is not installed, or fail where everything must run."""
    try:
        module_path()
    except ConfigError as error:
        if os.environ.get("STREAMREC_REQUIRE_ALL"):
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> NDArray[np.float16]:
    model = ModelSettings(name="hashing", cache_dir=tmp_path_factory.mktemp("vectors"))
    return bench_catalogue(ITEMS, titles=TITLES, settings=model).vectors


@pytest.fixture(scope="module")
def world(vectors: NDArray[np.float16]) -> World:
    return make_world(vectors, USERS, HOLDERS, seed=3)


def _load(design: Design, client: redis.Redis, world: World) -> None:
    design.load_items(client, world, lambda _: None)
    design.load_visitors(client, world, lambda _: None)


def _shown(design: Design, client: redis.Redis, world: World, users: Sequence[int] = range(USERS)) -> list[list[str]]:
    return [read() for read in design.reads(client, world, users)]


def test_a_list_holds_distinct_items_and_the_hot_one_stands_where_it_is_shown(world: World) -> None:
    assert all(len(set(row)) == LIST_SIZE for row in world.lists.tolist())
    places = [row.index(HOT) for row in world.lists[:HOLDERS].tolist()]
    assert max(places) < SHOWN
    assert HOT not in world.lists[HOLDERS:]
    assert 0 <= world.lists.min() <= world.lists.max() < ITEMS


def test_the_same_seed_gives_the_same_world(world: World) -> None:
    again = make_world(world.vectors, USERS, HOLDERS, seed=3)
    assert np.array_equal(again.lists, world.lists)
    assert np.array_equal(again.interest(5, 1), world.interest(5, 1))
    assert np.isclose(np.linalg.norm(world.interest(5, 1)), 1.0)


@pytest.mark.integration
@pytest.mark.parametrize("kind", LISTS)
def test_an_item_that_is_hidden_is_in_no_read_and_every_list_is_as_before_when_it_is_back(
    kind: type[Design], world: World, redis_client: redis.Redis
) -> None:
    design = kind()
    _load(design, redis_client, world)
    before = _shown(design, redis_client, world)
    assert before == [[item_id(row) for row in shown] for shown in world.lists[:, :SHOWN].tolist()]
    design.flip(redis_client, HOT, available=False)
    hidden = _shown(design, redis_client, world)
    assert all(len(shown) == SHOWN and item_id(HOT) not in shown for shown in hidden)
    assert hidden[HOLDERS:] == before[HOLDERS:]
    design.flip(redis_client, HOT, available=True)
    assert _shown(design, redis_client, world) == before


@pytest.mark.integration
def test_vector_search_returns_what_is_nearest_and_in_stock(world: World) -> None:
    _needs_search()
    design, hidden = VectorSearch(), np.zeros(ITEMS, bool)
    with LocalRedis(arguments=design.arguments()) as server, redis.Redis.from_url(server.url, protocol=2) as client:
        _load(design, client, world)
        queries = np.stack([world.interest(user, 1) for user in range(20)])
        found = [design.search(client, query.tobytes()) for query in queries]
        assert recall(found, exact(world.vectors, hidden, queries)) > 0.95
        assert item_id(HOT) in _shown(design, client, world, [0])[0]
        design.flip(client, HOT, available=False)
        assert item_id(HOT) not in _shown(design, client, world, [0])[0]
        assert len(set(design.reads_of_all(client, world, [0])[0]())) == SHOWN
        design.flip(client, HOT, available=True)
        assert item_id(HOT) in _shown(design, client, world, [0])[0]
        design.move(client, HOT, (-world.interest(0, 0)).tobytes())
        assert item_id(HOT) not in _shown(design, client, world, [0])[0]


def test_recall_counts_what_is_as_near_as_the_tenth_and_nothing_twice() -> None:
    scores = np.array([[*np.linspace(1.0, 0.1, 10), 0.1, 0.0]], np.float32)
    names = [item_id(row) for row in range(12)]
    assert recall([names[:10]], scores) == 1.0
    assert recall([[*names[:9], names[10]]], scores) == 1.0
    assert recall([[*names[:9], names[11]]], scores) == 0.9
    assert recall([[names[0]] * 10], scores) == 0.1


def _check(figures: dict[str, Any]) -> None:
    assert figures["hot"]["asked"] > 0
    assert (figures["hot"]["still_shown"], figures["hot"]["not_back"]) == (0, 0)
    assert 0 < figures["read"]["p50_ms"] <= figures["read"]["p99_ms"]
    assert 0 < figures["soldout"]["p50_ms"] <= figures["soldout"]["p99_ms"]
    assert figures["read_during_flips"]["flips_per_s"] > 0
    assert min(figures["hot"]["gone_ms"], figures["hot"]["back_ms"], figures["memory"]["rss_mib"]) > 0


@pytest.mark.integration
def test_one_run_measures_every_design_whose_parts_are_installed(vectors: NDArray[np.float16]) -> None:
    told: list[str] = []
    result = run(items=ITEMS, users=USERS, reads=3000, flips_per_s=1000, probes=20, vectors=vectors, say=told.append)
    json.dumps(result)
    assert list(result["designs"]) == list(DESIGNS)
    present = {name: figures for name, figures in result["designs"].items() if figures}
    assert set(present) | set(result["missing"]) == set(DESIGNS)
    for name, figures in present.items():
        _check(figures)
        assert any(text.startswith(f"{name}: read p50") for text in told)
    assert all(len(row) == len(columns(result)) == len(present) + 1 for row in rows(result))
    assert len(markdown(result).splitlines()) == len(rows(result)) + 2
    _needs_search()
    assert result["designs"]["vector search"]["recall_at_10"]["churned"] > 0.9


@pytest.mark.integration
@pytest.mark.parametrize(("form", "begins"), [("--json", "{"), ("--markdown", "| measure | fan-out |")])
def test_the_command_prints_json_or_a_table_of_the_design_that_is_asked_for(
    form: str, begins: str, vectors: NDArray[np.float16], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamrec.bench.freshness.rivals.run", partial(run, vectors=vectors, probes=20))
    command = ["bench", "rivals", "--items", str(ITEMS), "--users", "50", "--reads", "100", "--flips", "100", "--design", "fan-out"]
    outcome = CliRunner().invoke(root, [*command, form])
    assert outcome.exit_code == 0, outcome.output
    assert outcome.stdout.startswith(begins)


class _Failing(FanOut):
    """Fails when an item is hidden."""

    name: ClassVar[str] = "failing"

    def flip(self, client: redis.Redis, row: int, *, available: bool) -> None:
        raise SystemExit


@pytest.mark.integration
def test_a_process_that_ends_before_its_time_is_an_error_and_not_a_wait(redis_server: LocalRedis) -> None:
    with Flipper(_Failing(), redis_server.url) as flipper, pytest.raises(LocalStackError, match="run the bench again"):
        flipper.flip(HOT, lambda: None, available=False)


def test_a_search_module_that_does_not_load_is_named_with_the_servers_reason(
    vectors: NDArray[np.float16], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "redisearch.so"
    broken.write_bytes(b"not a module")
    monkeypatch.setattr("streamrec.bench.freshness.rivals.vector_search.module_path", lambda: broken)
    result = run(items=ITEMS, users=USERS, designs=["vector search"], vectors=vectors)
    assert result["designs"] == {"vector search": None}
    assert "leave this design out" in result["missing"]["vector search"]
    assert str(broken) in result["missing"]["vector search"]


def test_what_is_unknown_or_too_small_is_refused_with_what_to_do() -> None:
    with pytest.raises(ConfigError, match="choose of streamrec"):
        run(items=ITEMS, users=USERS, designs=["oracle"])
    with pytest.raises(ConfigError, match="more than 100 items"):
        run(items=50, users=USERS)
    with pytest.raises(ConfigError, match="3 vectors for 200 items"):
        run(items=ITEMS, users=USERS, vectors=np.zeros((3, 64), np.float32))


def test_a_search_module_that_is_not_installed_is_told_how_to_get(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamrec.bench.freshness.rivals.vector_search.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"pip install 'streamrec\[bench\]'"):
        VectorSearch().arguments()
