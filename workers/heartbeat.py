"""Tells Redis every few seconds that this worker lives, what it does, where it answers and whether it is ready."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import uuid
from typing import TYPE_CHECKING, Any

import orjson
from mode import Service

from streamrec.errors import StoreUnavailable
from streamrec.lists import keys
from streamrec.lists.redis_errors import translated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workers.health import Health
    from workers.parts import Parts, Role


def new_worker_id() -> str:
    """Return a name for this worker that nobody else has: where it runs, and a few random letters."""
    return f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"


class Heartbeat(Service):
    """Repeats the worker's key at a third of its time to live, and at once when readiness changes; removes it at the end."""

    def __init__(
        self, parts: Parts, roles: Sequence[Role], url: str, health: Health, worker_id: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._parts = parts
        self._health = health
        self._roles = roles
        self._url = url
        self.worker_id = worker_id or new_worker_id()
        self._said: bytes = b""
        self._said_at = 0
        #: One word at a time: a beat that is under way when the worker stops must not speak after the end.
        self._speaking = threading.Lock()
        self._ended = False

    @property
    def ready(self) -> bool:
        """Whether /readyz is green."""
        return not self._health.ready()

    @Service.task
    async def _beat(self) -> None:
        while not self.should_stop:
            try:
                await asyncio.to_thread(self._say)
            except StoreUnavailable as error:
                self.log.warning("heartbeat: %s", error)
            await self.sleep(0.1)

    async def on_stop(self) -> None:
        """Take the key away: a stopped worker is not asked for anything."""
        try:
            await asyncio.to_thread(self._unsay)
        except StoreUnavailable as error:
            self.log.warning("heartbeat: %s", error)

    def _say(self) -> None:
        now_ms = self._parts.clock.now_ms()
        state: dict[str, Any] = {
            "id": self.worker_id,
            "pid": os.getpid(),
            "roles": [role.name for role in self._roles],
            "url": self._url,
            "ready": self.ready,
            "lag": sum(sum(p.reader.lag.values()) for role in self._roles for p in role.pipelines),
        }
        for role in self._roles:
            state |= role.status()
            state |= role.words()
        words = orjson.dumps(state)
        if words == self._said and now_ms - self._said_at < keys.HEARTBEAT_TTL_S * 1000 / 3:
            return
        with self._speaking, translated("heartbeat"):
            if self._ended:
                return
            self._parts.redis.set(keys.worker(self.worker_id), orjson.dumps(state | {"at": now_ms}), ex=keys.HEARTBEAT_TTL_S)
        self._said, self._said_at = words, now_ms

    def _unsay(self) -> None:
        with self._speaking, translated("heartbeat"):
            self._ended = True
            self._parts.redis.delete(keys.worker(self.worker_id))
