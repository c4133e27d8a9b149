"""Which part of the common work is this worker's; visitors come by partition, the rest is shared out by the same ownership."""

from __future__ import annotations

from typing import Protocol


class Share(Protocol):
    """Answers for this worker now; a rebalance changes the answers."""

    def leads(self) -> bool:
        """Tell whether this worker pushes the fallback lists of the whole shop."""
        ...

    def has_item(self, item_id: str) -> bool:
        """Tell whether this worker pushes the lists of an item."""
        ...

    def has_visitor(self, user_id: str) -> bool:
        """Tell whether this worker keeps the lists of a visitor."""
        ...


class Whole:
    """The share of a worker that is alone."""

    def leads(self) -> bool:
        """Lead."""
        return True

    def has_item(self, item_id: str) -> bool:  # noqa: ARG002 - all of them
        """Have every item."""
        return True

    def has_visitor(self, user_id: str) -> bool:  # noqa: ARG002 - all of them
        """Have every visitor."""
        return True
