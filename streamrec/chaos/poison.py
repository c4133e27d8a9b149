"""Messages that nobody may take for a record: each must become a dead letter, once, and change nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any, Final

from streamrec.chaos.truth import CAMPAIGNS, CARTS, CATALOG, CLICKS, IMPRESSIONS, ORDERS, PRICE, SEARCHES, STOCK
from streamrec.events import TOPICS

#: A value whose fields have the wrong types, by topic.
_WRONG: Final[dict[str, dict[str, Any]]] = {
    CATALOG: {"title": 17},
    PRICE: {"price": "cheap"},
    STOCK: {"quantity": -1},
    CAMPAIGNS: {"action": "explode", "targets": {}, "starts_at": 1, "ends_at": 2},
    CLICKS: {"item_id": ""},
    CARTS: {"item_id": "x", "op": "steal"},
    ORDERS: {"lines": []},
    SEARCHES: {"query": ""},
    IMPRESSIONS: {"item_ids": "all"},
}
#: A value that would count if its ts were not beyond all tolerance, by topic.
_SKEWED: Final[dict[str, dict[str, Any]]] = {
    CATALOG: {"title": "from tomorrow"},
    PRICE: {"price": 666.0},
    STOCK: {"quantity": 0},
    CLICKS: {"item_id": "from-tomorrow"},
    CARTS: {"item_id": "from-tomorrow", "op": "add"},
    ORDERS: {"lines": [{"item_id": "from-tomorrow"}]},
    SEARCHES: {"query": "from tomorrow"},
    IMPRESSIONS: {"item_ids": ["from-tomorrow"]},
}
#: Far beyond the five minutes that a producer's clock may run ahead, and beyond any run: refused however late it is read.
_AHEAD_MS: Final = 6 * 3_600_000

Made = tuple[str, bytes | None, bytes | None]


def _broken(rng: Random, key: bytes, now_ms: int) -> Made:
    topic = rng.choice(list(_WRONG))
    return topic, key, rng.choice([b'{"broken', b"", b"\xff\xfe\x00", b"[" * 5000, b'{"ts":%d}' % now_ms])


def _wrong_type(rng: Random, key: bytes, now_ms: int) -> Made:
    topic = rng.choice(list(_WRONG))
    return topic, key, json.dumps(_WRONG[topic] | {"ts": now_ms}).encode()


def _oversized(rng: Random, key: bytes, now_ms: int) -> Made:
    topic = rng.choice([CLICKS, STOCK, PRICE, SEARCHES])
    return topic, key, b'{"ts":%d,"x":"%s"}' % (now_ms, b"x" * TOPICS[topic].max_value_bytes)


def _skewed(rng: Random, key: bytes, now_ms: int) -> Made:
    topic = rng.choice(list(_SKEWED))
    return topic, key, json.dumps(_SKEWED[topic] | {"ts": now_ms + _AHEAD_MS, "event_id": "from-tomorrow"}).encode()


def _null(rng: Random, key: bytes, now_ms: int) -> Made:  # noqa: ARG001 - one signature
    return rng.choice([STOCK, PRICE, CLICKS, ORDERS]), key, None


def _bad_key(rng: Random, key: bytes, now_ms: int) -> Made:
    body = json.dumps({"item_id": "x", "ts": now_ms, "event_id": "keyless"}).encode()
    return CLICKS, rng.choice([None, b"{" + key + b"}", b"\xff\xfe", b"k" * 600]), body


KINDS: Final[dict[str, Callable[[Random, bytes, int], Made]]] = {
    "broken": _broken,
    "wrong type": _wrong_type,
    "oversized": _oversized,
    "skewed": _skewed,
    "null": _null,
    "bad key": _bad_key,
}


def poison(rng: Random, key: bytes, now_ms: int) -> tuple[str, Made]:
    """Return a kind of poison and (topic, key, value) of it; ``key`` is a good key that it may carry."""
    kind = rng.choice(list(KINDS))
    return kind, KINDS[kind](rng, key, now_ms)
