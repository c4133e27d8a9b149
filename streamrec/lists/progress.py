"""How far the effects that stand in Redis reach, kept in that same Redis: what loses the effects loses the stamps with them.

Offsets in Kafka cannot tell this: they stay where they are when Redis comes back empty, or with yesterday's snapshot.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import redis

from streamrec.errors import ConfigError
from streamrec.lists import functions, keys
from streamrec.lists.functions import fcall, fcall_ro, run

#: A topic and one of its partitions.
Place = tuple[str, int]
#: Partitions of all readers together that a memory holds at most.
_MOST: Final = 100_000


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands in Redis: the server's run, and per partition the next offset whose effects are not in Redis."""

    run: str
    #: Only of the partitions that have a stamp.
    offsets: dict[Place, int]


class Progress(Protocol):
    """The stamps of one reader. Every method raises StoreUnavailable when the work may be tried again."""

    def load(self, places: Collection[Place]) -> Standing:
        """Return what stands for ``places``."""
        ...

    def save(self, known: Standing, offsets: Mapping[Place, int]) -> bool:
        """Write the offsets if the server's run and the stamps of their places are still as ``known``; else nothing is written.

        The run is part of the comparison because a server that crashed may have kept the stamp, and lost effects that came after.
        """
        ...


class MemoryProgress:
    """Stamps of one reader without a server; ``lose`` does what a crash of the server would."""

    def __init__(self) -> None:
        self._runs = 0
        self.offsets: dict[Place, int] = {}

    def load(self, places: Collection[Place]) -> Standing:
        """Return what stands for ``places``."""
        return Standing(str(self._runs), {place: self.offsets[place] for place in places if place in self.offsets})

    def save(self, known: Standing, offsets: Mapping[Place, int]) -> bool:
        """Write the offsets if all is as known."""
        if known.run != str(self._runs) or any(self.offsets.get(place) != known.offsets.get(place) for place in offsets):
            return False
        if len(self.offsets.keys() | offsets.keys()) > _MOST:
            msg = f"stamps of more than {_MOST} partitions; use RedisProgress"
            raise ConfigError(msg)
        self.offsets.update(offsets)
        return True

    def lose(self, kept: Mapping[Place, int] | None = None) -> None:
        """Start another run that has only what was ``kept``."""
        self._runs += 1
        self.offsets = dict(kept or {})


class RedisProgress:
    """Stamps in a hash, read and written in one round trip each; with ``ttl_s`` they go so many seconds after the last one.

    In a cluster a stamp tells of its own node: what another node loses is read again once the hash is deleted by hand.
    """

    def __init__(self, client: redis.Redis, reader: str, *, ttl_s: int = 0) -> None:
        self._client = client
        self._key = keys.progress(reader)
        self._ttl_s = ttl_s

    def load(self, places: Collection[Place]) -> Standing:
        """Return what stands for ``places``, of which there must be one at least."""
        ordered = list(places)
        [[server_run, values]] = run(
            self._client, [fcall_ro(functions.PROGRESS, [self._key], *map(_field, ordered))], "reading progress"
        )
        stamps = zip(ordered, values, strict=True)
        return Standing(server_run.decode(), {place: int(value) for place, value in stamps if value is not None})

    def save(self, known: Standing, offsets: Mapping[Place, int]) -> bool:
        """Write the offsets if all is as known."""
        stamps: list[str | int] = []
        for place, offset in offsets.items():
            stamps += [_field(place), known.offsets.get(place, ""), offset]
        [answer] = run(self._client, [fcall(functions.STAMP, [self._key], self._ttl_s, known.run, *stamps)], "stamping progress")
        return bool(answer)


def _field(place: Place) -> str:
    topic, partition = place
    return f"{topic}:{partition}"
