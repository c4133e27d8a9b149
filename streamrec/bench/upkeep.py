"""How fast an item leaves the lists that hold it and comes back, and lists are taken over, against an embedded Redis."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from typing import Final

import numpy as np
import redis

from streamrec.catalogue.store import Fact
from streamrec.clock import SystemClock
from streamrec.config import IndexSettings, ListSettings, Settings
from streamrec.events import CatalogItem, Stock
from streamrec.events.topics import CATALOG, STOCK
from streamrec.lists import keys
from streamrec.lists.functions import run as send
from streamrec.lists.matrix import ListMatrix
from streamrec.lists.redis_visitors import RedisVisitorStore
from streamrec.observe import Memory
from streamrec.ranking import Ranking, Reason
from streamrec.recommender import Knowledge, Upkeep, Whole

_ITEMS: Final = 20_000
_BLOCK: Final = 1000
#: Items that the reasons of a list name: those which its visitor clicked.
_REASONS: Final = 5
#: The hot item stands in every other list, somewhere among its first places.
_HOT: Final = "item-0"
_DIM: Final = 16


def measure(client: redis.Redis, rng: np.random.Generator, visitors: int) -> dict[str, float]:
    """Return figures by name for ``visitors`` lists in a Redis that is emptied first; rates are of one thread and the server."""
    client.flushdb()
    settings = Settings(index=IndexSettings(kind="exact", max_items=_ITEMS), lists=ListSettings(reserve=10))
    knowledge = Knowledge.build(settings, _DIM, "bench")
    knowledge.take_facts([Fact(CATALOG, f"item-{n}", CatalogItem(title=f"product {n}", ts=n + 1), n) for n in range(_ITEMS)])
    before = _resident_bytes()
    matrix, store = ListMatrix(visitors, knowledge.ranked_size, knowledge.list_size), RedisVisitorStore(client)
    _fill(client, knowledge, matrix, rng, visitors)
    grown = _resident_bytes() - before
    upkeep = Upkeep(knowledge, store, matrix, Whole(), SystemClock(), Memory())
    upkeep.tick(0.0)
    holding = len(matrix.lines_holding([0]))
    return {
        "lists_kept": float(visitors),
        "matrix_bytes_per_visitor": matrix.nbytes / visitors,
        "resident_bytes_per_visitor": grown / visitors,
        "lists_holding_the_item": float(holding),
        "evict_s": (out := _flip(knowledge, upkeep, 0, 1)),
        "evict_lists_per_s": holding / out,
        "restock_s": (back := _flip(knowledge, upkeep, 5, 2)),
        "restock_lists_per_s": holding / back,
        **_adopt(knowledge, store, visitors),
    }


def _fill(client: redis.Redis, knowledge: Knowledge, matrix: ListMatrix, rng: np.random.Generator, visitors: int) -> None:
    now_ms, k = SystemClock().now_ms(), knowledge.ranked_size
    hidden = knowledge.hidden(now_ms)
    scores, reasons = np.linspace(1, 0.1, k, dtype=np.float32), np.full(k, Reason.CONTENT, np.uint8)
    for start in range(0, visitors, _BLOCK):
        users = _users(start, min(start + _BLOCK, visitors))
        rankings = [Ranking(rows, scores, reasons, np.resize(rows[:_REASONS], k)) for rows in _rows(rng, len(users), k)]
        lists = [knowledge.lay_out(ranking, now_ms, hidden, user) for user, ranking in zip(users, rankings, strict=True)]
        matrix.put(users, rankings, now_ms, [laid.layout for laid in lists])
        values = zip(users, lists, strict=True)
        send(client, [("SET", keys.rec(user), laid.value, "EX", keys.VISITOR_TTL_S) for user, laid in values], "filling")


def _rows(rng: np.random.Generator, n: int, k: int) -> Iterator[np.ndarray[tuple[int, ...], np.dtype[np.int32]]]:
    """Yield distinct rows for each list: an arithmetic progression modulo a prime, and the hot item in every other list."""
    prime = 19_997
    starts, steps = rng.integers(0, prime, n), rng.integers(1, prime, n)
    for number, (start, step) in enumerate(zip(starts.tolist(), steps.tolist(), strict=True)):
        rows = ((start + step * np.arange(k)) % prime + 1).astype(np.int32)
        if number % 2:
            rows[number % 20] = 0
        yield rows


def _flip(knowledge: Knowledge, upkeep: Upkeep, quantity: int, order: int) -> float:
    """Return how many seconds pass until the hot item's change is in every list that holds it."""
    begun = time.perf_counter()
    upkeep.changed(knowledge.take_facts([Fact(STOCK, _HOT, Stock(quantity=quantity, ts=_ITEMS + order), order)]))
    while upkeep.tick(0.0):
        pass
    return time.perf_counter() - begun


def _adopt(knowledge: Knowledge, store: RedisVisitorStore, visitors: int) -> dict[str, float]:
    matrix = ListMatrix(visitors, knowledge.ranked_size, knowledge.list_size)
    upkeep = Upkeep(knowledge, store, matrix, Whole(), SystemClock(), Memory())
    upkeep.tick(0.0)
    upkeep.adopt()
    begun = time.perf_counter()
    while len(matrix) < visitors:
        upkeep.tick(0.025)
    return {"adopted_lists_per_s": visitors / (time.perf_counter() - begun)}


def _users(start: int, end: int) -> list[str]:
    return [f"kept-{n}" for n in range(start, end)]


def _resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as pages:  # noqa: PTH123 - no path of ours
        return int(pages.read().split()[1]) * resource.getpagesize()
