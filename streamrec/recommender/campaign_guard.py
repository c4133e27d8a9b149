"""Hides from every read, at its moment, what campaigns exclude for everybody, and shows it again when they end."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamrec.clock import Clock
from streamrec.events import Campaign
from streamrec.lists.hidden_items import HiddenItems
from streamrec.observe import Observer
from streamrec.recommender.knowledge import Knowledge, Rows
from streamrec.recommender.share import Share

#: Items may enter and leave an excluded brand at any time, a bulk load does so without end: looked at so often at most.
RELOOK_MS: Final = 500
#: How often it is looked whether what was written still stands, and how many of the hidden items are looked at.
AUDIT_MS: Final = 1000
_AUDITED: Final = 2000
_NEVER: Final = 1 << 62
_NOTHING: Final = np.empty(0, np.int32)


class CampaignGuard:
    """Makes the guard set follow the exclusions of the leading worker's book; cheap until a campaign's moment has come.

    What should be hidden is computed anew at each change, and compared with what was written; so nothing has to be undone. A worker
    that begins to lead, finds another's writing or met an error asks first what stands there, and writes all of it again: nobody
    stays hidden after a crash, and nobody stays shown after a loss. At most ``max_hidden`` items are hidden so, the most popular
    first; further ones are in no list once lists are published again.
    """

    def __init__(
        self, knowledge: Knowledge, store: HiddenItems, share: Share, clock: Clock, observer: Observer, *, max_hidden: int = 500_000
    ) -> None:
        self._knowledge = knowledge
        self._store = store
        self._share = share
        self._clock = clock
        self._observer = observer
        self._max_hidden = max_hidden
        #: Rows that were written, ascending; None while nobody knows what stands there.
        self._written: Rows | None = None
        #: Exclusions that ran at the last write.
        self._running: dict[str, Campaign] | None = None
        self._seen = (-1, -1)
        self._next_ms = 0
        self._relook_ms = 0
        self._audit_ms = 0
        self._audited = 0

    def tick(self) -> None:
        """Hide and show what is due, if this worker leads. Raises StoreUnavailable; repeating is safe."""
        if not self._share.leads():
            self._written = self._running = None
            return
        now_ms = self._clock.now_ms()
        if now_ms >= self._audit_ms:
            self._audit(now_ms)
        written = self._written
        if written is None:
            self._take_over(now_ms)
        elif self._is_due(now_ms):
            wanted = self._wanted(now_ms)
            self._write(now_ms, wanted, hide=_less(wanted, written), show=_less(written, wanted))

    def _is_due(self, now_ms: int) -> bool:
        book, items = self._knowledge.campaigns, self._knowledge.items
        moved = bool(len(book)) and items.version != self._seen[1] and now_ms >= self._relook_ms
        return book.revision != self._seen[0] or now_ms >= self._next_ms or moved

    def _wanted(self, now_ms: int) -> Rows:
        """Return the rows to hide now, ascending."""
        book, items = self._knowledge.campaigns, self._knowledge.items
        self._seen, self._relook_ms = (book.revision, items.version), now_ms + RELOOK_MS
        following = book.next_change_ms(now_ms)
        self._next_ms = _NEVER if following is None else following
        wanted = np.flatnonzero(book.effects(now_ms, items).excluded).astype(np.int32)
        return wanted if len(wanted) <= self._max_hidden else np.sort(self._hottest(wanted)[: self._max_hidden])

    def _hottest(self, rows: Rows) -> Rows:
        """Return the rows, those first that most lists hold."""
        popularity: NDArray[np.float64] = self._knowledge.neighbours.log_popularity()[rows]
        return rows[np.argsort(-popularity, kind="stable")]

    def _take_over(self, now_ms: int) -> None:
        found = self._store.take_over()
        rows = self._knowledge.items.find_all(found)
        strangers = [item_id for item_id, row in zip(found, rows.tolist(), strict=True) if row < 0]
        wanted = self._wanted(now_ms)
        self._running = None
        if self._store.change(strangers, hide=False):
            self._write(now_ms, wanted, hide=wanted, show=_less(np.unique(rows[rows >= 0]), wanted))

    def _write(self, now_ms: int, wanted: Rows, *, hide: Rows, show: Rows) -> None:
        # Until it is done, nobody knows what stands there.
        running, self._written, self._running = self._running, None, None
        items, store = self._knowledge.items, self._store
        if store.change(items.ids(self._hottest(hide)), hide=True) and store.change(items.ids(self._hottest(show)), hide=False):
            self._written, self._running = wanted, self._exclusions(now_ms)
            self._tell(running, self._running)

    def _exclusions(self, now_ms: int) -> dict[str, Campaign]:
        active = self._knowledge.campaigns.active(now_ms)
        return {name: one for name, one in active.items() if one.action == "exclude" and one.segment == "all"}

    def _tell(self, before: dict[str, Campaign] | None, running: dict[str, Campaign]) -> None:
        """Tell how late campaigns took effect; not of those that ran before we led."""
        if before is None:
            return
        now_ms = self._clock.now_ms()
        for name in running.keys() - before.keys():
            self._observer.fresh("campaign_start", now_ms - max(running[name].starts_at, running[name].ts))
        for name in before.keys() - running.keys():
            if before[name].ends_at <= now_ms:
                self._observer.fresh("campaign_end", now_ms - before[name].ends_at)

    def _audit(self, now_ms: int) -> None:
        """Look whether what was written stands, all of it by and by, and write again what does not."""
        written = self._written
        if written is not None and not self._store.holds():
            self._written = written = None
        if written is not None and len(written):
            self._audited = self._audited if self._audited < len(written) else 0
            part = written[self._audited : self._audited + _AUDITED]
            self._audited += _AUDITED
            lost = self._store.shown(self._knowledge.items.ids(part))
            if lost and not self._store.change(lost, hide=True):
                self._written = None
        self._audit_ms = now_ms + AUDIT_MS


def _less(rows: Rows, others: Rows) -> Rows:
    return np.setdiff1d(rows, others, assume_unique=True).astype(np.int32)
