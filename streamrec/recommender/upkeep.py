"""Repairs visitors' lists when the shop changes: sold out, back, campaigns that start and end, lists taken over from others."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from streamrec.clock import Clock
from streamrec.lists.keys import HOME
from streamrec.lists.matrix import ListMatrix
from streamrec.lists.visitors import Replacement, VisitorStore
from streamrec.observe import Observer
from streamrec.ranking import Ranking, empty_ranking
from streamrec.recommender.knowledge import Changes, Knowledge, Rows
from streamrec.recommender.share import Share

#: Visitors ranked again per step; small enough that an event never waits long behind it.
_STEP: Final = 64
#: Lists written per round trip.
_BLOCK: Final = 1000


class Upkeep:
    """Keeps published lists equal to what is ranked, less what nobody may see.

    A sold-out item leaves every list by publishing the lists that hold it again: nothing is ranked for that. It stays in the
    ranked list in memory, so a restock publishes it again as fast. Visitors whose list held it are remembered besides, for lists
    that were ranked anew meanwhile. Lists that lost items are ranked again in the background (``tick``).
    """

    def __init__(  # noqa: PLR0917 - the composition root names them
        self,
        knowledge: Knowledge,
        store: VisitorStore,
        matrix: ListMatrix,
        share: Share,
        clock: Clock,
        observer: Observer,
        *,
        max_waiting_items: int = 10_000,
        max_waiting_visitors: int = 2_000,
    ) -> None:
        self._knowledge = knowledge
        self._store = store
        self._matrix = matrix
        self._share = share
        self._clock = clock
        self._observer = observer
        self._max_waiting_items = max_waiting_items
        self._max_waiting_visitors = max_waiting_visitors
        #: Row of a sold-out item -> visitors whose lists held it.
        self._waiting: OrderedDict[int, list[str]] = OrderedDict()
        #: Visitors to rank again, most urgent last; bounded by the matrix.
        self._dirty: dict[str, None] = {}
        self._excluded: Rows = np.empty(0, np.int32)
        self._campaigns_change_ms = 0

    @property
    def backlog(self) -> int:
        """How many visitors wait to be ranked again."""
        return len(self._dirty)

    def changed(self, changes: Changes) -> None:
        """Repair the lists that hold what went or came back. Raises StoreUnavailable; repeating is safe."""
        holders = self._matrix.users_holding(np.concatenate([changes.gone, changes.back]))
        waiting = [user_id for row in changes.back.tolist() for user_id in self._waiting.get(row, ())]
        self._republish(dict.fromkeys(holders))
        self._remember(changes.gone)
        for row in changes.back.tolist():
            self._waiting.pop(row, None)
        self._mark(holders)
        self._mark(waiting)
        # Those who had it before get it back now, not in the background.
        self._rank_again([user_id for user_id in dict.fromkeys(waiting) if user_id in self._dirty][:_STEP])

    def campaigns_changed(self) -> None:
        """Look at the campaigns at the next tick."""
        self._campaigns_change_ms = 0

    def adopt(self) -> int:
        """Take over the lists of visitors that are now this worker's, to be ranked again; return how many."""
        found = 0
        for user_id, ranked in self._store.adopt(lambda user_id: user_id not in self._matrix and self._share.has_visitor(user_id)):
            self._matrix.put([user_id], [empty_ranking()], ranked.made_at)
            self._mark([user_id])
            found += 1
        return found

    def tick(self, budget_s: float) -> None:
        """Do what is due: campaigns that start or end now, and lists to rank again for at most about ``budget_s`` seconds."""
        now_ms = self._clock.now_ms()
        if now_ms >= self._campaigns_change_ms:
            self._campaigns(now_ms)
        deadline = time.monotonic() + budget_s
        while self._dirty and time.monotonic() < deadline:
            self._rank_again([self._dirty.popitem()[0] for _ in range(min(_STEP, len(self._dirty)))])

    def _campaigns(self, now_ms: int) -> None:
        book = self._knowledge.campaigns
        book.drop_ended(now_ms)
        excluded = np.flatnonzero(book.effects(now_ms, self._knowledge.items).excluded).astype(np.int32)
        changed = np.setxor1d(excluded, self._excluded).astype(np.int32)
        if len(changed):
            self._republish(dict.fromkeys(self._matrix.users_holding(changed)))
        self._excluded = excluded
        self._mark(self._matrix.users())
        following = book.next_change_ms(now_ms)
        self._campaigns_change_ms = following if following is not None else _NEVER

    def _remember(self, gone: Rows) -> None:
        for row in gone.tolist():
            holders = self._matrix.users_holding(np.array([row], np.int32))
            if holders:
                self._waiting[row] = holders[: self._max_waiting_visitors]
                self._waiting.move_to_end(row)
        while len(self._waiting) > self._max_waiting_items:
            self._waiting.popitem(last=False)

    def _mark(self, users: Iterable[str]) -> None:
        for user_id in users:
            self._dirty.pop(user_id, None)
            self._dirty[user_id] = None

    def _republish(self, users: Iterable[str]) -> None:
        held = [(user_id, ranking) for user_id in users if (ranking := self._matrix.get(user_id)) is not None]
        for start in range(0, len(held), _BLOCK):
            self._replace(held[start : start + _BLOCK], "repair")

    def _rank_again(self, users: Sequence[str]) -> None:
        if not users:
            return
        for user_id in users:
            self._dirty.pop(user_id, None)
        try:
            profiles = self._store.load(users)
            rankings = self._knowledge.ranker.rank(profiles, self._clock.now_ms())
            self._replace(list(zip(users, rankings, strict=True)), "refresh")
        except Exception:
            self._mark(users)
            raise

    def _replace(self, rankings: Sequence[tuple[str, Ranking]], kind: str) -> None:
        now_ms = self._clock.now_ms()
        hidden = self._knowledge.hidden(now_ms)
        known = [(user_id, ranking) for user_id, ranking in rankings if user_id in self._matrix]
        replaced = self._store.replace_lists(
            [
                Replacement(user_id, HOME, self._matrix.made_at(user_id), self._knowledge.publish(ranking, now_ms, hidden))
                for user_id, ranking in known
            ]
        )
        for (user_id, ranking), ok in zip(known, replaced, strict=True):
            if ok:
                self._matrix.put([user_id], [ranking], now_ms)
            else:  # forgotten, expired, or written by another worker, whose list is newer than what we hold
                self._matrix.drop([user_id])
                self._dirty.pop(user_id, None)
        self._observer.count("lists_pushed", kind, sum(replaced))


_NEVER: Final = 1 << 62
