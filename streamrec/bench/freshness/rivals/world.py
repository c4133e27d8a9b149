"""The items, visitors and lists that every design holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

LIST_SIZE: Final = 50
INTERESTS: Final = 3
SHOWN: Final = 10
#: The item of the flash sale: in the first ten places of the lists of the first ``holders`` visitors, and in no other list.
HOT: Final = 0
#: One holder in so many looks for it first: were it all of them, every search would go to one corner of a warm graph.
_LOOKING: Final = 10

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class World:
    """``vectors`` (items, dim) of norm 1; ``lists`` (users, 50) rows, best first; ``interests`` (users, 3) rows."""

    vectors: NDArray[np.floating]
    lists: NDArray[np.int32]
    interests: NDArray[np.int32]
    holders: int
    seed: int

    @property
    def items(self) -> int:
        """The number of items."""
        return len(self.vectors)

    @property
    def users(self) -> int:
        """The number of visitors."""
        return len(self.lists)

    def interest(self, user: int, place: int) -> Vectors:
        """Return a visitor's interest (dim,) float32 of norm 1: near an item's vector, and the same at every call."""
        rng = np.random.default_rng([self.seed, user, place])
        near = self.vectors[self.interests[user, place]].astype(np.float32)
        return unit(near + 0.3 * unit(rng.standard_normal(near.shape, np.float32)))


def make_world(vectors: NDArray[np.floating], users: int, holders: int, seed: int) -> World:
    """Return the world of a seed over the vectors of its items."""
    items = len(vectors)
    rng = np.random.default_rng(seed)
    lists = _lists(rng, items, users)
    lists[np.arange(holders), rng.integers(0, SHOWN, holders)] = HOT
    interests = rng.integers(1, items, (users, INTERESTS), np.int32)
    interests[: holders // _LOOKING + 1, 0] = HOT
    return World(vectors, lists, interests, holders, seed)


def item_id(row: int) -> str:
    """Return an item's id."""
    return f"i-{row:06d}"


def user_id(row: int) -> str:
    """Return a visitor's id."""
    return f"u-{row:06d}"


def place_scores() -> list[float]:
    """Return the scores of a list's places, best first; the same in every list, short in JSON."""
    return [round(1.0 - place / 64, 4) for place in range(LIST_SIZE)]


def blocks(n: int, size: int, say: Callable[[str], None], what: str) -> list[range]:
    """Return the ranges of ``size`` that cover ``n``, and say what is about to be loaded."""
    say(f"{what}: {n:,}")
    return [range(start, min(start + size, n)) for start in range(0, n, size)]


def unit(vectors: Vectors) -> Vectors:
    """Return the vectors with norm 1."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), np.float32)


def _lists(rng: np.random.Generator, items: int, users: int) -> NDArray[np.int32]:
    """Return (users, 50) distinct items of each visitor, never the hot one; every other item is as likely."""
    steps = rng.integers(1, max((items - 1) // LIST_SIZE, 1) + 1, (users, LIST_SIZE), np.int32)
    begins = rng.integers(0, items, (users, 1), np.int32)
    rows = (begins + steps.cumsum(axis=1, dtype=np.int32)) % (items - 1) + 1
    return np.asarray(rng.permuted(rows, axis=1), np.int32)
