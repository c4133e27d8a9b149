"""Who met an item, and who met it near which other: bounded sets that keep what is newest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from typing import Any, Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
#: A ts, or a tuple that begins with one.
S = TypeVar("S", bound=Any)

#: How far a set may outgrow its bound before it is cut: sorting once per so many insertions instead of at each.
_SLACK: Final = 1.25


class Newest(Generic[K, S]):
    """The ``bound`` greatest (stamp, key), one per key: the same pairs in any order, with repeats, give the same set.

    A join-semilattice: of a key the greatest stamp counts, and what was cut has ``bound`` greater pairs for ever. Where ``group``
    names whose a key is, for ever the same, only the ``of_group`` greatest of each group are among them.
    """

    __slots__ = ("_bound", "_entries", "_floor", "_group", "_of_group")

    def __init__(self, bound: int, *, of_group: int = 0, group: Callable[[Any], Hashable] | None = None) -> None:
        self._bound = bound
        self._entries: dict[K, S] = {}
        #: The least pair that the last cut kept; whatever is below it would be cut again.
        self._floor: tuple[S, Any] | None = None
        self._of_group = of_group
        self._group = group

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, key: K, stamp: S) -> bool:
        """Join one pair; False when it is known or too old to matter."""
        known = self._entries.get(key)
        if known is not None and known >= stamp:
            return False
        if self._floor is not None and (stamp, key) < self._floor:
            return False
        self._entries[key] = stamp
        if len(self._entries) > self._bound * _SLACK:
            self._cut()
        return True

    def _cut(self) -> None:
        kept = self._kept()
        if len(kept) == self._bound:
            self._floor = kept[-1]
        self._entries = {key: stamp for stamp, key in kept}

    def _kept(self) -> list[tuple[S, Any]]:
        """Return the pairs that belong to the set, greatest first."""
        pairs: list[tuple[S, Any]] = sorted(((stamp, key) for key, stamp in self._entries.items()), reverse=True)
        if self._group is None:
            return pairs[: self._bound]
        seen: Counter[Hashable] = Counter()
        kept = []
        for stamp, key in pairs:
            group = self._group(key)
            seen[group] += 1
            if seen[group] <= self._of_group:
                kept.append((stamp, key))
                if len(kept) == self._bound:
                    break
        return kept

    def newest_first(self) -> Iterator[tuple[S, K]]:
        """Yield (stamp, key), greatest first, at most ``bound`` of them."""
        yield from self._kept()
