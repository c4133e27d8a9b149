"""Where a member of a group must start, so that Redis holds the effects of everything before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from streamrec.errors import StoreUnavailable
from streamrec.lists.progress import Standing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streamrec.lists.progress import Progress
    from workers.transport.batch import Place

#: Redis loses everything again and again while we look; the next try comes with the next look.
_ATTEMPTS = 5

#: Where to start without a stamp: ``beginning`` where Kafka holds every fact (compacted topics), ``committed`` where it does not.
Unstamped = Literal["beginning", "committed"]


class Stamps:
    """What a member knows of its partitions' stamps. A partition is *placed* while Redis holds what its stamp says.

    It stops being placed when the stamp is found missing or lower than it was written, or when the server is another run: effects
    after the stamp may be gone. It may then not be stamped or committed until it is placed again, which says from where to read.
    """

    def __init__(self, progress: Progress, unstamped: Unstamped) -> None:
        self._progress = progress
        self._unstamped = unstamped
        self._known = Standing("", {})

    def is_placed(self, place: Place) -> bool:
        """Tell whether effects may be stamped for the partition."""
        return place in self._known.offsets

    def place(self, committed: Mapping[Place, int | None]) -> dict[Place, int | None]:
        """Return from which offset to read each partition, None: its beginning, and stamp that. Raises StoreUnavailable.

        ``committed`` is what Kafka says, None where it says nothing. The earlier of both counts.
        """
        for _ in range(_ATTEMPTS):
            standing = self._progress.load(committed)
            starts = {place: self._start(standing.offsets.get(place), offset) for place, offset in committed.items()}
            stamps = {place: start or 0 for place, start in starts.items()}
            # Compared again while writing: what is lost after the look would go unnoticed under a fresh stamp.
            if self._progress.save(standing, stamps):
                # Of another run nothing is known any more.
                others = self._known.offsets if standing.run == self._known.run else {}
                self._known = Standing(standing.run, others | stamps)
                return starts
        msg = "the stamps in Redis change faster than they can be read; is another system writing streamrec:progress:*?"
        raise StoreUnavailable(msg)

    def save(self, offsets: Mapping[Place, int]) -> bool:
        """Stamp what was done of placed partitions; False: some are no longer placed, commit nothing. Raises StoreUnavailable."""
        raised = {place: offset for place, offset in offsets.items() if offset > self._known.offsets[place]}
        if raised:
            if not self._progress.save(self._known, raised):
                self.check()
                return False
            self._known.offsets.update(raised)
        return True

    def check(self) -> None:
        """Look whether the stamps stand; those partitions where they do not are no longer placed. Raises StoreUnavailable."""
        if not self._known.offsets:
            return
        standing = self._progress.load(self._known.offsets)
        if standing.run != self._known.run:
            self._known = Standing("", {})
            return
        for place, offset in list(self._known.offsets.items()):
            found = standing.offsets.get(place)
            if found is None or found < offset:
                del self._known.offsets[place]
            else:  # higher: another member believes to own it and did more
                self._known.offsets[place] = found

    def forget(self, places: Iterable[Place]) -> None:
        """Know nothing of partitions that are no longer this member's, or must be placed again."""
        for place in places:
            self._known.offsets.pop(place, None)

    def _start(self, stamp: int | None, committed: int | None) -> int | None:
        if committed is None:
            return None
        if stamp is None:
            return None if self._unstamped == "beginning" else committed
        return min(stamp, committed)
