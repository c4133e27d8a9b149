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


class RedisFactStore:
    """Facts in Redis; one round trip per call, each fact atomic.

    An item's hash and ``soldout`` are changed by one function, so this needs a Redis whose keys live on one server.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def apply(self, facts: Sequence[Fact]) -> list[Applied]:
        """Take the facts."""
        commands = [_command(fact) for fact in facts]
        flags = iter(run(self._client, [command for command in commands if command], "writing item facts"))
        return [_applied(next(flags)) if command else Applied(applied=False) for command in commands]

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


def _command(fact: Fact) -> Command | None:
    names, payload, order = (keys.item(fact.item_id), keys.SOLDOUT), fact.payload, fact.order
    if isinstance(payload, Stock):
        return fcall(functions.STOCK, names, fact.item_id, payload.ts, order + DEDICATED, payload.quantity)
    if isinstance(payload, Price):
        prices = number(payload.price), number(payload.list_price)
        return fcall(functions.PRICE, names, fact.item_id, payload.ts, order + DEDICATED, *prices)
    if isinstance(payload, CatalogItem):
        return fcall(functions.CATALOG, names, fact.item_id, payload.ts, order, *_catalogue_values(payload))
    return fcall(functions.REMOVE, names, fact.item_id, order) if is_removal(fact) else None


def _catalogue_values(item: CatalogItem) -> tuple[str | int, ...]:
    quantity = "" if item.quantity is None else item.quantity
    return (item.title, item.image_url, item.category, item.brand, item.currency, number(item.price), quantity)


def _applied(flags: int) -> Applied:
    return Applied(bool(flags & _APPLIED), became_soldout=bool(flags & _SOLDOUT), became_available=bool(flags & _AVAILABLE))


def _fields(answer: Any) -> Fields:
    # redis-py turns HGETALL into a dict whatever the call's form.
    return {name.decode(): value.decode() for name, value in answer.items()}
