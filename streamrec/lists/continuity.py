"""Whether Redis still holds what was written into it."""

from __future__ import annotations

from typing import Final, Literal, Protocol

import redis

from streamrec.lists import functions, keys
from streamrec.lists.functions import call, fcall

#: ``restarted``: another run of the server, which may have come back with less. ``emptied``: other data than before, or none.
Found = Literal["same", "restarted", "emptied"]
_SAME: Final = "same"


class Watch(Protocol):
    """Looks whether the store still holds what was written."""

    def look(self) -> Found:
        """Tell what became of the store since the last look; the first look finds it the same. Raises StoreUnavailable."""
        ...


class Continuity:
    """Compares the server's run and the name of its data with those of the last look, in one round trip.

    Data that has no name is named after the moment by whoever looks first, so a FLUSHALL is noticed too. In a cluster both are
    those of one node: a loss on another node is not seen.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._known: tuple[bytes, bytes] | None = None

    def look(self) -> Found:
        """Tell what became of Redis since the last look."""
        server_run, name = call(self._client, fcall(functions.IDENTITY, [keys.EPOCH]), "looking whether it lost data")
        known, self._known = self._known, (server_run, name)
        if known is None or known == self._known:
            return _SAME
        return "restarted" if known[1] == name else "emptied"
