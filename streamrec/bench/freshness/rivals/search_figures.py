"""What only the vector search has: three interests per read, recall against exact search, and how it bears churn."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import redis

from streamrec.bench.freshness.rivals.design import Say
from streamrec.bench.freshness.rivals.measure import summary, timed
from streamrec.bench.freshness.rivals.vector_search import VectorSearch, exact, interests_of, recall
from streamrec.bench.freshness.rivals.world import World, clustered

_QUERIES: Final = 200
#: Share of the items that get another vector, and share that sell out.
_CHURN: Final = 0.1


def search_figures(design: VectorSearch, client: redis.Redis, world: World, reads: int, say: Say) -> dict[str, Any]:
    """Return ``read_three``, ``recall_at_10`` fresh and after churn, and the rates of the churn."""
    rng = np.random.default_rng(world.seed + 1)
    who = rng.integers(0, world.users, reads // 3 + 1).tolist()
    every = [interests_of(world, user) for user in who]
    # The second interest: the first one is the same for all who hold the hot item.
    queries = np.stack([world.interest(int(user), 1) for user in rng.integers(0, world.users, _QUERIES)])
    three = summary([timed(lambda interests=interests: design.read_all(client, interests)) for interests in every])  # type: ignore[misc]
    fresh = _recall(design, client, world.vectors, np.zeros(world.items, bool), queries)
    say(f"{design.name}: churn")
    rates, vectors, hidden = _churn(design, client, world, rng)
    churned = _recall(design, client, vectors, hidden, queries)
    after = summary([timed(lambda query=query: design.search(client, query)) for query in queries])  # type: ignore[misc]
    return {"read_three": three, "recall_at_10": {"fresh": fresh, "churned": churned}, "churn": rates, "read_churned": after}


def _recall(design: VectorSearch, client: redis.Redis, vectors: Any, hidden: Any, queries: Any) -> float:
    return recall([design.search(client, query) for query in queries], exact(vectors, hidden, queries))


def _churn(design: VectorSearch, client: redis.Redis, world: World, rng: np.random.Generator) -> tuple[dict[str, float], Any, Any]:
    """Change the vectors of a tenth of the items and sell out another tenth; return the rates and what stands now."""
    n = int(world.items * _CHURN)
    chosen = rng.permutation(world.items)[: 2 * n]
    moved, gone = chosen[:n].tolist(), chosen[n:].tolist()
    # Another item's vector, a little off: the new ones lie where vectors of this catalogue lie.
    sources = world.vectors[rng.integers(0, world.items, n)].astype(np.float32) + 0.1 * clustered(rng, n)
    new = (sources / np.linalg.norm(sources, axis=1, keepdims=True)).astype(np.float32)
    moves = summary([timed(lambda row=row, to=to: design.move(client, row, to)) for row, to in zip(moved, new, strict=True)])  # type: ignore[misc]
    sales = summary([timed(lambda row=row: design.flip(client, row, available=False)) for row in gone])  # type: ignore[misc]
    vectors, hidden = world.vectors.astype(np.float32), np.zeros(world.items, bool)
    vectors[moved], hidden[gone] = new, True
    return {"vectors_per_s": moves["per_s"], "soldout_per_s": sales["per_s"], "soldout_p99_ms": sales["p99_ms"]}, vectors, hidden
