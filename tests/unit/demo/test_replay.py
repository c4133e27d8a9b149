"""A replay for comparison moves all times by one amount, and two moments of Redis are told apart by what they say."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import redis

from streamrec.clock import ManualClock
from streamrec.demo.compare import compare, snapshot
from streamrec.demo.data import open_data
from streamrec.demo.replay import _all, _excerpt
from streamrec.events import Campaign, Order, decode
from streamrec.events.topics import CAMPAIGNS, CATALOG
from streamrec.lists import keys
from tests.unit.demo.tiny_shop import TinyShop

NOW = 1_767_225_600_000


def test_an_excerpt_keeps_all_distances_and_ends_before_now(grocer: Path) -> None:
    data = open_data(grocer)
    _, messages = _excerpt(data, 100, None, NOW)
    before = [record.at_ms for record in data.timeline()]
    after = [decode(topic, key.encode(), value, NOW).value for topic, key, value in messages]
    times = [getattr(value, "ts") for value in after]  # noqa: B009
    assert max(times) == NOW - 60_000
    assert [b - a for a, b in pairwise(times)] == [b - a for a, b in pairwise(before)]
    campaigns = [value for value in after if isinstance(value, Campaign)]
    assert all(campaign.starts_at == campaign.ts < campaign.ends_at for campaign in campaigns)


def test_a_capped_excerpt_has_the_items_that_its_records_name_first(grocer: Path) -> None:
    catalogue, messages = _excerpt(open_data(grocer), 100, 2, NOW)
    assert {item_id for item_id, _ in catalogue} == {"1", "2"}
    orders = [decode(t, k.encode(), v, NOW).value for t, k, v in messages]
    assert {line.item_id for order in orders if isinstance(order, Order) for line in order.lines} <= {"1", "2"}
    assert len(_excerpt(open_data(grocer), 100, 3, NOW)[0]) == 3


def test_a_replay_sends_the_catalogue_first_and_keeps_times_unless_asked(shop_files: Path) -> None:
    data = open_data(shop_files)
    paced: list[int] = []

    def records(**changes: object) -> list[tuple[str, int | None]]:
        how = {"limit": None, "items": True, "rebase": False} | changes
        pacing = {"clock": ManualClock(NOW), "pace": lambda: paced.append(1)}
        return [(r.topic, getattr(r.value, "ts", None)) for r in _all(data, **how, **pacing)]  # type: ignore[arg-type]

    ts = 1_767_225_600_000
    assert records() == [
        (CATALOG, ts),
        (CATALOG, ts + 1000),
        ("events.clicks", ts + 1000),
        ("items.stock", ts + 500),
        (CATALOG, None),
    ]
    assert len(paced) == 1, "only visitors' events are paced"
    assert records(items=False, limit=1) == [("events.clicks", ts + 1000)]
    assert {time for _, time in records(rebase=True)} == {NOW, None}


def test_a_rebased_replay_cancels_campaigns_when_the_data_pass_their_ends(grocer: Path) -> None:
    data = open_data(grocer)
    sent = [
        (record.key, record.value is None)
        for record in _all(data, limit=None, items=False, rebase=True, clock=ManualClock(NOW), pace=lambda: None)
        if record.topic == CAMPAIGNS
    ]
    assert sent[:2] == [("coupons-1", False), ("coupons-2", False)]


def shop(client: redis.Redis) -> TinyShop:
    shop = TinyShop(client, [f"item-{n}" for n in range(60)])
    shop.send("events.clicks", "u0", b'{"item_id": "item-3", "ts": 1767225600000, "event_id": "c"}')
    shop.send("items.stock", "item-1", b'{"quantity": 0, "ts": 1767225600000}')
    return shop


def test_the_same_messages_again_change_nothing_that_counts(redis_client: redis.Redis) -> None:
    tiny = shop(redis_client)
    once = snapshot(redis_client)
    tiny.send("items.stock", "item-1", b'{"quantity": 0, "ts": 1767225600000}')
    tiny.send("events.clicks", "u0", b'{"item_id": "item-3", "ts": 1767225600000, "event_id": "c"}')
    result = compare(once, snapshot(redis_client))
    assert result.equal
    assert result.parts["profiles"].equal == result.parts["lists"].equal == 1
    assert result.lines()[-1] == "replayed twice = replayed once"


def test_every_part_that_differs_is_found_and_shown(redis_client: redis.Redis) -> None:
    tiny = shop(redis_client)
    once = snapshot(redis_client)
    tiny.send("events.clicks", "u0", b'{"item_id": "item-9", "ts": 1767225601000, "event_id": "d"}')
    tiny.send("items.stock", "item-51", b'{"quantity": 0, "ts": 1767225600000}')
    redis_client.set(keys.rec("u9"), b"no list")
    result = compare(once, snapshot(redis_client))
    assert not result.equal
    assert {name: part.different for name, part in result.parts.items()}["profiles"] == 1
    assert all(part.different and part.examples for part in result.parts.values())
    assert result.lines()[-1] == "REPLAYED TWICE IS NOT REPLAYED ONCE"
