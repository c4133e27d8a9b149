"""Redis loses data: facts and lists return from the compacted topics by themselves, profiles by `streamrec rebuild`."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from streamrec.events.topics import CAMPAIGNS, CARTS, CATALOG, CLICKS, ORDERS, PRICE, STOCK
from streamrec.lists import keys
from streamrec.lists.packing import unpack
from streamrec.lists.rebuilding import Rebuilding
from streamrec.profiles import Profile
from tests.integration.shop import Shop, await_until, now_ms

pytestmark = [pytest.mark.kafka, pytest.mark.integration]

ITEMS = [f"i{n}" for n in range(24)]
USERS = [f"u{n}" for n in range(30)]
EXCLUDED = "i3"
#: Similar and together of each item, trending and new of ten categories and of the shop.
LISTS = 2 * (len(ITEMS) + 10 + 1)
#: Takeovers and outages are to be noticed soon.
SWIFT = {
    "STREAMREC_LISTS__FALLBACK_INTERVAL_S": "0.1",
    "STREAMREC_KAFKA__SESSION_TIMEOUT_MS": "1500",
    "STREAMREC_REDIS__TIMEOUT_S": "1",
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop with everything in it; each test leaves it as whole as it found it."""
    with Shop(tmp_path_factory.mktemp("shop"), SWIFT, kind="apache") as running:
        roles = [("availability",), ("embedder", "aggregator"), ("recommender",), ("recommender",)]
        workers = [running.start(*some) for some in roles]
        for worker in workers:
            worker.wait_ready(60)
        ts, rng = now_ms(), Random(3)
        running.publish([(CATALOG, i, {"title": f"thing {i}", "category": f"c{i[-1]}", "price": 5.0, "ts": ts}) for i in ITEMS])
        running.await_vectors(len(ITEMS))
        excluded = {"action": "exclude", "targets": {"items": [EXCLUDED]}, "starts_at": ts, "ends_at": ts + 9_000_000, "ts": ts}
        running.publish([(CAMPAIGNS, "c", excluded)])
        running.publish([(STOCK, i, {"quantity": int(n % 4 != 0), "ts": ts + 1}) for n, i in enumerate(ITEMS)])
        running.publish([(PRICE, i, {"price": 7.5 + n, "ts": ts + 1}) for n, i in enumerate(ITEMS)])
        _visit(running, rng, 8)
        order = {"lines": [{"item_id": "i1"}, {"item_id": "i2"}], "ts": ts + 500}
        running.publish([(ORDERS, user, order) for user in USERS[:10]])
        await_until(lambda: all(profile.recent for profile in running.visitors.load(USERS)), "all profiles")
        yield running


def _visit(shop: Shop, rng: Random, steps: int, users: list[str] = USERS) -> None:
    """Let visitors click and put into their carts."""
    for step in range(steps):
        topic, more = ((CLICKS, {}), (CARTS, {"op": "add"}))[step % 2]
        at = now_ms()
        shop.publish([(topic, user, {"item_id": rng.choice(ITEMS), "ts": at, **more}) for user in users])


def _facts(shop: Shop) -> dict[str, Any]:
    return {"soldout": shop.redis.smembers(keys.SOLDOUT)} | {i: shop.redis.hgetall(keys.item(i)) for i in ITEMS}


def _lists(shop: Shop) -> dict[str, set[str]]:
    """Return what stands in every list that belongs to no visitor, less what sold out since the list was made."""
    names: list[Any] = [name for kind in ("trending", "new", "similar", "together") for name in shop.redis.scan_iter(f"{kind}:*")]
    values: dict[str, Any] = {name.decode(): shop.redis.get(name) for name in names}
    hidden = _hidden(shop)
    return {name: {item["id"] for item in json.loads(value)["items"]} - hidden for name, value in values.items() if value}


def _hidden(shop: Shop) -> set[str]:
    """Return the ids that nobody may see."""
    soldout: set[Any] = shop.redis.smembers(keys.SOLDOUT)
    return {item.decode() for item in soldout} | {EXCLUDED}


def _profiles(shop: Shop) -> list[Profile]:
    profiles = shop.visitors.load(USERS)
    for profile in profiles:
        profile.revision = 0
    return profiles


def _homes(shop: Shop) -> dict[str, set[str]]:
    """Return what stands in each visitor's list."""
    values = {user: shop.redis.get(keys.rec(user)) for block in shop.visitors.adopt(lambda _: True) for user, _ in block}
    return {user: {item.id for item in unpack(value).items} for user, value in values.items() if isinstance(value, bytes)}


def _whole(shop: Shop) -> bool:
    """Tell whether every visitor has a list, with nothing in it that may not be shown."""
    homes, hidden = _homes(shop), _hidden(shop)
    return set(homes) >= set(USERS) and all(ids and not ids & hidden for ids in homes.values())


def _settled(shop: Shop) -> tuple[dict[str, Any], dict[str, set[str]], list[Profile]]:
    """Wait until nothing has moved for longer than the fallback lists' turns take, and return all that stands."""
    image: Any = None
    since = time.monotonic()

    def unchanged() -> bool:
        nonlocal image, since
        now = _facts(shop), _lists(shop), _profiles(shop)
        quiet = all(not beat.get("backlog") and not beat.get("item_lists_due") and not beat["lag"] for beat in shop.heartbeats())
        if now != image or not quiet or not _whole(shop) or len(now[1]) != LISTS:
            image, since = now, time.monotonic()
        return time.monotonic() - since > 0.7

    await_until(unchanged, "a shop at rest")
    return image  # type: ignore[no-any-return]


