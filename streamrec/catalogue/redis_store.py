"""Item facts in Redis: a hash per item and the ``soldout`` set, changed together by functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import redis

from streamrec.catalogue.store import DEDICATED, Applied, Fact, Fields, is_removal, number
from streamrec.events import CatalogItem, Price, Stock
from streamrec.lists import functions, keys
from streamrec.lists.functions import Command, fcall, run

_APPLIED: Final = 1
_SOLDOUT: Final = 2
_AVAILABLE: Final = 4
_HIDDEN: Final = 8


class RedisFactStore:
    """Facts in Redis; each fact is atomic, and one round trip serves a call.

    With ``cluster=True`` an item's hash and ``soldout`` lie on different servers: a second round trip follows, and the set is as
    the hashes say once no two processes write facts of one item at the same time. A call that was cut short is mended by its
    repeat.
    """

    def __init__(self, client: redis.Redis, *, cluster: bool = False) -> None:
        self._client = client
        self._cluster = cluster

    def apply(self, facts: Sequence[Fact]) -> list[Applied]:
        """Take the facts."""
        results = [Applied(applied=False)] * len(facts)
        # A null on a topic other than the catalogue's says nothing.
        telling = [n for n, fact in enumerate(facts) if fact.payload is not None or is_removal(fact)]
        send = self._apply_across_slots if self._cluster else self._apply
        for n, applied in zip(telling, send([facts[n] for n in telling]), strict=True):
            results[n] = applied
        return results

    def _apply(self, facts: Sequence[Fact]) -> list[Applied]:
        flags = run(self._client, [_command(fact, keys.SOLDOUT) for fact in facts], "writing item facts")
        return [
            Applied(bool(f & _APPLIED), became_soldout=bool(f & _SOLDOUT), became_available=bool(f & _AVAILABLE)) for f in flags
        ]

    def _apply_across_slots(self, facts: Sequence[Fact]) -> list[Applied]:
        flags = run(self._client, [_command(fact) for fact in facts], "writing item facts")
        hidden = [bool(f & _HIDDEN) for f in flags]
        marks = [("SADD" if hide else "SREM", keys.SOLDOUT, fact.item_id) for fact, hide in zip(facts, hidden, strict=True)]
        changed = run(self._client, marks, "writing soldout")
        return [
            Applied(bool(f & _APPLIED), became_soldout=bool(change and hide), became_available=bool(change and not hide))
            for f, hide, change in zip(flags, hidden, changed, strict=True)
        ]

    def read(self, item_ids: Sequence[str]) -> list[Fields]:
        """Return each item's facts."""
        answers = run(self._client, [("HGETALL", keys.item(item_id)) for item_id in item_ids], "reading item facts")
        return [_fields(answer) for answer in answers]

    def soldout(self, item_ids: Sequence[str]) -> list[bool]:
        """Tell for each item whether it must not be shown now."""
        if not item_ids:
            return []
        [marks] = run(self._client, [("SMISMEMBER", keys.SOLDOUT, *item_ids)], "reading soldout")
        return [bool(mark) for mark in marks]


def _command(fact: Fact, *guard: str) -> Command:
    names, payload, order = (keys.item(fact.item_id), *guard), fact.payload, fact.order
    if isinstance(payload, Stock):
        return fcall(functions.STOCK, names, fact.item_id, payload.ts, order + DEDICATED, payload.quantity)
    if isinstance(payload, Price):
        prices = number(payload.price), number(payload.list_price)
        return fcall(functions.PRICE, names, fact.item_id, payload.ts, order + DEDICATED, *prices)
    if isinstance(payload, CatalogItem):
        return fcall(functions.CATALOG, names, fact.item_id, payload.ts, order, *_catalogue_values(payload))
    return fcall(functions.REMOVE, names, fact.item_id, order)


def _catalogue_values(item: CatalogItem) -> tuple[str | int, ...]:
    quantity = "" if item.quantity is None else item.quantity
    return (item.title, item.image_url, item.category, item.brand, item.currency, number(item.price), quantity)


def _fields(answer: Any) -> Fields:
    # redis-py turns HGETALL into a dict whatever the call's form.
    return {name.decode(): value.decode() for name, value in answer.items()}
