"""What every data set offers to the demo and to ``replay``: items, and what happened to them, in order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from streamrec.events import CatalogItem, Payload


class Record(NamedTuple):
    """One message of a data set: when it happened (ms since the epoch, the data's own time), where it goes and what it says."""

    at_ms: int
    topic: str
    key: str
    #: None is a tombstone: the item is removed, the campaign is cancelled.
    value: Payload | None


class DataSet(Protocol):
    """A catalogue and the stream of what happened, both in the data's own time; reading twice gives the same twice."""

    @property
    def name(self) -> str:
        """Return the short name that the report carries."""
        ...

    @property
    def description(self) -> str:
        """Return one line that says what the data are and what they are not."""
        ...

    @property
    def start_ms(self) -> int | None:
        """Return the moment at which a demo begins, or None for the first record."""
        ...

    def items(self, at_ms: int | None = None) -> Iterator[tuple[str, CatalogItem]]:
        """Yield every item once as it stood at ``at_ms`` (None: before the first record)."""
        ...

    def timeline(self, from_ms: int | None = None) -> Iterator[Record]:
        """Yield the records from ``from_ms`` on in the order in which they happened, campaigns then in force first."""
        ...

    def notes(self) -> list[str]:
        """Return what was dropped, capped or made up, with counts, as sentences."""
        ...
