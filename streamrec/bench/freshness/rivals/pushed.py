"""streamrec's design: lists are pushed, and a guard in the read leaves out what one set holds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import ClassVar, Final

import redis

from streamrec.bench.freshness.rivals.design import Read, Say
from streamrec.bench.freshness.rivals.world import SHOWN, World, blocks, item_id, place_scores, user_id
from streamrec.catalogue.redis_store import RedisFactStore
from streamrec.catalogue.store import Fact
from streamrec.client import Storefront
from streamrec.events import Stock
from streamrec.events.topics import STOCK
from streamrec.lists import keys
from streamrec.lists.functions import ensure_functions
from streamrec.lists.packing import ListItem, RankedList, pack

_BLOCK: Final = 500
_MADE_AT: Final = 1_767_225_600_000


def packed_list(world: World, user: int) -> bytes:
    """Return a visitor's list as streamrec pushes it."""
    ids = [item_id(row) for row in world.lists[user].tolist()]
    entries = tuple(ListItem(name, score, f"content:{name}") for name, score in zip(ids, place_scores(), strict=True))
    return pack(RankedList(_MADE_AT, entries, "a", "0123456789abcdef"))


class Pushed:
    """One fact per sold-out item, whatever the number of lists; a read is one function call."""

    name: ClassVar[str] = "streamrec"

    def arguments(self) -> Sequence[str]:
        """Return nothing: the embedded server as it is."""
        return ()

    def load_items(self, client: redis.Redis, world: World, say: Say) -> None:
        """Write a stock fact per item."""
        ensure_functions(client)
        store = RedisFactStore(client)
        for block in blocks(world.items, _BLOCK, say, "streamrec: stock facts"):
            store.apply([_fact(row, available=True) for row in block])

    def load_visitors(self, client: redis.Redis, world: World, say: Say) -> None:
        """Write a list per visitor."""
        for block in blocks(world.users, _BLOCK, say, "streamrec: lists"):
            with client.pipeline(transaction=False) as pipe:
                for user in block:
                    pipe.set(keys.rec(user_id(user)), packed_list(world, user), ex=keys.VISITOR_TTL_S)
                pipe.execute()

    def reads(self, client: redis.Redis, world: World, users: Sequence[int]) -> list[Read]:  # noqa: ARG002 - a port's argument
        """Return reads of the first ten of the guarded lists."""
        shop = Storefront(client)
        return [partial(self._read, shop, user_id(user)) for user in users]

    def _read(self, shop: Storefront, visitor: str) -> list[str]:
        return shop.top(visitor, SHOWN).ids()

    def flip(self, client: redis.Redis, row: int, *, available: bool) -> None:
        """Write one stock fact."""
        RedisFactStore(client).apply([_fact(row, available=available)])


def _fact(row: int, *, available: bool) -> Fact:
    order = time.time_ns() // 1000  # later facts have higher offsets, from whatever process
    return Fact(STOCK, item_id(row), Stock(quantity=int(available), ts=order // 1000), order)
