"""The world says the same for the same seed, says good and bad things on purpose, and knows which is which."""

from __future__ import annotations

from collections import Counter

import pytest

from streamrec.chaos.poison import KINDS
from streamrec.chaos.world import World, grocery, plain
from streamrec.config import ProfileSettings
from streamrec.errors import InvalidMessage
from streamrec.events import TOPICS, decode
from streamrec.profiles import Profile, apply
from tests.unit.chaos.played import NOW, placed

SEEDS = range(5)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_same_seed_says_the_same(seed: int) -> None:
    assert placed(World(seed, plain()), 2000) == placed(World(seed, plain()), 2000)
    assert placed(World(seed, plain()), 200) != placed(World(seed + 1, plain()), 200)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_it_calls_poison_is_refused_and_nothing_else(seed: int) -> None:
    seen: Counter[str] = Counter()
    for message, _, _ in placed(World(seed, plain()), 4000):
        seen[message.poison] += 1
        # However late it is read: a worker may be an hour behind.
        for late_ms in (400_000, 3_600_000):
            try:
                decode(message.topic, message.key, message.value, NOW + late_ms)
            except InvalidMessage:
                assert message.poison, message
            else:
                assert not message.poison, message
    assert KINDS.keys() <= seen.keys()


def test_it_repeats_itself_is_late_and_has_wrong_clocks() -> None:
    messages = [message for message, _, _ in placed(World(1, plain()), 5000) if not message.poison]
    repeated = Counter((message.topic, message.key, message.value) for message in messages)
    assert max(repeated.values()) > 1
    newest: dict[tuple[str, bytes | None], int] = {}
    late = ahead = 0
    for step, message in enumerate(messages):
        if message.value is None:
            continue
        decoded = decode(message.topic, message.key, message.value, NOW + 10**6)
        ts = getattr(decoded.value, "ts", 0)
        late += ts < newest.get((message.topic, message.key), 0)
        ahead += ts > NOW + step * 100 + 60_000
        newest[message.topic, message.key] = max(ts, newest.get((message.topic, message.key), 0))
    assert late > 20
    assert ahead > 5
    assert {message.topic for message in messages} == {name for name, topic in TOPICS.items() if not topic.internal}


def test_no_visitor_does_more_than_a_profile_remembers() -> None:
    """Forgetting is right, but would look like a loss."""
    settings, profiles = ProfileSettings(), dict[str, Profile]()
    for message, _, _ in placed(World(3, plain(), visitors=20), 6000):
        if message.topic.startswith("events.") and not message.poison:
            decoded = decode(message.topic, message.key, message.value, NOW + 10**7)
            apply(profiles.setdefault(decoded.key, Profile()), decoded.value, settings)  # type: ignore[arg-type]
    assert len(profiles) > 50  # who has done enough made room
    for profile in profiles.values():
        assert len(profile.recent) < settings.max_interactions
        assert len(profile.searches) < settings.max_searches
        assert len(profile.cart) < settings.max_cart
        assert sum(len(items) for _, items in profile.impressions) < settings.max_shown
        assert not profile.bought_floor


def test_the_shop_is_a_real_one() -> None:
    items = grocery(60, 4)
    assert len({item_id for item_id, _ in items}) == len(items) > 40
    assert len({item.category for _, item in items}) == 4
    assert all(item.title and item.price for _, item in items)
