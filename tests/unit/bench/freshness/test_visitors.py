"""Histories, the lists that follow from them, who holds what, and visitors as they are written."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest
import redis
from pydantic import SecretStr

from streamrec.bench.freshness.audience import Audience
from streamrec.bench.freshness.histories import draw_histories, visitors_of
from streamrec.bench.freshness.lists import HistoryFiles, profile_of
from streamrec.bench.freshness.visitors import user_id, write_visitors
from streamrec.config import ProfileSettings, RedisSettings
from streamrec.lists import keys
from streamrec.lists.packing import ListItem, RankedList, pack, unpack
from streamrec.local import LocalRedis
from streamrec.profiles import Profile

CATEGORIES = np.arange(600, dtype=np.int32) % 20


def test_the_same_seed_draws_the_same_histories_and_another_others() -> None:
    first, again, other = (draw_histories(CATEGORIES, 50, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_a_history_keeps_to_three_categories_and_one_of_them_has_most_clicks() -> None:
    histories = draw_histories(CATEGORIES, 500, np.random.default_rng(3))
    seen = [np.unique(CATEGORIES[row], return_counts=True)[1] for row in histories]
    assert max(map(len, seen)) <= 3
    assert np.mean([counts.max() for counts in seen]) > 10


def test_few_items_have_most_of_the_clicks() -> None:
    histories = draw_histories(CATEGORIES, 2000, np.random.default_rng(3))
    counts = np.sort(np.bincount(histories.ravel(), minlength=len(CATEGORIES)))[::-1]
    assert counts[:60].sum() > 0.4 * counts.sum(), "a tenth of the items"


def test_every_visitor_has_exactly_one_history() -> None:
    visitors = [number for history in range(7) for number in visitors_of(history, 7, 40)]
    assert sorted(visitors) == list(range(40))


@pytest.fixture
def files(tmp_path: Path) -> HistoryFiles:
    """Three histories; item 5 is in the lists of the first two."""
    files = HistoryFiles(tmp_path)
    files.write_clicks(np.array([[1, 2], [3, 4], [1, 9]], np.int32))
    profiles = [profile_of([f"i{i}" for i in row], n, 10**12, ProfileSettings()) for n, row in enumerate(files.clicks.tolist())]
    members = np.array([[5, 6, -1], [7, 5, 8], [6, -1, -1]], np.int32)
    lists = [RankedList(0, tuple(ListItem(f"i{i}", 0.5, "new") for i in row if i >= 0)) for row in members.tolist()]
    files.write_ranked(iter([(p.pack(), pack(one)) for p, one in zip(profiles, lists, strict=True)]), members)
    return files


def test_files_give_back_what_was_written(files: HistoryFiles) -> None:
    assert files.count == 3
    assert [one.ids() for one in files.lists(range(1, 3))] == [["i7", "i5", "i8"], ["i6"]]
    assert [[it.item_id for it in profile.recent] for profile in files.profiles(range(2))] == [["i2", "i1"], ["i4", "i3"]]


def test_the_holders_of_an_item_are_counted_and_sampled_from_all_of_them(files: HistoryFiles) -> None:
    audience = Audience(files.members, 10, 100, lambda i: f"i{i}")
    holders = {user_id(number) for history in (0, 1) for number in visitors_of(history, 3, 100)}
    assert audience.holders.tolist() == [0, 0, 0, 0, 0, 67, 67, 33, 33, 0]
    assert audience.top(1).popitem()[1] == 67
    sample = audience.sample(5, 30, Random(1))
    assert len(sample) == 30
    assert set(sample) <= holders
    assert audience.sample(0, 30, Random(1)) == []


def test_hot_items_are_those_that_just_stand_in_enough_lists(files: HistoryFiles) -> None:
    audience = Audience(files.members, 10, 100, lambda i: f"i{i}")
    assert audience.hot(0.3) == [7, 8, 5, 6]
    assert audience.hot(0.5) == [5, 6]
    assert set(audience.hot(0.9)) == set(range(10)), "none is in so many: those in most will do"
    assert set(audience.coldest(6)) == {0, 1, 2, 3, 4, 9}


def test_each_visitor_gets_the_list_of_the_history_and_a_profile_of_their_own(files: HistoryFiles) -> None:
    with LocalRedis() as server, redis.Redis.from_url(server.url) as client:
        settings = RedisSettings(url=SecretStr(server.url))
        steps: list[tuple[str, int, int]] = []
        parts = [write_visitors(files, settings, 10, 1, (n, 2), lambda *step: steps.append(step)) for n in range(2)]
        assert sum(parts) == 10
        assert sum(done for _, done, total in steps if done == total) == 10
        for number in range(10):
            ranked = unpack(client.get(keys.rec(user_id(number))))
            profile = Profile.unpack(client.get(keys.profile(user_id(number))))
            assert ranked.ids() == next(files.lists(range(number % 3, number % 3 + 1))).ids()
            assert ranked.made_at > 10**12
            assert [f"i{i}" for i in files.clicks[number % 3]] == [it.item_id for it in reversed(profile.recent)]
            assert profile.revision
        times = {Profile.unpack(client.get(keys.profile(user_id(n)))).latest_ts for n in range(10)}
        assert len(times) == 10
