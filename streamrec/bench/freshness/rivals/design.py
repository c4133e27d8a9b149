"""What is compared: a design keeps items and visitors in a Redis, answers reads, and hides and shows an item."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Protocol

import redis

from streamrec.bench.freshness.rivals.world import World

Say = Callable[[str], None]


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

    def read(self, client: redis.Redis, world: World, user: int) -> list[str]:
        """Return the ids of the ten items that a visitor is shown."""
        ...

    def flip(self, client: redis.Redis, row: int, *, available: bool) -> None:
        """Hide an item from everybody, or show it again; it is done when this returns."""
        ...