def _retries(url: str) -> float:
    """Return how often a worker tried a batch again."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
        return sum(float(n) for n in re.findall(r"^streamrec_retries_total\{.*\} (\S+)$", answer.read().decode(), re.MULTILINE))


def _rebuilt(shop: Shop) -> dict[str, Any]:
    done = shop.cli("rebuild", "--json")
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize("how", ["FLUSHALL", "restarted empty"])
def test_a_redis_that_was_emptied_is_filled_again(shop: Shop, how: str) -> None:
    facts, lists, profiles = _settled(shop)
    if how == "FLUSHALL":
        shop.redis.flushall()
    else:
        shop.stack.redis.restart(keep_data=False)
    await_until(lambda: _facts(shop) == facts, "the facts, by themselves")
    await_until(lambda: _lists(shop).keys() == lists.keys(), "the lists of the shop and of items, by themselves")
    now = _lists(shop)
    # Nothing is missing; an item list that was made while something was sold out may have gained it.
    assert all(lists[name] <= now[name] for name in lists)
    assert _homes(shop) == {}  # nobody returns from memory
    assert _rebuilt(shop)["events"] > 0
    assert _profiles(shop) == profiles
    await_until(lambda: _whole(shop), "everybody's list, with the sold-out and the campaign out of it")
    before = {user: shop.redis.get(keys.profile(user)) for user in USERS}
    _rebuilt(shop)
    assert {user: shop.redis.get(keys.profile(user)) for user in USERS} == before


def test_a_redis_that_restarts_with_its_data_has_lost_nothing(shop: Shop) -> None:
    image = _settled(shop)
    shop.stack.redis.restart(keep_data=True)
    _visit(shop, Random(1), 1, USERS[:5])
    after = _settled(shop)
    assert after[0] == image[0]
    assert [len(p.recent) for p in after[2]] == [len(p.recent) + (n < 5) for n, p in enumerate(image[2])]


def test_an_older_snapshot_catches_up_by_itself(shop: Shop) -> None:
    _settled(shop)
    shop.redis.save()
    ts = now_ms()
    shop.publish([(STOCK, i, {"quantity": int(n % 3 != 0), "ts": ts}) for n, i in enumerate(ITEMS)])
    shop.publish([(PRICE, "i5", {"price": float(ts), "ts": ts})])
    _visit(shop, Random(2), 4)
    facts, lists, profiles = _settled(shop)
    shop.stack.redis.kill()
    shop.stack.redis.start()
    await_until(lambda: _facts(shop) == facts, "the facts, none of them older")
    await_until(lambda: _lists(shop).keys() == lists.keys(), "the lists")
    await_until(lambda: _profiles(shop) == profiles, "the profiles, from the stamps in the snapshot on")
    await_until(lambda: _whole(shop), "everybody's list")


def test_a_redis_that_hangs_is_waited_for_and_nothing_is_lost(shop: Shop) -> None:
    _settled(shop)
    before = [len(profile.recent) for profile in _profiles(shop)]
    before_it = {
        beat["url"]: _retries(beat["url"]) for beat in shop.heartbeats() if {*beat["roles"]} & {"availability", "recommender"}
    }
    pid = shop.stack.redis.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        ts = now_ms()
        shop.publish([(CLICKS, user, {"item_id": "i6", "ts": ts + n}) for n in range(3) for user in USERS])
        shop.publish([(STOCK, "i6", {"quantity": 0, "ts": ts})])
        await_until(lambda: all(_retries(url) > n for url, n in before_it.items()), "everybody tries again")
    finally:
        os.kill(pid, signal.SIGCONT)
    await_until(lambda: [len(p.recent) for p in _profiles(shop)] == [n + 3 for n in before], "every event once")
    await_until(lambda: b"i6" in shop.redis.smembers(keys.SOLDOUT), "the stock")
    shop.publish([(STOCK, "i6", {"quantity": 4, "ts": now_ms()})])
    _settled(shop)


def test_a_rebuild_survives_the_death_of_a_recommender(shop: Shop) -> None:
    _visit(shop, Random(4), 40)
    _, _, profiles = _settled(shop)
    victim = next(w for w in shop.stack.workers if w.running and w.roles == ("recommender",))
    shop.redis.flushall()
    rebuilding = Rebuilding(shop.redis)
    command = subprocess.Popen(
        [sys.executable, "-m", "streamrec", "rebuild", "--json"],
        env={"PATH": os.environ["PATH"], "HOME": str(Path.home()), **shop.stack.environment()},
        stdout=subprocess.PIPE,
    )
    try:
        plan = await_until(rebuilding.current, "the request")
        await_until(lambda: sum(rebuilding.done(plan).values()) > 0, "the first events")
        victim.kill()
        shop.start("recommender")
        said, _ = command.communicate(timeout=60)
    finally:
        command.kill()
        command.wait()
    assert command.returncode == 0
    assert json.loads(said)["events"] == plan.events
    assert _profiles(shop) == profiles
    _settled(shop)


def test_a_forgotten_visitor_is_not_rebuilt_but_may_come_back(shop: Shop) -> None:
    _settled(shop)
    visitor = "who wants to go"
    shop.publish([(CLICKS, visitor, {"item_id": "i1", "ts": now_ms()})])
    await_until(lambda: visitor in _homes(shop), "a list")
    assert shop.cli("forget", visitor).returncode == 0
    _rebuilt(shop)
    [profile] = shop.visitors.load([visitor])
    assert not profile.recent
    assert visitor not in _homes(shop)
    shop.publish([(CLICKS, visitor, {"item_id": "i2", "ts": now_ms()})])
    await_until(lambda: visitor in _homes(shop), "a list again")
    assert shop.cli("forget", visitor).returncode == 0
