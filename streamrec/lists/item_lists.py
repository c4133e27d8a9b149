"""Lists that belong to no visitor: similar and together of an item, trending and new of a category. Two implementations."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Protocol

import redis

from streamrec.lists.functions import run
from streamrec.lists.packing import RankedList, pack, unpack_or_none


class ListStore(Protocol):
    """Lists under the keys of ``streamrec.lists.keys``. Every method raises StoreUnavailable."""

    def put(self, lists: Mapping[str, RankedList], ttl_s: int) -> None:
        """Write the lists, key -> list, to live for ``ttl_s`` seconds from now."""
        ...

    def get(self, names: Sequence[str]) -> list[RankedList | None]:
        """Return the lists of the keys in their order, unguarded; None where there is none of this version."""
        ...

    def delete(self, names: Sequence[str]) -> int:
        """Delete the lists and return how many there were."""
        ...


class MemoryListStore:
    """Holds the ``max_lists`` lists that were written last; nothing expires."""

    def __init__(self, max_lists: int) -> None:
        self._max_lists = max_lists
        self._values: OrderedDict[str, bytes] = OrderedDict()

    def put(self, lists: Mapping[str, RankedList], ttl_s: int) -> None:  # noqa: ARG002 - a port's argument
        """Write the lists."""
        for name, ranked in lists.items():
            self._values[name] = pack(ranked)
            self._values.move_to_end(name)
        while len(self._values) > self._max_lists:
            self._values.popitem(last=False)

    def get(self, names: Sequence[str]) -> list[RankedList | None]:
        """Return the lists of the keys in their order."""
        return [unpack_or_none(self._values.get(name)) for name in names]

    def delete(self, names: Sequence[str]) -> int:
        """Delete the lists and return how many there were."""
        return sum(self._values.pop(name, None) is not None for name in dict.fromkeys(names))


class RedisListStore:
    """Lists in Redis, one round trip per call."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def put(self, lists: Mapping[str, RankedList], ttl_s: int) -> None:
        """Write the lists."""
        run(self._client, [("SET", name, pack(ranked), "EX", ttl_s) for name, ranked in lists.items()], "writing lists")

    def get(self, names: Sequence[str]) -> list[RankedList | None]:
        """Return the lists of the keys in their order."""
        return [unpack_or_none(value) for value in run(self._client, [("GET", name) for name in names], "reading lists")]

    def delete(self, names: Sequence[str]) -> int:
        """Delete the lists and return how many there were."""
        return sum(run(self._client, [("DEL", name) for name in names], "deleting lists"))
