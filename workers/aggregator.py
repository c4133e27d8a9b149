"""Role: who met what beside what → each item's popularity and neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamrec.candidates import CovisitationAggregator
from streamrec.events import ItemActivity, ItemNeighbours, encode
from streamrec.events.topics import NEIGHBOURS
from workers.groups import AGGREGATOR, GROUPS
from workers.parts import Parts, Role
from workers.transport.batch import values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workers.transport.batch import Record


def build(parts: Parts) -> Role:
    """Put the role together: first its own change log is read back, then the pairs go on."""
    settings, core = parts.settings, parts.core("aggregator")
    aggregator = CovisitationAggregator.from_settings(settings.ranking, settings.abuse)
    unsent: dict[str, None] = {}

    def restore(records: Sequence[Record]) -> None:
        for item_id, record in values(records, ItemNeighbours):
            aggregator.restore(item_id, record)

    def aggregate(records: Sequence[Record]) -> None:
        # Noted until Kafka has them: repeating the batch after a failed send finds nothing changed any more.
        unsent.update(dict.fromkeys(aggregator.update(values(records, ItemActivity))))
        for item_id in unsent:
            record = aggregator.record(item_id)
            parts.producer.send(NEIGHBOURS, item_id, encode(record, NEIGHBOURS) if record else None)
        parts.producer.flush()
        unsent.clear()

    memory = parts.replica("aggregator-memory", [NEIGHBOURS], restore, core, buries=[NEIGHBOURS])
    met = parts.group(AGGREGATOR, GROUPS[AGGREGATOR], aggregate, core, after=[memory.reader.ready])
    return Role("aggregator", [memory, met])
