"""A storefront that reads all the while: what was seen guarded as sold out must not be shown before its restock is published."""

from __future__ import annotations

import json
import threading
from collections import deque
from random import Random
from typing import Any, Final

import redis

from streamrec.chaos.findings import Finding
from streamrec.chaos.truth import CATALOG, STOCK, Message
from streamrec.client import Storefront
from streamrec.errors import StoreUnavailable
from streamrec.lists import keys

#: Sold-out facts whose effect is looked for at once, and how many of them are remembered until it is seen.
_BLOCK: Final = 32
_MAX_PENDING: Final = 5000
_MAX_FINDINGS: Final = 200


class GuardedReads(threading.Thread):
    """Reads guarded lists until stopped; ``before`` must hear of every message before it is sent.

    Nothing is held against a read that overlaps a change: an item counts as guarded from a look at Redis on until a message that
    could bring it back is about to be sent, and a read counts only if the item was guarded, by the same fact, before and after.
    """

    def __init__(self, url: str, seed: int, *, pause_s: float = 0.02) -> None:
        super().__init__(name="guarded-reads", daemon=True)
        self._url, self._pause_s = url, pause_s
        self._rng = Random(f"reads {seed}")
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        #: Item → ts of the sold-out fact that was seen to guard it.
        self._guarded: dict[str, int] = {}
        #: Items that a fact sold out, whose guard was not seen yet.
        self._pending: dict[str, None] = {}
        #: Item → ts of the newest fact that says it is there, sent or about to be.
        self._there: dict[str, int] = {}
        self._users: deque[str] = deque(maxlen=500)
        self.reads = 0
        self.unanswered = 0
        self.findings: list[Finding] = []

    # -- called by others ----------------------------------------------------------------------------------------------

    def before(self, message: Message) -> None:
        """Hear of a message that is about to be sent."""
        if message.poison or message.key is None or message.value is None:
            return
        if message.topic.startswith("events."):
            self._users.append(message.key.decode())
        elif message.topic in {STOCK, CATALOG}:
            fact, item_id = json.loads(message.value), message.key.decode()
            if fact.get("quantity") is not None:
                self._note(item_id, fact["ts"], fact["quantity"])

    def _note(self, item_id: str, ts: int, quantity: int) -> None:
        with self._lock:
            if quantity == 0:
                if len(self._pending) < _MAX_PENDING:
                    self._pending[item_id] = None
                return
            self._there[item_id] = max(ts, self._there.get(item_id, 0))
            if self._guarded.get(item_id, ts + 1) <= ts:
                del self._guarded[item_id]

    def forget(self) -> None:
        """Hear that Redis is about to lose everything: until a guard is seen again, nothing is asked of it."""
        with self._lock:
            self._pending.update(dict.fromkeys(self._guarded))
            self._guarded.clear()

    def stop(self) -> None:
        """End the reading."""
        self._stopped.set()
        self.join()

    # -- the thread ----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Read until stopped; a Redis that does not answer is waited for."""
        with redis.Redis.from_url(self._url, socket_timeout=1.0, socket_connect_timeout=1.0) as client:
            shop = Storefront(client)
            while not self._stopped.wait(self._pause_s):
                try:
                    self._look(client)
                    self._read(shop)
                except (redis.RedisError, StoreUnavailable):
                    self.unanswered += 1

    def _look(self, client: redis.Redis) -> None:
        """Note which sold-out facts have their effect."""
        with self._lock:
            block = self._rng.sample(sorted(self._pending), min(_BLOCK, len(self._pending)))
        if not block:
            return
        with client.pipeline(transaction=True) as pipe:
            for item_id in block:
                pipe.hmget(keys.item(item_id), ["quantity", "stock_ts"])
                pipe.sismember(keys.SOLDOUT, item_id)
            answers: list[Any] = pipe.execute()
        with self._lock:
            for item_id, (quantity, ts), guarded in zip(block, answers[::2], answers[1::2], strict=True):
                if quantity == b"0" and guarded:
                    self._pending.pop(item_id, None)
                    # Where a fact of the same or a later time is on its way the item may come back at any moment.
                    if self._there.get(item_id, 0) < int(ts):
                        self._guarded[item_id] = int(ts)

    def _read(self, shop: Storefront) -> None:
        with self._lock:
            before = dict(self._guarded)
        name, ids = self._answer(shop)
        self.reads += 1
        with self._lock:
            shown = [item_id for item_id in ids if item_id in before and self._guarded.get(item_id) == before[item_id]]
        if len(self.findings) < _MAX_FINDINGS:
            self.findings += [Finding("stale", "a reader was shown a sold-out item", name, before[i], i) for i in shown]

    def _answer(self, shop: Storefront) -> tuple[str, list[str]]:
        if self._users and self._rng.random() < 0.8:
            user_id = self._rng.choice(self._users)
            return keys.rec(user_id), shop.top(user_id, 50).ids()
        return keys.trending(), shop.trending(n=50).ids()
