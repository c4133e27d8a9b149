"""What is compared: a design keeps items and visitors in a Redis, answers reads, and hides and shows an item."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Final, Protocol

import redis

from streamrec.bench.freshness.rivals.world import World

Say = Callable[[str], None]
#: Asks for the ten items that one visitor is shown; what it sends is made already, so that making it is not timed.
Read = Callable[[], list[str]]
#: No single command takes so long; a server that does not answer is an error, never a hang.
_ANSWER_S: Final = 60.0


class Design(Protocol):
    """All its state is in Redis, so that the process that flips items need not be the one that loaded them."""

    name: ClassVar[str]

    def arguments(self) -> Sequence[str]:
        """Return what the server's command line needs. Raises ConfigError where something is not installed."""
        ...

    def load_items(self, client: redis.Redis, world: World, say: Say) -> None:
        """Write what the design keeps per item."""
        ...

    def load_visitors(self, client: redis.Redis, world: World, say: Say) -> None:
        """Write what the design keeps per visitor."""
        ...

    def reads(self, client: redis.Redis, world: World, users: Sequence[int]) -> list[Read]:
        """Return a read for each visitor."""
        ...

    def flip(self, client: redis.Redis, row: int, *, available: bool) -> None:
        """Hide an item from everybody, or show it again; it is done when this returns."""
        ...


def connect(url: str) -> redis.Redis:
    """Return a client whose every answer is awaited for a minute at most; the same for all designs."""
    return redis.Redis.from_url(url, protocol=2, socket_timeout=_ANSWER_S)
