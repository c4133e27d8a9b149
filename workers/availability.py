"""Role: what is true of an item now, into Redis. Stock and prices have their own pipeline: no bulk load stands before them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamrec.catalogue.redis_store import RedisFactStore
from streamrec.catalogue.store import Fact
from streamrec.events.topics import CAMPAIGNS
from workers.groups import AVAILABILITY, GROUPS, LISTINGS
from workers.parts import Parts, Role

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workers.transport.batch import Record


def build(parts: Parts) -> Role:
    """Put the role together."""
    store = RedisFactStore(parts.redis, cluster=parts.settings.redis.cluster)

    def apply(records: Sequence[Record]) -> None:
        store.apply([Fact(r.topic, r.key, r.value, r.offset) for r in records if r.topic != CAMPAIGNS])
        parts.freshness(records)

    pipelines = [
        parts.group(name, GROUPS[name], apply, parts.core(name), unstamped="beginning") for name in (AVAILABILITY, LISTINGS)
    ]
    return Role("availability", pipelines)
