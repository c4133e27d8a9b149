"""Who was forgotten when, so that a rebuild does not bring them back from events that Kafka still holds."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import redis

from streamrec.events import Event
from streamrec.lists import keys
from streamrec.lists.functions import run


class ForgottenVisitors:
    """A set of digests, one per forgotten visitor, each kept as long as Kafka may hold older events of theirs.

    It lies in Redis, and is lost with it: whoever rebuilds after Redis came back empty must forget those visitors again.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def note(self, user_id: str, now_ms: int) -> None:
        """Remember that a visitor was forgotten now. Raises StoreUnavailable."""
        oldest = now_ms - keys.FORGOTTEN_TTL_S * 1000
        commands = [
            ("ZREMRANGEBYSCORE", keys.FORGOTTEN, "-inf", oldest),
            ("ZADD", keys.FORGOTTEN, now_ms, _digest(user_id)),
            ("EXPIRE", keys.FORGOTTEN, keys.FORGOTTEN_TTL_S),
        ]
        run(self._client, commands, "noting a forgotten visitor")

    def without(self, events: Sequence[tuple[str, Event]], tolerance_ms: int) -> list[tuple[str, Event]]:
        """Return the (visitor, event) pairs less those of before the visitor was forgotten, or of up to ``tolerance_ms`` after it.

        Raises StoreUnavailable.
        """
        if not events:
            return []
        user_ids = list({user_id for user_id, _ in events})
        scores: Any
        [scores] = run(self._client, [("ZMSCORE", keys.FORGOTTEN, *map(_digest, user_ids))], "looking for forgotten visitors")
        until = {user_id: float(score) + tolerance_ms for user_id, score in zip(user_ids, scores, strict=True) if score is not None}
        return [(user_id, event) for user_id, event in events if event.ts > until.get(user_id, -1.0)]


def _digest(user_id: str) -> bytes:
    return blake2b(user_id.encode(), digest_size=16).digest()
