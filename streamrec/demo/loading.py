"""Publishes a catalogue and waits until the workers hold all of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import msgspec
import redis

from streamrec.clock import Clock
from streamrec.demo import fleet
from streamrec.demo.outbox import Outbox
from streamrec.demo.view import View
from streamrec.errors import LocalStackError
from streamrec.events import CatalogItem
from streamrec.events.topics import CATALOG

_LOOK_EVERY_S: Final = 0.5
_SAMPLE: Final = 200


def publish_items(outbox: Outbox, items: Sequence[tuple[str, CatalogItem]], clock: Clock, view: View) -> None:
    """Publish every item as of now."""
    for number, (item_id, item) in enumerate(items, 1):
        outbox.publish(CATALOG, item_id, msgspec.structs.replace(item, ts=clock.now_ms()))
        if number % 2000 == 0 or number == len(items):
            view.progress("items published", number, len(items))


def await_items(client: redis.Redis, items: Sequence[tuple[str, CatalogItem]], timeout_s: float, view: View) -> None:
    """Return when every recommender holds a vector of every item and the live facts stand in Redis.

    Raises LocalStackError that says how far it came.
    """
    deadline = time.monotonic() + timeout_s
    sample = [item_id for item_id, _ in items[:: max(len(items) // _SAMPLE, 1)]]
    while True:
        held = fleet.vectors(fleet.heartbeats(client))
        view.progress("vectors in the index", min(held, len(items)), len(items))
        if held >= len(items) and fleet.present(client, sample):
            return
        if time.monotonic() > deadline:
            msg = (
                f"after {timeout_s:.0f} s the recommenders hold {held:,} of {len(items):,} items; load fewer (--items), "
                "or keep the logs (log_dir) and read what the workers say"
            )
            raise LocalStackError(msg)
        time.sleep(_LOOK_EVERY_S)
