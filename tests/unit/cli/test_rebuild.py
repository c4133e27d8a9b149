"""`streamrec rebuild`: what it asks for, when it is done, and when it gives up. The recommender's part is played by hand."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis

from streamrec.cli import rebuild as verb
from streamrec.events.topics import CARTS, CLICKS
from streamrec.lists import keys
from streamrec.lists.rebuilding import Part, Plan, Rebuilding
from tests.unit.cli.fakes import NOW_MS, FakeParts, run

DAY_MS = 86_400_000
BEAT = {"id": "w", "pid": 1, "roles": ["recommender"], "url": "", "ready": True, "at": NOW_MS}


@pytest.fixture
def parts(redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> FakeParts:
    monkeypatch.setattr(verb, "_BEATS_S", 0.0)
    parts = FakeParts()
    parts.redis = redis_client
    parts.memory_broker.held = {(CLICKS, 0): (10, 40), (CLICKS, 1): (5, 5), (CARTS, 0): (0, 3)}
    redis_client.set(keys.worker("w"), json.dumps(BEAT))
    return parts


@contextmanager
def _meanwhile(work: object) -> Iterator[None]:
    """Play the others while the command waits."""
    assert callable(work)
    thread = threading.Thread(target=work)
    thread.start()
    yield
    thread.join()


def _asked(rebuilding: Rebuilding) -> Plan:
    while (plan := rebuilding.current()) is None:
        pass
    return plan


def test_it_asks_for_what_kafka_holds_and_ends_when_all_is_stamped(parts: FakeParts) -> None:
    rebuilding = Rebuilding(parts.redis)
    asked: list[Plan] = []

    def recommender() -> None:
        plan = _asked(rebuilding)
        asked.append(plan)
        progress = rebuilding.progress(plan)
        for offsets in ({(CLICKS, 0): 20}, {(CARTS, 0): 3}, {(CLICKS, 0): 40}):
            assert progress.save(progress.load(list(offsets)), offsets)

    with _meanwhile(recommender):
        result = run(parts, "rebuild", "--since", "2d", "--json")
    assert result.exit_code == 0
    answer = json.loads(result.stdout)
    assert (answer["events"], answer["partitions"]) == (33, 2)
    assert answer["seconds"] >= 0
    assert parts.memory_broker.asked_since_ms == NOW_MS - 2 * DAY_MS
    assert asked[0].parts == (Part(CARTS, 0, 0, 3), Part(CLICKS, 0, 10, 40))


def test_with_nothing_in_kafka_it_is_done_at_once(parts: FakeParts) -> None:
    parts.memory_broker.held = {}
    result = run(parts, "rebuild")
    assert result.exit_code == 0
    assert "read again: 0 events of 0 partitions" in result.stdout


def test_without_a_recommender_it_says_how_to_start_one(parts: FakeParts) -> None:
    parts.redis.delete(keys.worker("w"))
    result = run(parts, "rebuild")
    assert result.exit_code == 2
    assert "no recommender is alive; start one with `streamrec worker --roles recommender`" in result.stderr


def test_a_recommender_that_dies_for_good_ends_the_watching(parts: FakeParts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verb, "_PATIENCE_S", 0.0)

    def dies() -> None:
        _asked(Rebuilding(parts.redis))
        parts.redis.delete(keys.worker("w"))

    with _meanwhile(dies):
        result = run(parts, "rebuild")
    assert result.exit_code == 2
    assert "no recommender is alive" in result.stderr


@pytest.mark.parametrize(("lost", "words"), [(True, "Redis lost it"), (False, "another one was asked for meanwhile")])
def test_a_request_that_is_gone_is_told(parts: FakeParts, lost: bool, words: str) -> None:
    rebuilding = Rebuilding(parts.redis)

    def others() -> None:
        _asked(rebuilding)
        if lost:
            parts.redis.delete(keys.REBUILD)
        else:
            rebuilding.request(Plan("another", ()))

    with _meanwhile(others):
        result = run(parts, "rebuild")
    assert result.exit_code == 2
    assert words in result.stderr
    assert "run `streamrec rebuild` again" in result.stderr


@pytest.mark.parametrize("text", ["7", "d", "-7d", "1w"])
def test_a_length_of_time_that_is_none_is_refused(parts: FakeParts, text: str) -> None:
    result = run(parts, "rebuild", f"--since={text}")
    assert result.exit_code == 2
    assert "write 7d, 12h, 30m or 90s" in result.stderr


def test_a_request_of_a_version_that_cannot_be_read_is_no_request(redis_client: redis.Redis) -> None:
    redis_client.set(keys.REBUILD, b'{"id": 3}')
    assert Rebuilding(redis_client).current() is None
