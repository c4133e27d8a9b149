"""What only the vector search has: three interests per read, recall against exact search, and how it bears churn."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

import numpy as np
import redis
from numpy.typing import NDArray

from streamrec.bench.freshness.rivals.design import Say
from streamrec.bench.freshness.rivals.measure import summary, timed
from streamrec.bench.freshness.rivals.vector_search import VectorSearch, exact, recall
from streamrec.bench.freshness.rivals.world import Vectors, World, unit

_QUERIES: Final = 200
#: Share of the items that get another vector, and share that sell out.
_CHURN: Final = 0.1


def search_figures(design: VectorSearch, client: redis.Redis, world: World, reads: int, say: Say) -> dict[str, Any]:
    """Return ``read_three``, ``recall_at_10`` fresh and after churn, and the rates of the churn."""
    rng = np.random.default_rng(world.seed + 1)
    three = _timed(design.reads_of_all(client, world, rng.integers(0, world.users, reads // 3 + 1).tolist()))
    # The second interest: the first one is the same for all who hold the hot item.
    queries = np.stack([world.interest(int(user), 1) for user in rng.integers(0, world.users, _QUERIES)])
    asked = [partial(design.search, client, query.tobytes()) for query in queries]
    fresh = recall([ask() for ask in asked], exact(world.vectors, np.zeros(world.items, bool), queries))
    rates, vectors, hidden = _churn(design, client, world, rng, say)
    churned = recall([ask() for ask in asked], exact(vectors, hidden, queries))
    return {
        "read_three": three,
        "recall_at_10": {"fresh": fresh, "churned": churned},
        "churn": rates,
        "read_churned": _timed(asked),
    }


def _churn(
    design: VectorSearch, client: redis.Redis, world: World, rng: np.random.Generator, say: Say
) -> tuple[dict[str, float], Vectors, NDArray[np.bool_]]:
    """Change the vectors of a tenth of the items and sell out another tenth; return the rates and what stands now."""
    n = int(world.items * _CHURN)
    say(f"{design.name}: {n:,} items change their vectors, {n:,} sell out")
    chosen = rng.permutation(world.items)[: 2 * n]
    vectors, hidden = world.vectors.astype(np.float32), np.zeros(world.items, bool)
    # Another item's vector, a little off: the new ones lie where vectors of this catalogue lie.
    noise = unit(rng.standard_normal((n, vectors.shape[1]), np.float32))
    new = unit(vectors[rng.integers(0, world.items, n)] + 0.1 * noise)
    vectors[chosen[:n]], hidden[chosen[n:]] = new, True
    moves = zip(chosen[:n].tolist(), [vector.tobytes() for vector in new], strict=True)
    moved = _timed(partial(design.move, client, row, vector) for row, vector in moves)
    sold = _timed(partial(design.flip, client, row, available=False) for row in chosen[n:].tolist())
    return {"vectors_per_s": moved["per_s"], "soldout_per_s": sold["per_s"], "soldout_p99_ms": sold["p99_ms"]}, vectors, hidden


def _timed(calls: Iterable[Callable[[], object]]) -> dict[str, float]:
    return summary([timed(call) for call in calls])
