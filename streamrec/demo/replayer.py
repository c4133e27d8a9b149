"""Replays a data set's timeline in the present, paced, in a thread of its own."""

from __future__ import annotations

import time
from collections.abc import Iterable
from threading import Event as Flag
from threading import Thread
from typing import Final

from streamrec.clock import Clock
from streamrec.demo.data import Record
from streamrec.demo.merchant import Scene
from streamrec.demo.pacing import Pacer, Rebaser
from streamrec.demo.probes import ClickListed, OrderKept
from streamrec.events import CatalogItem, Click, Order
from streamrec.events.topics import CATALOG, EVENTS, PRICE, STOCK

#: Clicks that are followed at the same time, at most; the others are published all the same.
_MAX_CLICK_PROBES: Final = 48


class Replayer:
    """Publishes records as if they happened now, follows clicks and orders, and tells who is in the shop."""

    def __init__(self, scene: Scene, timeline: Iterable[Record], pacer: Pacer, clock: Clock) -> None:
        self._scene, self._timeline, self._clock = scene, timeline, clock
        self.pacer = pacer
        self._rebaser = Rebaser()
        self._stop = Flag()
        self._thread = Thread(target=self._run, name="replay", daemon=True)
        self.error: Exception | None = None
        #: Whether the data ran out.
        self.exhausted = False

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Stop after the record at hand."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            for record in self._timeline:
                if self._stop.is_set():
                    return
                for ended in self._rebaser.due(record.at_ms):
                    self._scene.outbox.publish(ended.topic, ended.key, ended.value)
                if record.topic in EVENTS:  # facts of the merchant come on top of the visitors' rate
                    self.pacer.wait()
                self.publish(self._rebaser.rebase(record, self._clock.now_ms()))
            self.exhausted = True
        except Exception as error:  # noqa: BLE001 - handed to the main thread, which raises it
            self.error = error

    def publish(self, record: Record) -> None:
        """Publish one record whose time is the present, with the notes and probes that belong to it."""
        at_ns = time.monotonic_ns()
        self._before(record)
        self._scene.outbox.publish(record.topic, record.key, record.value)
        if record.topic in EVENTS:
            self._scene.visitors.saw(record.key, at_ns)
        value = record.value
        if isinstance(value, Click):
            if self._scene.board.waiting("click_to_list") < _MAX_CLICK_PROBES:
                self._follow(ClickListed(record.key, value.item_id, value.ts), at_ns)
        elif isinstance(value, Order):
            items = tuple(line.item_id for line in value.lines)
            probe = OrderKept(record.key, items, value.ts)
            probe.on_seen = lambda: self._scene.truth.bought(record.key, probe.kept)
            self._follow(probe, at_ns)

    def _follow(self, probe: ClickListed | OrderKept, at_ns: int) -> None:
        probe.at_ns = at_ns  # the moment of publishing, not that of the probe
        self._scene.board.put(probe)

    def _before(self, record: Record) -> None:
        """Note, before it is sent, what a fact of the data set may change about items that the demo acts on."""
        value, item_id = record.value, record.key
        speaks_of_stock = record.topic == STOCK or (record.topic == CATALOG and (value is None or _quantity(value) is not None))
        if speaks_of_stock:
            self._scene.ledger.strike("stock", item_id)
            self._scene.truth.may_return(item_id)
        if record.topic == PRICE or (isinstance(value, CatalogItem) and value.price is not None):
            self._scene.ledger.strike("price", item_id)


def _quantity(value: object) -> int | None:
    return value.quantity if isinstance(value, CatalogItem) else None
