"""One entry per list and item: an item is hidden by an update of every list that holds it, so somebody must know which do.

The reverse index is a hash per item, visitor -> score, so that a return finds the old score. Until the last update is done some
visitors see the item and others do not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, ClassVar, Final

import numpy as np
import redis

from streamrec.bench.freshness.rivals.design import Read, Say
from streamrec.bench.freshness.rivals.pushed import packed_list
from streamrec.bench.freshness.rivals.world import LIST_SIZE, SHOWN, World, blocks, item_id, place_scores, user_id
from streamrec.lists.packing import ListItem, RankedList, pack, unpack

_BLOCK: Final = 500
#: Holders asked for in one HSCAN step: HGETALL of 100,000 would stop every reader for as long as it takes.
_SCAN_COUNT: Final = 1000

Holder = tuple[str, float]


class FanOut:
    """A sorted set per visitor: ZREM per list hides, ZADD with the old score shows, ZREVRANGE reads."""

    name: ClassVar[str] = "fan-out"

    def arguments(self) -> Sequence[str]:
        """Return nothing: the embedded server as it is."""
        return ()

    def load_items(self, client: redis.Redis, world: World, say: Say) -> None:
        """Write nothing: what is known of an item stands in the lists that hold it."""

    def load_visitors(self, client: redis.Redis, world: World, say: Say) -> None:
        """Write a sorted set per visitor, and the reverse index."""
        scores = place_scores()
        for block in blocks(world.users, _BLOCK, say, "fan-out: sorted sets"):
            with client.pipeline(transaction=False) as pipe:
                for user in block:
                    ids = [item_id(row) for row in world.lists[user].tolist()]
                    pipe.zadd(_shelf(user_id(user)), dict(zip(ids, scores, strict=True)))
                pipe.execute()
        load_holders(client, world, say)

    def reads(self, client: redis.Redis, world: World, users: Sequence[int]) -> list[Read]:  # noqa: ARG002 - a port's argument
        """Return reads of the ten best of the sorted sets."""
        return [partial(self._read, client, _shelf(user_id(user))) for user in users]

    def _read(self, client: redis.Redis, shelf: str) -> list[str]:
        members: Any = client.zrevrange(shelf, 0, SHOWN - 1)
        return [member.decode() for member in members]

    def flip(self, client: redis.Redis, row: int, *, available: bool) -> None:
        """Update every list that holds the item, in blocks."""
        member = item_id(row)
        for block in _in_blocks(holders_of(client, row)):
            with client.pipeline(transaction=False) as pipe:
                for visitor, score in block:
                    if available:
                        pipe.zadd(_shelf(visitor), {member: score})
                    else:
                        pipe.zrem(_shelf(visitor), member)
                pipe.execute()


class RewrittenLists:
    """A JSON list per visitor, rewritten whole: MGET, drop or put back, MSET.

    Without a compare-and-set, which a design with other writers would need besides.
    """

    name: ClassVar[str] = "rewritten lists"

    def arguments(self) -> Sequence[str]:
        """Return nothing: the embedded server as it is."""
        return ()

    def load_items(self, client: redis.Redis, world: World, say: Say) -> None:
        """Write nothing: what is known of an item stands in the lists that hold it."""

    def load_visitors(self, client: redis.Redis, world: World, say: Say) -> None:
        """Write a JSON list per visitor, and the reverse index."""
        for block in blocks(world.users, _BLOCK, say, "rewritten lists: lists"):
            client.mset({_json(user_id(user)): packed_list(world, user) for user in block})
        load_holders(client, world, say)

    def reads(self, client: redis.Redis, world: World, users: Sequence[int]) -> list[Read]:  # noqa: ARG002 - a port's argument
        """Return reads of the ten best of the JSON lists."""
        return [partial(self._read, client, _json(user_id(user))) for user in users]

    def _read(self, client: redis.Redis, name: str) -> list[str]:
        value: Any = client.get(name)
        return unpack(value).ids()[:SHOWN]

    def flip(self, client: redis.Redis, row: int, *, available: bool) -> None:
        """Rewrite every list that holds the item, in blocks."""
        member = item_id(row)
        for block in _in_blocks(holders_of(client, row)):
            names = [_json(visitor) for visitor, _ in block]
            values: Any = client.mget(names)
            changed = [
                _with(unpack(value), member, score if available else None) for value, (_, score) in zip(values, block, strict=True)
            ]
            client.mset(dict(zip(names, changed, strict=True)))


def load_holders(client: redis.Redis, world: World, say: Say) -> None:
    """Write the reverse index: for each item the visitors whose lists hold it, and its score there."""
    flat = world.lists.ravel()
    order = np.argsort(flat, kind="stable")
    bounds = np.searchsorted(flat[order], np.arange(world.items + 1))
    scores = [str(score) for score in place_scores()]
    for block in blocks(world.items, _BLOCK, say, "reverse index: items"):
        with client.pipeline(transaction=False) as pipe:
            for row in block:
                cells = order[bounds[row] : bounds[row + 1]]
                for start in range(0, len(cells), _BLOCK):
                    part = cells[start : start + _BLOCK].tolist()
                    pipe.hset(_holders(row), mapping={user_id(cell // LIST_SIZE): scores[cell % LIST_SIZE] for cell in part})
            pipe.execute()


def holders_of(client: redis.Redis, row: int) -> Iterator[Holder]:
    """Yield the visitors whose lists hold an item, and its score there."""
    for visitor, score in client.hscan_iter(_holders(row), count=_SCAN_COUNT):
        yield visitor.decode(), float(score)


def _in_blocks(holders: Iterator[Holder]) -> Iterator[list[Holder]]:
    while block := list(islice(holders, _BLOCK)):
        yield block


def _with(ranked: RankedList, member: str, score: float | None) -> bytes:
    """Return the list without the member, or with it at the place of its score."""
    entries = [entry for entry in ranked.items if entry.id != member]
    if score is not None:
        entries = sorted([*entries, ListItem(member, score, f"content:{member}")], key=lambda entry: -entry.score)
    return pack(RankedList(ranked.made_at, tuple(entries), ranked.variant, ranked.digest))


def _shelf(visitor: str) -> str:
    return f"shelf:{visitor}"


def _json(visitor: str) -> str:
    return f"json:{visitor}"


def _holders(row: int) -> str:
    return f"holders:{item_id(row)}"
