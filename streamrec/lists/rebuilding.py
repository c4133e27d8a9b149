"""What `streamrec rebuild` asks of the recommenders, and how far they are: both in Redis, so that both outlive any worker."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final

import msgspec
import redis

from streamrec.lists import keys
from streamrec.lists.functions import call
from streamrec.lists.progress import Place, RedisProgress


class Part(msgspec.Struct, frozen=True, array_like=True):
    """The history of one partition: from ``start`` on, up to and without ``end``."""

    topic: str
    partition: int
    start: int
    end: int

    @property
    def place(self) -> Place:
        """Topic and partition."""
        return self.topic, self.partition


class Plan(msgspec.Struct, frozen=True, dict=True):
    """One rebuild: what is to be read again."""

    id: str
    parts: tuple[Part, ...]

    @cached_property
    def by_place(self) -> Mapping[Place, Part]:
        """The parts by topic and partition."""
        return {part.place: part for part in self.parts}

    @property
    def events(self) -> int:
        """How many offsets are to be read."""
        return sum(part.end - part.start for part in self.parts)


_encode: Final = msgspec.json.Encoder().encode
_decoder: Final = msgspec.json.Decoder(Plan)


class Rebuilding:
    """The request, and the stamps of those who work on it. Every method raises StoreUnavailable."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def request(self, plan: Plan) -> None:
        """Ask for a rebuild; it takes the place of another that is not done."""
        call(self._client, ("SET", keys.REBUILD, _encode(plan), "EX", keys.REBUILD_TTL_S), "asking for a rebuild")

    def current(self) -> Plan | None:
        """Return what is asked for, done or not; None if nothing is, or a version that we cannot read asks."""
        value: Any = call(self._client, ("GET", keys.REBUILD), "looking for a rebuild")
        try:
            return None if value is None else _decoder.decode(value)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None

    def progress(self, plan: Plan) -> RedisProgress:
        """Return the stamps of a rebuild."""
        return RedisProgress(self._client, f"rebuild.{plan.id}", ttl_s=keys.REBUILD_TTL_S)

    def done(self, plan: Plan) -> dict[Place, int]:
        """Return how many offsets of each partition are done."""
        stamps = self.progress(plan).load(plan.by_place).offsets if plan.parts else {}
        return {part.place: min(stamps.get(part.place, part.start), part.end) - part.start for part in plan.parts}
