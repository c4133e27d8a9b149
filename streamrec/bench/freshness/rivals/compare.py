"""Runs the designs one after another on the same items, visitors and lists, each on an embedded server of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import redis
from numpy.typing import NDArray

from streamrec.bench.freshness.rivals.design import Design, Say
from streamrec.bench.freshness.rivals.fan_out import FanOut, RewrittenLists
from streamrec.bench.freshness.rivals.measure import Bench
from streamrec.bench.freshness.rivals.pushed import Pushed
from streamrec.bench.freshness.rivals.search_figures import search_figures
from streamrec.bench.freshness.rivals.vector_search import VectorSearch
from streamrec.bench.freshness.rivals.world import LIST_SIZE, World, make_world
from streamrec.errors import ConfigError
from streamrec.local import LocalRedis

DESIGNS: Final[Mapping[str, type[Design]]] = {design.name: design for design in (Pushed, VectorSearch, FanOut, RewrittenLists)}
COLUMNS: Final = (
    "design",
    "read p50 ms",
    "read p99 ms",
    "reads/s",
    "p99 ms in flips",
    "flips/s",
    "sold out p50 ms",
    "sold out p99 ms",
    "hot item gone ms",
    "and back ms",
    "bytes/item",
    "bytes/visitor",
    "recall@10",
)


def run(
    *,
    items: int,
    users: int,
    vectors: NDArray[np.floating] | None = None,
    holders: int | None = None,
    reads: int = 5_000,
    flips_per_s: float = 2_000.0,
    seed: int = 7,
    designs: Sequence[str] = (),
    say: Say | None = None,
) -> dict[str, Any]:
    """Return ``designs``, by name the figures of each, and the world they were measured on; ``rows`` makes a table of it.

    ``vectors`` (items, 512) of norm 1, clustered random ones where None. ``holders`` visitors have the item of the flash sale in
    their lists; None: half of them. ``designs`` empty: all. ``flips_per_s`` is what is offered; what a design reached stands
    beside. A design whose parts are not installed has null, and ``missing`` says how to get them.

    Raises ConfigError for an unknown design or a world too small, LocalStackError.
    """
    tell = say or (lambda _: None)
    held = users // 2 if holders is None else holders
    _check(items, users, held, designs, vectors)
    world = make_world(items, users, vectors, held, seed)
    figures: dict[str, Any] = {}
    missing: dict[str, str] = {}
    for name in designs or DESIGNS:
        try:
            figures[name] = _measure(DESIGNS[name](), world, reads, flips_per_s, tell)
        except ConfigError as error:
            figures[name], missing[name] = None, str(error)
    return _described(world, reads, flips_per_s, vectors is not None) | {"designs": figures, "missing": missing}


def rows(result: Mapping[str, Any]) -> list[list[Any]]:
    """Return a table's rows of ``run``'s result, in the order of ``COLUMNS``; '-' where there is no such figure."""
    return [_row(name, figures) for name, figures in result["designs"].items() if figures is not None]


def _row(name: str, figures: Mapping[str, Any]) -> list[Any]:
    read, loaded, sold, hot = (figures[part] for part in ("read", "read_during_flips", "soldout", "hot"))
    memory, found = figures["memory"], figures.get("recall_at_10", {}).get("churned", "-")
    timed = [read["p50_ms"], read["p99_ms"], read["per_s"], loaded["p99_ms"], loaded["flips_per_s"], sold["p50_ms"], sold["p99_ms"]]
    return [name, *timed, hot["gone_ms"], hot["back_ms"], memory["bytes_per_item"], memory["bytes_per_visitor"], found]


def _described(world: World, reads: int, flips_per_s: float, given: bool) -> dict[str, Any]:
    return {
        "items": world.items,
        "users": world.users,
        "holders": world.holders,
        "list_size": LIST_SIZE,
        "reads": reads,
        "offered_flips_per_s": flips_per_s,
        "vectors": "given" if given else "clustered random",
        "cores": len(os.sched_getaffinity(0)),
    }


def _measure(design: Design, world: World, reads: int, flips_per_s: float, say: Say) -> dict[str, Any]:
    with LocalRedis(arguments=design.arguments()) as server, redis.Redis.from_url(server.url, protocol=2) as client:
        begun = time.perf_counter()
        loaded = _load(design, client, world, say)
        say(f"{design.name}: measuring")
        bench = Bench(design, client, server.url, world, reads)
        figures = {"server": _server(client), **loaded, **bench.figures(flips_per_s)}
        if isinstance(design, VectorSearch):
            figures |= search_figures(design, client, world, reads, say)
        return figures | {"seconds": time.perf_counter() - begun}


def _load(design: Design, client: redis.Redis, world: World, say: Say) -> dict[str, Any]:
    empty = _used(client)
    items_s = _timed(lambda: design.load_items(client, world, say))
    with_items = _used(client)
    visitors_s = _timed(lambda: design.load_visitors(client, world, say))
    with_all = _used(client)
    memory = {
        "bytes_per_item": (with_items - empty) / world.items,
        "bytes_per_visitor": (with_all - with_items) / world.users,
        "rss_mb": _info(client, "memory")["used_memory_rss"] / 2**20,
    }
    return {"build": {"items_s": items_s, "visitors_s": visitors_s}, "memory": memory}


def _timed(work: Callable[[], None]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _used(client: redis.Redis) -> int:
    return int(_info(client, "memory")["used_memory"])


def _info(client: redis.Redis, section: str) -> dict[str, Any]:
    info: Any = client.info(section)
    return dict(info)


def _server(client: redis.Redis) -> str:
    about, modules = _info(client, "server"), _info(client, "modules")
    version = f"{about.get('server_name', 'redis')} {about.get('valkey_version', about['redis_version'])}"
    search = [module["ver"] for module in modules.get("modules", []) if module["name"] == "search"]
    return f"{version} with RediSearch {search[0] // 10000}.{search[0] // 100 % 100}.{search[0] % 100}" if search else version


def _check(items: int, users: int, holders: int, designs: Sequence[str], vectors: NDArray[np.floating] | None) -> None:
    if unknown := sorted(set(designs) - DESIGNS.keys()):
        msg = f"no design is named {', '.join(unknown)}; choose of {', '.join(DESIGNS)}"
        raise ConfigError(msg)
    if items <= 2 * LIST_SIZE or not 1 <= holders <= users:
        msg = f"{items} items, {users} users, {holders} holders; give more than {2 * LIST_SIZE} items and 1 to {users} holders"
        raise ConfigError(msg)
    if vectors is not None and len(vectors) != items:
        msg = f"{len(vectors)} vectors for {items} items; give as many"
        raise ConfigError(msg)
