"""The workers as the demo sees them: what their heartbeats and metrics say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final, cast
from urllib.error import URLError
from urllib.request import urlopen

import msgspec
import redis

from streamrec.lists import keys

_METRIC: Final = re.compile(r"^(\w+?)(?:_total)?(?:\{[^}]*\})? ([0-9.eE+]+)$", re.MULTILINE)


class Heartbeat(msgspec.Struct, frozen=True):
    """What a worker says of itself; fields of later versions are ignored."""

    id: str = ""
    pid: int = 0
    roles: tuple[str, ...] = ()
    url: str = ""
    ready: bool = False
    items: int = 0
    vectors: int = 0
    lag: int = 0
    visitors: int = 0
    backlog: int = 0
    snapshot_at: int = 0


def heartbeats(client: redis.Redis) -> list[Heartbeat]:
    """Return the heartbeats of all workers that are alive."""
    names = list(client.scan_iter(match=keys.worker("*"), count=1000))
    values = cast("list[bytes | None]", client.mget(names)) if names else []
    found = []
    for value in values:
        if value is not None:
            with suppress(msgspec.MsgspecError):
                found.append(msgspec.json.decode(value, type=Heartbeat))
    return found


def vectors(beats: Iterable[Heartbeat]) -> int:
    """Return how many vectors the recommender that is furthest behind holds; 0 without a recommender."""
    return min((beat.vectors for beat in beats if "recommender" in beat.roles), default=0)


def visitors(beats: Iterable[Heartbeat]) -> int:
    """Return how many visitors' lists the recommenders know together."""
    return sum(beat.visitors for beat in beats)


def backlog(beats: Iterable[Heartbeat]) -> int:
    """Return how many visitors wait to be ranked again."""
    return sum(beat.backlog for beat in beats)


def snapshots(beats: Iterable[Heartbeat]) -> bool:
    """Tell whether every recommender knows a snapshot to start from."""
    return all(beat.snapshot_at for beat in beats if "recommender" in beat.roles)


def present(client: redis.Redis, item_ids: Sequence[str]) -> bool:
    """Tell whether the live facts of all these items stand in Redis."""
    with client.pipeline(transaction=False) as pipe:
        for item_id in item_ids:
            pipe.exists(keys.item(item_id))
        return all(pipe.execute())


def metric(text: str, name: str) -> float:
    r"""Return the sum over all labels of a counter in Prometheus' text format, with or without its prefix and ``_total``.

    >>> metric('streamrec_lists_pushed_total{kind="home"} 3.0\nstreamrec_lists_pushed_total{kind="cart"} 1.0', "lists_pushed")
    4.0
    """
    return sum(float(value) for found, value in _METRIC.findall(text) if found == name or found.endswith(f"_{name}"))


def lists_pushed(client: redis.Redis) -> int:
    """Return how many lists all workers have pushed since they started; a worker that does not answer counts nothing."""
    total = 0.0
    for url in {beat.url for beat in heartbeats(client) if beat.url.startswith("http://")}:
        with suppress(URLError, OSError, ValueError), urlopen(f"{url.rstrip('/')}/metrics", timeout=2.0) as answer:  # noqa: S310
            total += metric(answer.read().decode(), "lists_pushed")
    return int(total)
