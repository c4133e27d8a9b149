"""The doctor is green when everything is there, and says what is missing and what to do when not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streamrec.config import ModelSettings
from streamrec.roles import ROLES
from tests.unit.cli.fakes import NOW_MS, FakeParts, run


@pytest.fixture
def parts() -> FakeParts:
    made = FakeParts()
    made.heartbeat("w-1", *ROLES)
    return made


def _bad(parts: FakeParts, *options: str) -> dict[str, str]:
    result = run(parts, "doctor", "--json", *options)
    report: dict[str, Any] = json.loads(result.stdout)
    bad = {finding["check"]: finding["text"] for finding in report["findings"] if not finding["ok"]}
    assert report["ok"] is not bool(bad)
    assert result.exit_code == (1 if bad else 0)
    return bad


def test_all_is_green_where_all_is_there(parts: FakeParts) -> None:
    assert _bad(parts) == {}
    text = run(parts, "doctor").stdout
    for part in (
        "ok  broker",
        "all 14 are there",
        "Valkey 9.1.0",
        "library streamrec is loaded",
        "w-1",
        "streamrec.recommender is 0",
    ):
        assert part in text


def test_the_age_of_a_recommenders_newest_snapshot_is_told(parts: FakeParts) -> None:
    parts.heartbeat("w-2", "recommender", snapshot_at=NOW_MS - 7 * 60_000)
    assert "its newest snapshot is 7 min old" in run(parts, "doctor").stdout


def test_a_broker_that_is_away_reddens_what_depends_on_it_and_nothing_else(parts: FakeParts) -> None:
    parts.memory_broker.away = True
    assert _bad(parts).keys() == {"broker", "topics", "lag"}


def test_a_redis_that_is_away_reddens_what_depends_on_it_and_nothing_else(parts: FakeParts) -> None:
    parts.fake_redis.away = True
    bad = _bad(parts)
    assert bad.keys() == {"redis", "functions", "workers"}
    assert "Connection refused" in bad["redis"]


def test_missing_and_unequal_topics_are_named(parts: FakeParts) -> None:
    del parts.memory_broker.topics["item-pairs"]
    assert _bad(parts)["topics"] == "missing: item-pairs; run `streamrec topics create`"
    parts.memory_broker.topics["item-pairs"] = 4
    parts.memory_broker.topics["events.clicks"] = 8
    assert "events.clicks 8" in _bad(parts)["topics"]


def test_a_redis_that_may_evict_the_guard_is_red(parts: FakeParts) -> None:
    parts.fake_redis.facts |= {"maxmemory": 1_000_000, "maxmemory_policy": "allkeys-lru"}
    assert "noeviction" in _bad(parts)["redis"]


@pytest.mark.parametrize("library", ["", "#!lua name=streamrec\n-- version: 0\n"])
def test_a_missing_or_old_function_library_is_red(parts: FakeParts, library: str) -> None:
    parts.fake_redis.library = library
    assert "has version none" in _bad(parts)["functions"]


def test_roles_that_nobody_does_and_workers_that_are_not_ready_are_red(parts: FakeParts) -> None:
    parts.fake_redis.strings.clear()
    parts.heartbeat("w-1", "availability", ready=False)
    assert "streamrec worker --roles embedder,recommender,aggregator" in _bad(parts)["workers"]
    parts.fake_redis.strings.clear()
    parts.heartbeat("w-2", *ROLES, ready=False)
    assert "not ready yet" in _bad(parts)["workers"]


def test_a_heartbeat_of_another_version_is_passed_over(parts: FakeParts) -> None:
    parts.fake_redis.strings["streamrec:worker:x"] = b"{}"
    assert _bad(parts) == {}


def test_a_group_that_is_far_behind_is_red(parts: FakeParts) -> None:
    parts.memory_broker.lags["streamrec.aggregator"] = 500
    assert _bad(parts) == {}
    assert "streamrec.aggregator is 500 messages behind, most on item-pairs[0]" in _bad(parts, "--max-lag", "499")["lag"]


def test_the_model_is_loaded_when_asked_for(parts: FakeParts) -> None:
    parts.settings = parts.settings.model_copy(update={"model": ModelSettings(name="hashing")})
    assert _bad(parts, "--load-model") == {}
    assert "hashing" in run(parts, "doctor", "--load-model").stdout
    parts.settings = parts.settings.model_copy(update={"model": ModelSettings(name="no-such")})
    assert "no-such" in _bad(parts, "--load-model")["model"]


def test_no_password_is_printed(parts: FakeParts) -> None:
    parts.heartbeat("w-9", *ROLES, url="http://shop:swordfish@w:1")
    assert "swordfish" not in run(parts, "doctor").stdout


def test_a_model_that_nobody_fetched_is_red_before_a_worker_starts(parts: FakeParts) -> None:
    parts.settings = parts.settings.model_copy(update={"model": ModelSettings(name="bge-m3")})
    assert "not pinned: revision" in _bad(parts)["model"]
    assert "streamrec model build bge-m3" in _bad(parts)["model"]
