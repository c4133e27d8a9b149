"""The laws of Progress, on every implementation."""

from __future__ import annotations

import pytest
import redis

from streamrec.lists import keys
from streamrec.lists.progress import MemoryProgress, Progress, RedisProgress, Standing
from streamrec.local import LocalRedis

A, B = ("items.stock", 0), ("items.price", 3)


@pytest.fixture(params=["memory", "redis"])
def progress(request: pytest.FixtureRequest) -> Progress:
    if request.param == "memory":
        return MemoryProgress()
    return RedisProgress(request.getfixturevalue("redis_client"), "g")


def test_nothing_is_stamped_at_first(progress: Progress) -> None:
    standing = progress.load([A, B])
    assert standing.run
    assert standing.offsets == {}


def test_what_was_saved_stands_and_the_rest_stays(progress: Progress) -> None:
    nothing = progress.load([A, B])
    assert progress.save(nothing, {A: 5})
    assert progress.save(progress.load([A]), {A: 7})
    assert progress.save(nothing, {B: 0})
    assert progress.load([B, A]).offsets == {A: 7, B: 0}
    assert progress.load([B]).offsets == {B: 0}


def test_nothing_is_written_when_anything_is_not_as_it_is_known(progress: Progress) -> None:
    known = progress.load([A, B])
    assert progress.save(known, {A: 5})
    assert not progress.save(known, {A: 6, B: 1})
    assert not progress.save(Standing(known.run, {A: 4}), {A: 6})
    assert not progress.save(Standing("another run", {A: 5}), {A: 6})
    assert progress.load([A, B]).offsets == {A: 5}


def test_a_stamp_may_be_lowered_by_who_knows_it(progress: Progress) -> None:
    assert progress.save(progress.load([A]), {A: 5})
    assert progress.save(progress.load([A]), {A: 2})
    assert progress.load([A]).offsets == {A: 2}


def test_a_server_that_came_back_is_another_run_though_the_stamps_stand() -> None:
    """What was written after the stamp may be lost in the crash."""
    with LocalRedis() as server, redis.Redis.from_url(server.url) as client:
        progress = RedisProgress(client, "g")
        assert progress.save(progress.load([A]), {A: 5})
        known = progress.load([A])
        server.restart(keep_data=True)
        assert progress.load([A]).offsets == known.offsets
        assert not progress.save(known, {A: 6})
        server.restart(keep_data=False)  # and without our functions
        assert progress.load([A]).offsets == {}


def test_readers_do_not_see_each_others_stamps(redis_client: redis.Redis) -> None:
    one, other = RedisProgress(redis_client, "one"), RedisProgress(redis_client, "other", ttl_s=60)
    for progress in (one, other):
        assert progress.save(progress.load([A]), {A: 5})
    assert redis_client.ttl(keys.progress("one")) == -1
    assert 0 < redis_client.ttl(keys.progress("other")) <= 60
