"""The workers that are alive, as their heartbeats in Redis tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from streamrec.lists import keys
from streamrec.lists.redis_errors import translated

if TYPE_CHECKING:
    import redis


class Worker(msgspec.Struct, frozen=True):
    """One heartbeat."""

    id: str
    pid: int
    roles: tuple[str, ...]
    url: str
    ready: bool
    #: When it was sent, ms since the epoch.
    at: int
    #: When the newest snapshot was made of what it replicates, ms since the epoch; 0: it has none.
    snapshot_at: int = 0
    #: The version of the model plan that it follows; 0: none.
    plan: int = 0
    #: Why a model is not open there; empty where all are.
    model_problem: str = ""
    # A recommender's: the digests of the model that answers and of the one beside it, and how much of the first's the second has.
    model: str = ""
    next_model: str = ""
    next_model_percent: int = 0
    # An embedder's: digests of the models in play, the wanted one first; items that have a vector of it and of the previous one;
    # vectors to take back; records of the catalogue that the pass has before it, and vectors it makes a second.
    in_play: str = ""
    embedded: int = 0
    embedded_previous: int = 0
    to_take_back: int = 0
    pass_left: int = 0
    pass_per_s: int = 0


_decoder = msgspec.json.Decoder(Worker)


def living_workers(client: redis.Redis) -> list[Worker]:
    """Return the workers whose heartbeat has not expired, by id. Raises StoreUnavailable."""
    with translated("reading heartbeats"):
        names = sorted(client.scan_iter(match=keys.worker("*"), count=1000))
        values = [client.get(name) for name in names]
    return [worker for worker in map(_worker, values) if worker is not None]


def _worker(value: object) -> Worker | None:
    """Return None where a heartbeat expired meanwhile, or is of another version."""
    try:
        return _decoder.decode(value) if isinstance(value, bytes) else None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
