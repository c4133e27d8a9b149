"""What the newest true fact of each item under test is, and whether Redis holds it: the check for facts applied in wrong order."""

from __future__ import annotations

from threading import Lock
from typing import Literal, NamedTuple

import redis

from streamrec.demo.truth import Violation
from streamrec.lists import keys

Kind = Literal["stock", "price"]


class Fact(NamedTuple):
    """A stock or price of an item: event time and quantity or price."""

    ts: int
    value: float


class _Stored(NamedTuple):
    """What Redis holds of an item."""

    stock: Fact
    price: Fact
    sold_out: bool


class Ledger:
    """Newest facts that the demo published itself; bounded by the items that it acts on. Safe to use from two threads.

    A fact is settled from the moment in which its effect was seen until the next one is written down, which happens before that one
    is sent: whatever else Redis holds in between is a wrong order. An item for which the data set publishes a fact of the same kind
    is struck off before that fact is sent: which of two facts of one millisecond wins is decided by an offset that is not known
    here. What was read is therefore compared only with facts that still stand after the read.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._facts: dict[tuple[Kind, str], Fact] = {}
        self._settled: set[tuple[Kind, str]] = set()
        self._struck: set[tuple[Kind, str]] = set()
        self._lock = Lock()

    def write(self, kind: Kind, item_id: str, fact: Fact) -> None:
        """Write down a fact that is newer than all before, before it is sent."""
        with self._lock:
            self._facts[kind, item_id] = fact
            self._settled.discard((kind, item_id))

    def settle(self, kind: Kind, item_id: str, ts: int) -> None:
        """Say that the effect of the fact of ``ts`` was seen; an older one than the newest settles nothing."""
        with self._lock:
            fact = self._facts.get((kind, item_id))
            if fact is not None and fact.ts == ts:
                self._settled.add((kind, item_id))

    def strike(self, kind: Kind, item_id: str) -> None:
        """Stop checking facts of the kind for the item."""
        with self._lock:
            self._struck.add((kind, item_id))

    def struck(self, kind: Kind, item_id: str) -> bool:
        """Tell whether facts of the kind are not checked for the item."""
        return (kind, item_id) in self._struck

    def audit(self, *, settled: bool = True, limit: int = 200) -> list[Violation]:
        """Compare Redis with up to ``limit`` settled facts, or with all facts once every stream is drained; return what differs."""
        before = self._standing(settled=settled)
        if settled:
            before = dict(sorted(before.items(), key=lambda entry: -entry[1].ts)[:limit])
        read = self._read(sorted({item for _, item in before}))
        after = self._standing(settled=settled)
        differences = (
            _difference(kind, item_id, fact, read[item_id])
            for (kind, item_id), fact in before.items()
            if after.get((kind, item_id)) == fact
        )
        return [violation for violation in differences if violation is not None]

    def _standing(self, *, settled: bool) -> dict[tuple[Kind, str], Fact]:
        with self._lock:
            names = (self._settled if settled else self._facts.keys()) - self._struck
            return {name: self._facts[name] for name in names}

    def _read(self, item_ids: list[str]) -> dict[str, _Stored]:
        with self._client.pipeline(transaction=False) as pipe:
            for item_id in item_ids:
                pipe.hmget(keys.item(item_id), ["stock_ts", "quantity", "price_ts", "price"])
                pipe.sismember(keys.SOLDOUT, item_id)
            answers = pipe.execute()
        stored = {}
        for number, item_id in enumerate(item_ids):
            values = [float(value) if value else -1.0 for value in answers[2 * number]]
            stock, price = Fact(int(values[0]), values[1]), Fact(int(values[2]), values[3])
            stored[item_id] = _Stored(stock, price, sold_out=bool(answers[2 * number + 1]))
        return stored


def _difference(kind: Kind, item_id: str, fact: Fact, stored: _Stored) -> Violation | None:
    found = stored.stock if kind == "stock" else stored.price
    guarded = kind == "price" or stored.sold_out == (fact.value == 0)
    if found.ts == fact.ts and abs(found.value - fact.value) < 1e-9 and guarded:
        return None
    guard = "" if kind == "price" else f", {'in' if stored.sold_out else 'not in'} {keys.SOLDOUT}"
    detail = f"{kind}: expected {fact.value:g} of {fact.ts}, found {found.value:g} of {found.ts}{guard}"
    return Violation("wrong_order", item_id, keys.item(item_id), 0.0, detail)
