"""Repairs visitors' lists when the shop changes: sold out, back, campaigns that start and end, lists taken over from others."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from streamrec.clock import Clock
from streamrec.errors import StoreUnavailable
from streamrec.lists.keys import HOME
from streamrec.lists.matrix import ListMatrix
from streamrec.lists.visitors import Replacement, VisitorStore
from streamrec.observe import Observer
from streamrec.ranking import Ranking, empty_ranking
from streamrec.recommender.campaign_watch import CampaignWatch, Shift
from streamrec.recommender.knowledge import Changes, Knowledge, Rows
from streamrec.recommender.overlay import latest_holding, overlaid, pinning
from streamrec.recommender.share import Share

#: Visitors ranked again per step; small enough that an event never waits long behind it.
STEP: Final = 16
#: Lists sorted again at once when a boost or bury starts or ends, those of the visitors who came last.
_OVERLAID: Final = 10_000
#: Lists written per round trip.
_BLOCK: Final = 1000


class Upkeep:
    """Keeps published lists equal to what is ranked, less what nobody may see.

    More is ranked than is published, so a sold-out item leaves every list, and the next one moves up, by publishing the lists that
    hold it again: nothing is ranked for that. It stays in the ranked list in memory, so a restock publishes it again as fast.
    Ranked again, in the background (``tick``), are lists that ran short, lists that a campaign can touch, and lists taken over.
    Visitors whose list held a sold-out item are remembered, because their list may be ranked anew before it comes back.
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
        self._watch = CampaignWatch(knowledge.campaigns, knowledge.items)
        #: Row of a sold-out item -> visitors whose lists held it.
        self._waiting: OrderedDict[int, list[str]] = OrderedDict()
        #: Visitors to rank again, most urgent last; at most twice as many as the matrix holds.
        self._dirty: OrderedDict[str, None] = OrderedDict()
        #: Visitors of whom the store did not say whether it wrote their lists; some of the matrix's, so as bounded as it.
        self._in_doubt: set[str] = set()

    @property
    def backlog(self) -> int:
        """How many visitors wait to be ranked again."""
        return len(self._dirty)

    def changed(self, changes: Changes) -> None:
        """Repair the lists that hold what went or came back.

        Raises StoreUnavailable; what was not repaired is then due at the next tick.
        """
        holders = dict.fromkeys(self._matrix.users_holding(np.concatenate([changes.gone, changes.back])))
        self._remember(changes.gone)
        waiting = [user_id for row in changes.back.tolist() for user_id in self._waiting.pop(row, ())]
        # Their lists were ranked while it was gone. They had it before, so they get it back now and not in the background.
        missing = [user_id for user_id in dict.fromkeys(waiting) if user_id not in holders]
        if not self._watch.pinned.isdisjoint(changes.back.tolist()):
            self._mark(self._matrix.users())  # its slot is in everybody's list, also in those that never held it
        # Marked before anything is tried: the facts are applied, so nobody tells of this change a second time.
        self._mark(missing)
        self._republish(holders)
        self._rank_again(missing[:STEP])

    def campaigns_changed(self) -> None:
        """Look at the campaigns at the next tick."""
        self._watch.edited()

    def refresh(self, users: Iterable[str]) -> None:
        """Rank the lists of these visitors again, in the background; those that are not known here are left alone."""
        self._mark(user_id for user_id in users if user_id in self._matrix)

    def adopt(self) -> int:
        """Agree with the store on whose lists are this worker's, after a rebalance or when the store lost data.

        Known are the lists of its visitors that stand there, as they stand; those that were not known so are ranked again, and
        counted in the result. A visitor who is another's now is dropped: what is remembered of them grows old. So is one whose list
        is gone, and not written back from memory: they may be forgotten by now. Their next event, or a rebuild, brings them back.

        Raises StoreUnavailable; repeating is safe.
        """
        found, standing = 0, set()
        for user_id, made_at in self._store.adopt(self._share.has_visitor):
            standing.add(user_id)
            found += self._follow(user_id, made_at)
        self._drop(user_id for user_id in self._matrix.users() if user_id not in standing)
        self._in_doubt.clear()
        return found

    def tick(self, budget_s: float) -> None:
        """Do what is due: campaigns that start or end now, and lists to rank again until about ``budget_s`` seconds are over.

        However small the budget, one step is done: under steady traffic repair goes on too.
        """
        shift = self._watch.look(self._clock.now_ms())
        if shift is not None:
            self._shifted(shift)
        deadline = time.monotonic() + budget_s
        while self._dirty:
            self._rank_again([self._dirty.popitem()[0] for _ in range(min(STEP, len(self._dirty)))])
            if time.monotonic() >= deadline:
                return

    def _shifted(self, shift: Shift) -> None:
        if shift.raised:
            # Whoever came last is the likeliest to look, and is ranked first.
            self._mark(self._matrix.users())
        self._mark(self._matrix.users_holding(shift.lowered))
        # Last, because it may fail, and nobody tells of this shift a second time.
        self._republish(self._matrix.users_holding(shift.hidden))
        if shift.factors is not None:
            # All of them are ranked again too; who came last sees the campaign's items move within the list at once.
            held = np.flatnonzero(shift.factors != 1).astype(np.int32)
            users = latest_holding(self._matrix, held, shift.since_ms, _OVERLAID)
            pins = pinning(self._knowledge.campaigns, self._clock.now_ms())
            explore_every = self._knowledge.ranker.settings.explore_every
            for moved in overlaid(self._matrix, users, shift.factors, pins, explore_every):
                self._replace(moved, "overlay")

    def _remember(self, gone: Rows) -> None:
        for row in gone.tolist():
            holders = self._matrix.users_holding([row])
            if holders:
                self._waiting[row] = holders[: self._max_waiting_visitors]
                self._waiting.move_to_end(row)
        while len(self._waiting) > self._max_waiting_items:
            self._waiting.popitem(last=False)

    def _mark(self, users: Iterable[str]) -> None:
        for user_id in users:
            self._dirty[user_id] = None
            self._dirty.move_to_end(user_id)
        if len(self._dirty) > 2 * len(self._matrix):
            self._dirty = OrderedDict.fromkeys(user_id for user_id in self._dirty if user_id in self._matrix)

    def _drop(self, users: Iterable[str]) -> None:
        for user_id in users:
            self._matrix.drop([user_id])
            self._dirty.pop(user_id, None)

    def _follow(self, user_id: str, made_at: int) -> bool:
        """Know the visitor's list that stands; one that is not ours is to be ranked again."""
        if self._matrix.made_at(user_id) == made_at:
            return False
        self._matrix.put([user_id], [empty_ranking()], made_at)
        self._mark([user_id])
        return True

    def _republish(self, users: Iterable[str]) -> None:
        held = [(user_id, ranking) for user_id in users if (ranking := self._matrix.get(user_id)) is not None]
        for start in range(0, len(held), _BLOCK):
            try:
                self._mark(self._replace(held[start : start + _BLOCK], "repair"))
            except Exception:
                self._mark(user_id for user_id, _ in held[start:])
                raise

    def _rank_again(self, users: Sequence[str]) -> None:
        if not users:
            return
        for user_id in users:
            self._dirty.pop(user_id, None)
        try:
            rankings = self._knowledge.rank(self._store.load(users), self._clock.now_ms())
            self._replace(list(zip(users, rankings, strict=True)), "refresh")
        except Exception:
            self._mark(users)
            raise

    def _settle_doubts(self) -> None:
        """Look which lists stand where a write was not answered: our own must not pass for another worker's."""
        if not self._in_doubt:
            return
        doubted = [user_id for user_id in self._in_doubt if self._share.has_visitor(user_id)]
        for user_id, made_at in zip(doubted, self._store.made_at(doubted), strict=True):
            ranking = self._matrix.get(user_id)
            if ranking is not None and made_at:
                self._matrix.put([user_id], [ranking], made_at)
        self._in_doubt.clear()

    def _outrun(self, users: Sequence[str]) -> None:
        """Follow the newer lists of these visitors if they are ours: their last owner wrote them late, and keeps them no more."""
        ours = [user_id for user_id in users if self._share.has_visitor(user_id)]
        standing = {user_id: at for user_id, at in zip(ours, self._store.made_at(ours), strict=True) if at} if ours else {}
        self._drop(user_id for user_id in users if user_id not in standing)
        for user_id, made_at in standing.items():
            self._follow(user_id, made_at)

    def _replace(self, rankings: Sequence[tuple[str, Ranking]], kind: str) -> list[str]:
        """Publish the rankings and return the visitors whose lists are shorter than they should be."""
        self._settle_doubts()
        now_ms = self._clock.now_ms()
        hidden = self._knowledge.hidden(now_ms)
        known = [(user_id, ranking) for user_id, ranking in rankings if user_id in self._matrix]
        lists = [self._knowledge.publish(ranking, now_ms, hidden) for _, ranking in known]
        replacements = [
            Replacement(user_id, HOME, self._matrix.made_at(user_id), ranked)
            for (user_id, _), ranked in zip(known, lists, strict=True)
        ]
        try:
            replaced = self._store.replace_lists(replacements)
        except StoreUnavailable:
            self._in_doubt.update(user_id for user_id, _ in known)
            raise
        short, refused = [], []
        for (user_id, ranking), ranked, ok in zip(known, lists, replaced, strict=True):
            if not ok:  # forgotten, expired, or written by another worker, whose list is newer than what we hold
                refused.append(user_id)
                continue
            self._matrix.put([user_id], [ranking], now_ms)
            if len(ranked.items) < min(len(ranking), self._knowledge.list_size):
                short.append(user_id)
        self._observer.count("lists_pushed", kind, sum(replaced))
        self._outrun(refused)
        return short
