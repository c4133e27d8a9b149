"""This worker's share of the common work, by the partitions of visitors that it owns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamrec.events.topics import CLICKS
from workers.transport.partitioner import partition_of

if TYPE_CHECKING:
    from workers.transport.group import GroupReader


class PartitionShare:
    """Who owns partition 0 of the clicks leads; items and visitors are shared out by the partition that their id hashes to.

    A visitor whose producer partitions in another way may be counted to the wrong worker; that costs work and no correctness,
    because lists are replaced only by who knows the one that stands.
    """

    def __init__(self, reader: GroupReader, partitions: int) -> None:
        self._reader = reader
        self._partitions = partitions

    def leads(self) -> bool:
        """Tell whether this worker pushes the fallback lists of the whole shop."""
        return (CLICKS, 0) in self._reader.owned

    def has_item(self, item_id: str) -> bool:
        """Tell whether this worker pushes the lists of an item."""
        return self.has_visitor(item_id)

    def has_visitor(self, user_id: str) -> bool:
        """Tell whether this worker keeps the lists of a visitor."""
        return (CLICKS, partition_of(user_id.encode(), self._partitions)) in self._reader.owned
