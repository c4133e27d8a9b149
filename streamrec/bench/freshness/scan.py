"""The last look: every visitor's list in Redis, read whole, against what has been sold out for long."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import Any, Final

import msgspec
import redis

from streamrec.demo.truth import Violation
from streamrec.lists import keys

_IDS: Final = re.compile(rb'"id":("(?:[^"\\]|\\.)*")')
_STEP: Final = 500
_MAX_EXAMPLES: Final = 20


def scan_lists(client: redis.Redis, sold_out: Collection[str]) -> tuple[int, int, list[Violation]]:
    """Return how many visitors' lists there are, how many of them hold any item of ``sold_out``, and some of those.

    It looks at what stands in Redis physically; the guard plays no part.
    """
    wanted = {msgspec.json.encode(item_id): item_id for item_id in sold_out}
    lists = bad = 0
    examples: list[Violation] = []
    for name, value in _values(client, keys.rec("*")):
        lists += 1
        held = wanted.keys() & set(_IDS.findall(value))
        if held:
            bad += 1
            if len(examples) < _MAX_EXAMPLES:
                examples.append(Violation("soldout_in_list", wanted[min(held)], name.decode(), 0.0))
    return lists, bad, examples


def _values(client: redis.Redis, pattern: str) -> Iterator[tuple[bytes, bytes]]:
    # A SCAN may give a name twice: a list that is looked at twice is counted twice, and none is left out.
    names: Iterable[Any] = client.scan_iter(match=pattern, count=2000)
    names = iter(names)
    while block := list(islice(names, _STEP)):
        values: Any = client.mget(block)
        yield from ((name, value) for name, value in zip(block, values, strict=True) if value is not None)
