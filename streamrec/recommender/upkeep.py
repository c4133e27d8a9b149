"""Repairs visitors' lists when the shop changes: sold out, back, campaigns that start and end, lists taken over from others."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from math import inf
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamrec.clock import Clock
from streamrec.errors import StoreUnavailable
from streamrec.lists.edits import Lines
from streamrec.lists.keys import HOME
from streamrec.lists.matrix import ListMatrix
from streamrec.lists.visitors import ListPatches, Replacement, VisitorStore
from streamrec.observe import Observer
from streamrec.ranking import Ranking
from streamrec.recommender.campaign_watch import CampaignWatch, Shift
from streamrec.recommender.knowledge import Changes, Knowledge, Rows
from streamrec.recommender.line_queue import LineQueue
from streamrec.recommender.overlay import latest_holding, overlaid, pinning
from streamrec.recommender.repairs import Repair, recall, repairs
from streamrec.recommender.share import Share

#: Visitors ranked again per step; small enough that an event never waits long behind it.
STEP: Final = 16
#: And while an event waits already.
SMALLEST: Final = 2
#: Lists sorted again at once when a boost or bury starts or ends, those of the visitors who came last.
_OVERLAID: Final = 10_000
#: Lists compared at once: some ms, while the store patches those before.
_BLOCK: Final = 1024
#: Lists repaired with the change itself; the rest at the next ticks: the next changes, and events, come in between.
AT_ONCE: Final = 2 * _BLOCK
#: Lists ranked again per second for the sake of prices, or because they miss a few items: each takes one to two milliseconds, and a
#: flash sale shortens a hundred thousand lists by one item that is mostly back soon.
UNHURRIED_PER_S: Final = 100
#: With more lists than that a look for those that hold an item takes milliseconds: the changes of so many then share one.
_MANY: Final = 20_000
_LOOK_EVERY_MS: Final = 250
#: A tick repairs for so long even while events wait: lists that hold what sold out must not wait behind all of them.
_URGENT_S: Final = 0.1


class Upkeep:
    """Keeps published lists equal to what is ranked, less what nobody may see.

    More is published than a list must have, so a sold-out item leaves every list by edits of those that hold it: nothing is ranked
    for that. It keeps its place in the list, so a restock puts it back as fast.
    Lists taken over are known as they stand, so they are repaired at once; what else was ranked for them is not known.
    Ranked again, in the background (``tick``), are lists that ran short, lists that a campaign can touch, and lists taken over that
    somebody ranked otherwise than this worker would.
    A list that is ranked anew meanwhile keeps that place, too.
    """

    def __init__(  # noqa: PLR0917 - the composition root names them
        self,
        knowledge: Knowledge,
        store: VisitorStore,
        matrix: ListMatrix,
        share: Share,
        clock: Clock,
        observer: Observer,
    ) -> None:
        self._knowledge = knowledge
        self._store = store
        self._matrix = matrix
        self._share = share
        self._clock = clock
        self._observer = observer
        self._watch = CampaignWatch(knowledge.campaigns, knowledge.items)
        #: What sold out and came back since the last look for the lists that hold it: row -> whether it is back; and when that was.
        self._unlooked: dict[int, bool] = {}
        self._looked_at_ms = 0
        #: Lines of lists to edit, as they wait longest; of visitors to rank again before all others, because their list misses what
        #: it had or names what is over; and of all who are to be ranked again.
        self._broken = LineQueue()
        self._urgent = LineQueue()
        self._dirty = LineQueue()
        #: Campaigns' factors that are laid over lists, the first one as far as it got.
        self._overlays: deque[Iterator[None]] = deque()
        #: Rows whose reduction changed, at most as many as there are items; lines to rank again in good time; when some are due.
        self._repriced: set[int] = set()
        self._unhurried = LineQueue()
        self._hurry_at_ms = 0
        #: What is left to look through of the store's lists, None when nothing is.
        self._adoption: Iterator[list[tuple[str, int]]] | None = None
        #: Visitors of whom the store did not say whether it wrote their lists; some of the matrix's, so as bounded as it.
        self._in_doubt: set[str] = set()

    @property
    def backlog(self) -> int:
        """How many visitors wait to be ranked again."""
        return len(self._urgent) + len(self._dirty) + len(self._unhurried)

    def changed(self, changes: Changes) -> None:
        """Repair the lists that hold what went or came back; where they are more than ``AT_ONCE``, the rest at the next ticks.

        Where very many lists are kept, the changes of a quarter of a second are looked for at once, in this call or at a tick.
        Lists that hold what is reduced otherwise than before are ranked again in the background, ``UNHURRIED_PER_S`` of them.
        Raises StoreUnavailable; what was not repaired is then due at the next tick.
        """
        self._repriced.update(self._matrix.held(changes.repriced).tolist())
        self._unlooked.update(dict.fromkeys(changes.gone.tolist(), False) | dict.fromkeys(changes.back.tolist(), True))
        self._look()

    def _look(self) -> None:
        now_ms = self._clock.now_ms()
        if not self._unlooked or (len(self._matrix) > _MANY and now_ms < self._looked_at_ms + _LOOK_EVERY_MS):
            return
        self._looked_at_ms = now_ms
        unlooked, self._unlooked = self._unlooked, {}
        gone = np.array([row for row, back in unlooked.items() if not back], np.int32)
        back = np.array([row for row, back in unlooked.items() if back], np.int32)
        self._moved(gone, back)

    def _moved(self, gone: Rows, back: Rows) -> None:
        """Repair the lists that hold what is ``gone`` or ``back``; those with room for more are ranked again."""
        holders = self._matrix.lines_holding(np.concatenate([gone, back]))
        if not self._watch.pinned.isdisjoint(back.tolist()):
            self._mark_lines(self._matrix.lines())  # its slot is in everybody's list, also in those that never held it
        # Marked before anything is tried: the facts are applied, so nobody tells of this change a second time.
        if len(back):
            self._mark_lines(self._matrix.short())  # whatever came back has room there
        self._broken.append(holders)
        self._repair(AT_ONCE)

    def campaigns_changed(self) -> None:
        """Look at the campaigns at the next tick."""
        self._watch.edited()

    def refresh(self, users: Iterable[str]) -> None:
        """Rank the lists of these visitors again, in the background; those that are not known here are left alone."""
        self._dirty.mark(self._matrix.lines_of(users))

    def adopt(self) -> None:
        """Begin to agree with the store on whose lists are this worker's, after a rebalance or when the store lost data.

        The next ticks look through the store. Known are then the lists of this worker's visitors, as they stand. A visitor who is
        another's now is dropped: what is remembered of them grows old. So is one whose list is gone, and not written back from
        memory: they may be forgotten by now. Their next event, or a rebuild, brings them back.
        """
        self._matrix.begin_round()
        self._adoption = self._store.adopt(self._share.has_visitor)

    def tick(self, budget_s: float) -> bool:
        """Do what is due until about ``budget_s`` seconds are over; True where lists are left that may hold what they must not.

        That is: campaigns that start or end now, lists to repair, lists to take over, and visitors to rank again. However small the
        budget, one step of each is done: under steady traffic repair goes on too. Raises StoreUnavailable; repeating is safe.
        """
        shift = self._watch.look(self._clock.now_ms())
        if shift is not None:
            self._shifted(shift)
        begun = time.monotonic()
        self._look()
        self._repair(deadline=begun + max(_URGENT_S, budget_s))
        if len(self._broken):
            return True
        self._overlay_until(begun + budget_s)
        self._adopt_until(begun + budget_s)
        self._let_go_on()
        while waiting := self._urgent or self._dirty:
            self._rank_again(waiting.take(STEP if budget_s > 0 else SMALLEST))
            if time.monotonic() >= begun + budget_s:
                break
        return len(self._broken) > 0 or len(self._overlays) > 0 or self._adoption is not None

    def _shifted(self, shift: Shift) -> None:
        # Whoever came last is the likeliest to look, and is ranked first.
        if shift.raised:
            self._dirty.mark(self._matrix.lines())
        elif len(shift.lowered):
            self._dirty.mark(self._matrix.latest(self._matrix.lines_holding(shift.lowered))[::-1])
        self._mark_lines(self._matrix.lines_holding(shift.withdrawn))
        if shift.factors is not None:
            self._overlays.append(self._overlay(shift.factors, shift.since_ms))
        # Last, because it may fail, and nobody tells of this shift a second time.
        if len(shift.hidden):
            if self._watch.pinned:
                # What leaves a list or comes back above a pin moves it out of its slot.
                self._dirty.append(self._matrix.lines_holding(shift.hidden))
            now_hidden = self._knowledge.hidden(self._clock.now_ms())[shift.hidden]
            self._moved(shift.hidden[now_hidden], shift.hidden[~now_hidden])

    def _overlay(self, factors: NDArray[np.float32], since_ms: int) -> Iterator[None]:
        """Let those who came last see the campaign's items move within the list, block by block; all are ranked again besides."""
        held = np.flatnonzero(factors != 1).astype(np.int32)
        users = latest_holding(self._matrix, held, since_ms, _OVERLAID)
        pins = pinning(self._knowledge.campaigns, self._clock.now_ms())
        for moved in overlaid(self._matrix, users, factors, since_ms, pins, self._explore_every):
            self._replace([user_id for user_id, _ in moved], [ranking for _, ranking in moved], "overlay")
            yield

    def _explore_every(self, user_id: str) -> int:
        return self._knowledge.variants.ranker(user_id).settings.explore_every

    def _overlay_until(self, deadline: float) -> None:
        """Go on with overlays, one after the other: each knows the scores that the last one left."""
        while self._overlays:
            try:
                done = next(self._overlays[0], self) is self
            except StoreUnavailable:
                self._overlays.popleft()  # what it did not reach is ranked again like all others
                raise
            if done:
                self._overlays.popleft()
            if time.monotonic() >= deadline:
                return

    def _let_go_on(self) -> None:
        """Let some of those that can wait be ranked again: as many as are due after this time."""
        now_ms = self._clock.now_ms()
        if now_ms < self._hurry_at_ms or not (self._repriced or len(self._unhurried)):
            return
        self._hurry_at_ms = now_ms + 1000
        if self._repriced:
            self._unhurried.append(self._matrix.lines_holding(self._repriced))
            self._repriced.clear()
        self._dirty.append(self._unhurried.take(UNHURRIED_PER_S))

    # -- who waits ---------------------------------------------------------------------------------------------------

    def _mark_lines(self, lines: Lines) -> None:
        """Have visitors ranked again, the last of the lines first, before all that wait already."""
        self._urgent.mark(lines)

    def _drop(self, users: Iterable[str]) -> None:
        users = list(users)
        lines = self._matrix.lines_of(users)
        self._urgent.discard(lines)
        self._dirty.discard(lines)
        self._broken.discard(lines)
        self._unhurried.discard(lines)
        self._matrix.drop(users)

    # -- repair ------------------------------------------------------------------------------------------------------

    def _repair(self, n: float = inf, *, deadline: float = inf) -> None:
        """Repair lists that wait for it, ``n`` at most, none but the first block after the ``deadline``.

        While the store patches a block, the next ones are compared and sent: of comparing and patching the slower one counts.
        """
        # What another worker wrote meanwhile is followed, and waits again.
        while n > 0 and len(self._broken):
            taken: list[Lines] = []
            try:
                self._settle_doubts()
                self._patch(self._blocks(n, deadline, taken))
            except Exception:
                # Those that were repaired are compared again, which changes nothing.
                for lines in reversed(taken):
                    self._broken.mark(lines[::-1])
                raise
            n -= sum(map(len, taken))
            if time.monotonic() >= deadline:
                return

    def _blocks(self, n: float, deadline: float, taken: list[Lines]) -> Iterator[Lines]:
        while n > 0 and len(self._broken) and not (taken and time.monotonic() >= deadline):
            lines = self._broken.take(int(min(n, _BLOCK)))
            n -= len(lines)
            taken.append(lines)
            yield self._matrix.used(lines)

    def _patch(self, blocks: Iterable[Lines]) -> None:
        hidden = self._knowledge.hidden(self._clock.now_ms())
        unfit: list[Lines] = []
        made: list[Repair] = []
        refused: list[Lines] = []

        def patches() -> Iterator[ListPatches]:
            for repair in repairs(self._knowledge, self._matrix, blocks, hidden, unfit):
                made.append(repair)
                yield repair.patches

        try:
            for n, done in enumerate(self._store.patch_lists(patches())):
                self._patched(made[n], done)
                refused.append(made[n].edits.lines[~done])
                self._observer.count("lists_pushed", "repair", int(done.sum()))
        except StoreUnavailable:
            self._in_doubt.update(self._matrix.user(line) for repair in made for line in repair.edits.lines.tolist())
            raise
        # Forgotten, expired, or written by another worker, whose list is newer than what we hold.
        self._outrun([self._matrix.user(line) for part in refused for line in part.tolist()])
        for part in unfit:
            self._mark_lines(part)

    def _patched(self, repair: Repair, done: NDArray[np.bool_]) -> None:
        lines, shown = repair.edits.lines[done], repair.edits.shown[done]
        self._matrix.publish(lines, shown, repair.made_at[done])
        left = np.count_nonzero(shown, axis=1)
        few = left < self._knowledge.list_size
        lines, left = lines[few], left[few]
        whole = np.minimum(self._matrix.ranked_items(lines), self._knowledge.list_size)
        self._mark_lines(lines[left < whole // 2])
        self._unhurried.append(lines[(left >= whole // 2) & (left < whole)])

    # -- others' lists -----------------------------------------------------------------------------------------------

    def _adopt_until(self, deadline: float) -> None:
        while self._adoption is not None:
            try:
                block = next(self._adoption, None)
                self._know(block or [])
                self._repair(AT_ONCE)
            except Exception:
                self.adopt()  # what a walk through the store missed once it does not come by again
                raise
            if block is None:
                self._adoption = None
                self._drop(self._matrix.unseen())
            if time.monotonic() >= deadline:
                return

    def _know(self, standing: Sequence[tuple[str, int]]) -> None:
        """Know the lists that stand; ``standing`` says whose, and when each was made."""
        for user_id, _ in standing:
            self._matrix.see(user_id)
        self._follow([user_id for user_id, made_at in standing if self._matrix.made_at(user_id) != made_at])

    def _follow(self, users: Sequence[str]) -> None:
        """Know the lists of these visitors as they stand, and mend them; a visitor whose list is gone is dropped."""
        if not users:
            return
        found = recall(self._knowledge, self._matrix, users, self._store.home_values(users), self._clock.now_ms())
        self._drop(user_id for user_id, one in zip(users, found, strict=True) if not one.made_at)
        met = [(user_id, one) for user_id, one in zip(users, found, strict=True) if one.made_at]
        self._in_doubt.difference_update(user_id for user_id, _ in met)
        known = [(user_id, one, one.ranking) for user_id, one in met if one.ranking is not None]
        self._matrix.put(
            [user_id for user_id, _, _ in known],
            [ranking for _, _, ranking in known],
            [one.made_at for _, one, _ in known],
            [one.layout for _, one, _ in known],
            taken_over=True,
        )
        self._dirty.append(self._matrix.lines_of(user_id for user_id, one in met if not one.stays))
        self._broken.append(self._matrix.lines_of(user_id for user_id, _ in met))

    def _outrun(self, users: Sequence[str]) -> None:
        """Follow the newer lists of these visitors if they are ours: their last owner wrote them late, and keeps them no more."""
        ours = {user_id for user_id in users if self._share.has_visitor(user_id)}
        self._drop(user_id for user_id in users if user_id not in ours)
        self._follow([user_id for user_id in users if user_id in ours])

    def _settle_doubts(self) -> None:
        """Look which lists stand where a write was not answered: our own must not pass for another worker's."""
        if self._in_doubt:
            doubted, self._in_doubt = self._in_doubt, set()
            try:
                self._follow([user_id for user_id in doubted if user_id in self._matrix and self._share.has_visitor(user_id)])
            except Exception:
                self._in_doubt |= doubted
                raise

    # -- ranking again -----------------------------------------------------------------------------------------------

    def _rank_again(self, lines: Lines) -> None:
        lines = self._matrix.used(lines)
        self._urgent.discard(lines)
        self._dirty.discard(lines)
        if not len(lines):
            return
        users = [self._matrix.user(line) for line in lines.tolist()]
        try:
            self._settle_doubts()
            users = [user_id for user_id in users if user_id in self._matrix]
            now_ms = self._clock.now_ms()
            absent = self._knowledge.absent_from(self._matrix, users, now_ms)
            rankings = self._knowledge.rank(self._store.load(users), now_ms, absent, users=users)
            self._replace(users, rankings)
        except Exception:
            self._mark_lines(self._matrix.lines_of(users))
            raise

    def _replace(self, users: Sequence[str], rankings: Sequence[Ranking], kind: str = "refresh") -> None:
        """Publish rankings in the place of the lists that stand."""
        now_ms = self._clock.now_ms()
        hidden = self._knowledge.hidden(now_ms)
        lists = [self._knowledge.lay_out(one, now_ms, hidden, user_id) for user_id, one in zip(users, rankings, strict=True)]
        try:
            replaced = self._store.replace_lists(
                [
                    Replacement(user_id, HOME, self._matrix.made_at(user_id), laid)
                    for user_id, laid in zip(users, lists, strict=True)
                ]
            )
        except StoreUnavailable:
            self._in_doubt.update(users)
            raise
        done = [n for n, ok in enumerate(replaced) if ok]
        self._matrix.put([users[n] for n in done], [rankings[n] for n in done], now_ms, [lists[n].layout for n in done])
        self._observer.count("lists_pushed", kind, len(done))
        self._outrun([user_id for user_id, ok in zip(users, replaced, strict=True) if not ok])
