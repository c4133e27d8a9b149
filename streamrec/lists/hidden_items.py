"""The items that campaigns hide from everybody: in ``soldout`` while they do, so that every guarded read leaves them out at once.

Which ids of ``soldout`` are there because of a campaign stands in a set of its own, and in the item's hash, where the facts'
functions see it: a stock event of a hidden item does not let it go, in any order. One worker at a time writes; who takes over is
told what stands, and whoever wrote before is refused from then on.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from typing import Any, Final, Protocol

import redis

from streamrec.catalogue.store import MemoryFactStore
from streamrec.lists import functions, keys
from streamrec.lists.functions import Command, call, fcall, run

#: Items per function call: Redis does nothing else for about half a millisecond.
_BLOCK: Final = 500
#: Ids per call that marks no hash; Lua's stack has room for some thousands.
_WIDE: Final = 2000
#: Calls per round trip.
_CALLS: Final = 10
_HIDDEN: Final = 8


class HiddenItems(Protocol):
    """What campaigns hide, as it stands where lists are read. Every method raises StoreUnavailable; repeating is safe."""

    def take_over(self) -> list[str]:
        """Become the one who writes and return the ids that campaigns hide there."""
        ...

    def holds(self) -> bool:
        """Tell whether nobody else has written since, and nothing written was lost."""
        ...

    def change(self, item_ids: Sequence[str], *, hide: bool) -> bool:
        """Hide the items, or show again those that are neither sold out nor removed; False when somebody else has taken over."""
        ...

    def shown(self, item_ids: Sequence[str]) -> list[str]:
        """Return those of the items that the guard does not hide."""
        ...


class MemoryHiddenItems:
    """Hides items of a fact store in memory, which it shares with every ``other`` that writes there."""

    def __init__(self, facts: MemoryFactStore, other: MemoryHiddenItems | None = None) -> None:
        self._facts = facts
        self.hidden: dict[str, None] = {} if other is None else other.hidden
        self._writer: list[MemoryHiddenItems | None] = [None] if other is None else other._writer  # noqa: SLF001 - of its own kind

    def take_over(self) -> list[str]:
        """Become the one who writes."""
        self._writer[0] = self
        return list(self.hidden)

    def holds(self) -> bool:
        """Tell whether nobody else has written since."""
        return self._writer[0] is self

    def change(self, item_ids: Sequence[str], *, hide: bool) -> bool:
        """Hide the items, or show them again."""
        if not self.holds():
            return False
        self._facts.exclude(item_ids, hide=hide)
        for item_id in item_ids:
            self.hidden.pop(item_id, None)
            self.hidden.update({item_id: None} if hide else {})
        return True

    def shown(self, item_ids: Sequence[str]) -> list[str]:
        """Return those of the items that the guard does not hide."""
        return [item_id for item_id, away in zip(item_ids, self._facts.soldout(item_ids), strict=True) if not away]


class RedisHiddenItems:
    """In Redis; a block of items is one atomic call. All are in ``soldout`` before the first hash is marked, which takes longer.

    With ``cluster=True`` an item's hash, ``soldout`` and the set of hidden ids lie on different servers. Ids are then noted before
    anything is done and forgotten when all is done, so that who takes over finds everything that was begun; what a stock event that
    was written meanwhile undid is found by ``shown``.
    """

    def __init__(self, client: redis.Redis, *, cluster: bool = False) -> None:
        self._client = client
        self._cluster = cluster
        self._name = ""
        self._writes = 0

    def take_over(self) -> list[str]:
        """Become the one who writes."""
        self._name, self._writes = secrets.token_hex(8), 0
        commands: list[Command] = [("SET", keys.HIDDEN_BY, self._writer(0)), ("SMEMBERS", keys.HIDDEN)]
        _, members = run(self._client, commands, "taking over what campaigns hide")
        return [member.decode() for member in members]

    def holds(self) -> bool:
        """Tell whether nobody else has written since, and Redis did not come back with an older state."""
        found = call(self._client, ("GET", keys.HIDDEN_BY), "looking who hides items")
        return bool(found == self._writer(0).encode())

    def change(self, item_ids: Sequence[str], *, hide: bool) -> bool:
        """Hide the items, or show them again."""
        if self._cluster:
            return all(self._across_slots(part, hide) for part in _parts(item_ids, _BLOCK * _CALLS))
        if hide and not all(self._guarded(part) for part in _parts(item_ids, _WIDE * _CALLS)):
            return False
        return all(self._at_once(part, hide) for part in _parts(item_ids, _BLOCK * _CALLS))

    def shown(self, item_ids: Sequence[str]) -> list[str]:
        """Return those of the items that the guard does not hide."""
        if not item_ids:
            return []
        marks = call(self._client, ("SMISMEMBER", keys.SOLDOUT, *item_ids), "reading soldout")
        return [item_id for item_id, mark in zip(item_ids, marks, strict=True) if not mark]

    def _writer(self, later: int) -> str:
        return f"{self._name}:{self._writes + later}"

    def _guarded(self, item_ids: Sequence[str]) -> bool:
        parts = enumerate(_parts(item_ids, _WIDE))
        return self._write([self._call(n, part, hide=True, names=[keys.SOLDOUT]) for n, part in parts])

    def _at_once(self, item_ids: Sequence[str], hide: bool) -> bool:
        return self._write(
            [self._call(n, part, hide, [keys.SOLDOUT, *map(keys.item, part)]) for n, part in enumerate(_parts(item_ids, _BLOCK))]
        )

    def _call(self, n: int, item_ids: Sequence[str], hide: bool, names: Sequence[str] = ()) -> Command:
        before, after = self._writer(n), self._writer(n + 1)
        return fcall(functions.EXCLUDE, [keys.HIDDEN, keys.HIDDEN_BY, *names], before, after, int(hide), *item_ids)

    def _write(self, calls: Sequence[Command]) -> bool:
        done = run(self._client, calls, "hiding items")
        self._writes += len(calls)
        return all(done)

    def _across_slots(self, item_ids: Sequence[str], hide: bool) -> bool:
        if not self._write([self._call(0, item_ids, hide=True) if hide else self._call(0, (), hide=False)]):
            return False
        away = self._marked(item_ids, str(int(hide)))
        if hide:
            self._guard("SADD", away)
            return True
        self._guard("SREM", [item_id for item_id in item_ids if item_id not in away])
        # Sold out in between: its place in soldout was written before ours was taken away, or will be written now.
        self._guard("SADD", self._marked(item_ids, ""))
        return self._write([self._call(0, item_ids, hide=False)])

    def _marked(self, item_ids: Sequence[str], hide: str) -> dict[str, None]:
        marks = run(self._client, [fcall(functions.MARK, [keys.item(item_id)], hide) for item_id in item_ids], "hiding items")
        return dict.fromkeys(item_id for item_id, flag in zip(item_ids, marks, strict=True) if flag & _HIDDEN)

    def _guard(self, command: str, item_ids: Sequence[str] | dict[str, None]) -> None:
        if item_ids:
            call(self._client, (command, keys.SOLDOUT, *item_ids), "writing soldout")


def _parts(item_ids: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (item_ids[start : start + size] for start in range(0, len(item_ids), size))
