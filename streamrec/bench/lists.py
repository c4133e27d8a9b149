"""How fast lists are pushed, committed, found and read, against an embedded Redis."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import redis

from streamrec.bench import upkeep
from streamrec.catalogue.redis_store import RedisFactStore
from streamrec.catalogue.store import Fact
from streamrec.client import Storefront
from streamrec.config import ProfileSettings
from streamrec.events import Click, Stock
from streamrec.events.topics import STOCK
from streamrec.lists import keys
from streamrec.lists.functions import ensure_functions
from streamrec.lists.item_lists import RedisListStore
from streamrec.lists.matrix import ListMatrix
from streamrec.lists.packing import ListItem, RankedList, pack
from streamrec.lists.redis_visitors import RedisVisitorStore
from streamrec.lists.visitors import Replacement, VisitorUpdate
from streamrec.local import LocalRedis
from streamrec.profiles import Profile, apply
from streamrec.ranking import Ranking

_NOW_MS = 1_767_225_600_000
_ITEMS = 20_000
_LIST_SIZE = 50
_BATCH = 500


def run(
    *, visitors: int = 10_000, reads: int = 5_000, matrix_visitors: int = 200_000, kept: int = 200_000, seed: int = 7
) -> dict[str, float]:
    """Return figures by name; ``…_per_s`` are rates of one thread of one client, ``…_us`` are microseconds.

    ``kept`` lists are kept by a recommender's upkeep while an item that stands in half of them sells out and comes back.

    Raises LocalStackError where the embedded Redis is not installed.
    """
    rng = np.random.default_rng(seed)
    with LocalRedis() as server, redis.Redis.from_url(server.url) as client:
        ensure_functions(client)
        return {
            **_push(client, rng, visitors),
            **_facts(client, rng, visitors),
            **_read(client, rng, visitors, reads),
            **_scan(rng, matrix_visitors),
            **upkeep.measure(client, rng, kept),
        }


def _lists(rng: np.random.Generator, n: int) -> list[RankedList]:
    picks = rng.integers(0, _ITEMS, (n, _LIST_SIZE))
    return [
        RankedList(_NOW_MS, tuple(ListItem(f"item-{i}", 0.12345, f"content:item-{i}") for i in row), "a", "0123456789abcdef")
        for row in picks.tolist()
    ]


def _profile(rng: np.random.Generator) -> Profile:
    profile, config = Profile(), ProfileSettings()
    for n, item in enumerate(rng.integers(0, _ITEMS, 20).tolist()):
        apply(profile, Click(item_id=f"item-{item}", ts=_NOW_MS + n), config)
    return profile


def _push(client: redis.Redis, rng: np.random.Generator, visitors: int) -> dict[str, float]:
    store, lists = RedisVisitorStore(client), _lists(rng, visitors)
    profile = _profile(rng).pack()
    updates = [VisitorUpdate(f"user-{n}", Profile.unpack(profile), {keys.HOME: ranked}) for n, ranked in enumerate(lists)]
    names = [update.user_id for update in updates]
    repairs = [Replacement(name, keys.HOME, _NOW_MS, ranked) for name, ranked in zip(names, lists, strict=True)]

    def set_plainly(block: slice) -> None:
        with client.pipeline(transaction=False) as pipe:
            for name, ranked in zip(names[block], lists[block], strict=True):
                pipe.set(keys.rec(name), pack(ranked), ex=keys.VISITOR_TTL_S)
            pipe.execute()

    return {
        "list_bytes": float(np.mean([len(pack(ranked)) for ranked in lists[:100]])),
        "plain_set_lists_per_s": _rate(visitors, set_plainly),
        "commits_per_s": _rate(visitors, lambda block: store.commit(updates[block])),
        "repairs_per_s": _rate(visitors, lambda block: store.replace_lists(repairs[block])),
        "profile_loads_per_s": _rate(visitors, lambda block: store.load(names[block])),
    }


def _facts(client: redis.Redis, rng: np.random.Generator, n: int) -> dict[str, float]:
    store = RedisFactStore(client)
    items = rng.permutation(_ITEMS)[np.arange(n) % _ITEMS].tolist()
    # One in fifty is sold out: the guard has something to do in the reads that follow.
    facts = [Fact(STOCK, f"item-{item}", Stock(quantity=int(item % 50 > 0), ts=_NOW_MS + i), i) for i, item in enumerate(items)]
    return {"stock_facts_per_s": _rate(n, lambda block: store.apply(facts[block]))}


def _read(client: redis.Redis, rng: np.random.Generator, visitors: int, reads: int) -> dict[str, float]:
    RedisListStore(client).put({keys.trending(): _lists(rng, 1)[0]}, keys.FALLBACK_TTL_S)
    who = [f"user-{n}" for n in rng.integers(0, visitors, reads).tolist()]
    figures: dict[str, float] = {}
    for path, shop in (("functions", Storefront(client)), ("plain", Storefront(client, cluster=True))):
        figures |= _times(f"top10_{path}", who, lambda user, shop=shop: shop.top(user, 10))  # type: ignore[misc]
        figures |= _times(f"top60_filled_{path}", who[: reads // 2], lambda user, shop=shop: shop.top(user, 60))  # type: ignore[misc]
    return figures


def _scan(rng: np.random.Generator, visitors: int) -> dict[str, float]:
    matrix = ListMatrix(visitors, _LIST_SIZE)
    scores, reasons = np.linspace(1, 0, _LIST_SIZE, dtype=np.float32), np.zeros(_LIST_SIZE, np.uint8)
    evidence = np.full(_LIST_SIZE, -1, np.int32)
    rankings = [Ranking(rng.integers(0, _ITEMS, _LIST_SIZE, np.int32), scores, reasons, evidence) for _ in range(1000)]
    names = [f"user-{n}" for n in range(visitors)]
    put = _rate(
        visitors, lambda block: matrix.put(names[block], (rankings + rankings)[block.start % 1000 :][: _size(block, visitors)])
    )
    begun = time.perf_counter()
    for _ in range(5):
        matrix.lines_holding([1, 2, 3])
    return {"matrix_puts_per_s": put, "matrix_scan_s_per_million": (time.perf_counter() - begun) / 5 * 1e6 / visitors}


def _size(block: slice, n: int) -> int:
    return min(int(block.stop), n) - int(block.start)


def _rate(n: int, work: Callable[[slice], object]) -> float:
    begun = time.perf_counter()
    for start in range(0, n, _BATCH):
        work(slice(start, start + _BATCH))
    return n / (time.perf_counter() - begun)


def _times(name: str, who: list[str], read: Callable[[str], object]) -> dict[str, float]:
    took = []
    for user in who:
        begun = time.perf_counter()
        read(user)
        took.append(time.perf_counter() - begun)
    p50, p99 = np.percentile(took, [50, 99]) * 1e6
    return {f"{name}_per_s": len(who) / sum(took), f"{name}_p50_us": float(p50), f"{name}_p99_us": float(p99)}
