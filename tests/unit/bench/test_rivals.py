"""The rivals stand on the same world, do what they are said to do, and every figure is of the real thing."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
import pytest
import redis
from click.testing import CliRunner

from streamrec.bench.freshness.rivals import COLUMNS, rows, run
from streamrec.bench.freshness.rivals.compare import DESIGNS
from streamrec.bench.freshness.rivals.design import Design
from streamrec.bench.freshness.rivals.fan_out import FanOut, RewrittenLists
from streamrec.bench.freshness.rivals.pushed import Pushed
from streamrec.bench.freshness.rivals.vector_search import VectorSearch, exact, module_path, recall
from streamrec.bench.freshness.rivals.world import HOT, LIST_SIZE, SHOWN, World, item_id, make_world
from streamrec.cli.app import root
from streamrec.errors import ConfigError
from streamrec.local import LocalRedis

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
def world() -> World:
    return make_world(ITEMS, USERS, None, HOLDERS, seed=3)


def _load(design: Design, client: redis.Redis, world: World) -> None:
    design.load_items(client, world, lambda _: None)
    design.load_visitors(client, world, lambda _: None)


def test_a_list_holds_distinct_items_and_the_hot_one_stands_where_it_is_shown(world: World) -> None:
    assert all(len(set(row)) == LIST_SIZE for row in world.lists.tolist())
    places = [row.index(HOT) for row in world.lists[:HOLDERS].tolist()]
    assert max(places) < SHOWN
    assert HOT not in world.lists[HOLDERS:]
    assert 0 <= world.lists.min() <= world.lists.max() < ITEMS


def test_the_same_seed_gives_the_same_world(world: World) -> None:
    again = make_world(ITEMS, USERS, None, HOLDERS, seed=3)
    assert np.array_equal(again.lists, world.lists)
    assert np.array_equal(again.vectors, world.vectors)
    assert np.array_equal(again.interest(5, 1), world.interest(5, 1))
    assert np.allclose(np.linalg.norm(world.vectors, axis=1), 1.0, atol=1e-5)


@pytest.mark.integration
@pytest.mark.parametrize("kind", LISTS)
def test_an_item_that_is_hidden_is_in_no_read_and_every_list_is_as_before_when_it_is_back(
    kind: type[Design], world: World, redis_client: redis.Redis
) -> None:
    design = kind()
    _load(design, redis_client, world)
    before = [design.read(redis_client, world, user) for user in range(USERS)]
    assert before == [[item_id(row) for row in shown] for shown in world.lists[:, :SHOWN].tolist()]
    design.flip(redis_client, HOT, available=False)
    hidden = [design.read(redis_client, world, user) for user in range(USERS)]
    assert all(len(shown) == SHOWN and item_id(HOT) not in shown for shown in hidden)
    assert hidden[HOLDERS:] == before[HOLDERS:]
    design.flip(redis_client, HOT, available=True)
    assert [design.read(redis_client, world, user) for user in range(USERS)] == before


@pytest.mark.integration
def test_vector_search_returns_what_is_nearest_and_in_stock(world: World) -> None:
    _needs_search()
    design, hidden = VectorSearch(), np.zeros(ITEMS, bool)
    with LocalRedis(arguments=design.arguments()) as server, redis.Redis.from_url(server.url, protocol=2) as client:
        _load(design, client, world)
        queries = np.stack([world.interest(user, 1) for user in range(20)])
        assert recall([design.search(client, query) for query in queries], exact(world.vectors, hidden, queries)) > 0.95
        assert item_id(HOT) in design.read(client, world, 0)
        design.flip(client, HOT, available=False)
        assert item_id(HOT) not in design.read(client, world, 0)
        assert len(set(design.read_all(client, list(queries[:3])))) == SHOWN
        design.flip(client, HOT, available=True)
        assert item_id(HOT) in design.read(client, world, 0)
        design.move(client, HOT, -world.interest(0, 0))
        assert item_id(HOT) not in design.read(client, world, 0)


def _check(figures: dict[str, Any]) -> None:
    assert figures["hot"]["asked"] > 0
    assert (figures["hot"]["still_shown"], figures["hot"]["not_back"]) == (0, 0)
    assert 0 < figures["read"]["p50_ms"] <= figures["read"]["p99_ms"]
    assert 0 < figures["soldout"]["p50_ms"] <= figures["soldout"]["p99_ms"]
    assert figures["read_during_flips"]["flips_per_s"] > 0
    assert min(figures["hot"]["gone_ms"], figures["hot"]["back_ms"], figures["memory"]["rss_mb"]) > 0


@pytest.mark.integration
def test_one_run_measures_every_design_whose_parts_are_installed() -> None:
    command = ["bench", "rivals", "--items", str(ITEMS), "--users", str(USERS), "--reads", "100", "--flips", "200", "--json"]
    outcome = CliRunner().invoke(root, command)
    assert outcome.exit_code == 0, outcome.output
    result = json.loads(outcome.stdout)
    assert list(result["designs"]) == list(DESIGNS)
    present = {name: figures for name, figures in result["designs"].items() if figures}
    assert set(present) | set(result["missing"]) == set(DESIGNS)
    for figures in present.values():
        _check(figures)
    assert all(len(row) == len(COLUMNS) for row in rows(result))
    _needs_search()
    assert result["designs"]["vector search"]["recall_at_10"]["churned"] > 0.9


def test_what_is_unknown_or_too_small_is_refused_with_what_to_do() -> None:
    with pytest.raises(ConfigError, match="choose of streamrec"):
        run(items=ITEMS, users=USERS, designs=["oracle"])
    with pytest.raises(ConfigError, match="more than 100 items"):
        run(items=50, users=USERS)
    with pytest.raises(ConfigError, match="vectors for 200 items"):
        run(items=ITEMS, users=USERS, vectors=np.zeros((3, 512), np.float32))


def test_a_search_module_that_is_not_installed_is_told_how_to_get(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamrec.bench.freshness.rivals.vector_search.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"pip install 'streamrec\[bench\]'"):
        VectorSearch().arguments()
