"""Lists that belong to no visitor: trending and new of the shop and of each category, similar and together of each item."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

import numpy as np

from streamrec.clock import Clock
from streamrec.config import ListSettings
from streamrec.lists import keys
from streamrec.lists.item_lists import ListStore
from streamrec.lists.packing import RankedList
from streamrec.observe import Observer
from streamrec.ranking import Ranking
from streamrec.recommender.knowledge import Knowledge, Rows
from streamrec.recommender.share import Share

#: Items whose lists are made in one step, and categories per round.
_STEP: Final = 16
#: Items whose lists are made in a step while visitors wait.
_SMALLEST: Final = 1
_CATEGORIES: Final = 4
#: An unchanged list is written again after this, so that it never expires.
_REWRITE_MS: Final = keys.FALLBACK_TTL_S * 1000 // 4


class Fallbacks:
    """Pushes the lists of this worker's share when they changed; each worker holds the state for all of them."""

    def __init__(  # noqa: PLR0917 - the composition root names them
        self,
        knowledge: Knowledge,
        store: ListStore,
        share: Share,
        settings: ListSettings,
        clock: Clock,
        observer: Observer,
        *,
        max_backlog: int = 200_000,
    ) -> None:
        self._knowledge = knowledge
        self._store = store
        self._share = share
        self._settings = settings
        self._clock = clock
        self._observer = observer
        self._max_backlog = max_backlog
        #: Rows whose item lists are due, latest change last, which is where work begins: a new item gets its neighbours first.
        self._due: OrderedDict[int, None] = OrderedDict()
        #: What was pushed last, to push only what changed; as many as there are categories.
        self._pushed: dict[str, tuple[int, tuple[str, ...]]] = {}
        #: Rows that the shop's own two lists showed last.
        self._shown: Rows = np.empty(0, np.int32)
        self._shop_due_ms = 0
        self._turn = 0
        #: Categories whose lists must all be looked at soon, and not in their turn.
        self._behind = 0

    @property
    def backlog(self) -> int:
        """How many items wait for their lists."""
        return len(self._due)

    @property
    def due(self) -> Rows:
        """The items that wait for their lists, latest change last."""
        return np.fromiter(self._due, np.int32, len(self._due))

    def items_changed(self, rows: Rows) -> None:
        """Note that the lists of these items are due: new vectors, or neighbours that changed."""
        # After a change of models these are all rows of a large shop; the bound would drop the first of them again.
        for row in rows[-self._max_backlog :].tolist():
            self._due[row] = None
            self._due.move_to_end(row)
        while len(self._due) > self._max_backlog:
            self._due.popitem(last=False)

    def shop_changed(self) -> None:
        """Note that the shop's own lists should be looked at now."""
        self._shop_due_ms = 0

    def gone(self, rows: Rows) -> None:
        """Note that nobody may see these items any more: the shop's own lists are due if they show one of them.

        Readers do not see it either way, and what is back has its turn soon: under a burst of stock facts these lists must not be
        made again for each batch of them.
        """
        if np.isin(self._shown, rows).any():
            self.shop_changed()

    def lost(self) -> None:
        """Hear that the store lost data, nobody knows which: every list is pushed again, as fast as others allow."""
        self._pushed.clear()
        self._shop_due_ms = 0
        self._behind = len(self._knowledge.items.categories.names())
        self.items_changed(np.arange(len(self._knowledge.items), dtype=np.int32))

    def tick(self, budget_s: float) -> None:
        """Push what is due, for at most about ``budget_s`` seconds. Raises StoreUnavailable; repeating is safe."""
        now_ms = self._clock.now_ms()
        deadline = time.monotonic() + budget_s
        if not self._share.leads():
            self._pushed.clear()  # another worker's lists stand now
        elif now_ms >= self._shop_due_ms:
            due = dict(self._shop(now_ms))
            self._push_changed(now_ms, due)
            self._shown = np.union1d(due[keys.trending()].rows, due[keys.new()].rows)
            self._behind = max(self._behind - _CATEGORIES, 0)
            self._shop_due_ms = 0 if self._behind else now_ms + int(self._settings.fallback_interval_s * 1000)
        if self._due and budget_s <= 0:
            self._push_items(now_ms, _SMALLEST)  # others are waited for, but under steady traffic these lists are made, too
        while self._due and time.monotonic() < deadline:
            self._push_items(now_ms, _STEP)

    def _shop(self, now_ms: int) -> Iterator[tuple[str, Ranking]]:
        ranker, n = self._knowledge.ranker, self._settings.fallback_size
        yield keys.trending(), ranker.trending(now_ms, n)
        yield keys.new(), ranker.newest(now_ms, n)
        # A category of that name would overwrite the shop's own list.
        names = [name for name in self._knowledge.items.categories.names() if name != keys.ALL]
        for _ in range(min(_CATEGORIES, len(names))):
            self._turn = (self._turn + 1) % len(names)
            category = names[self._turn]
            yield keys.trending(category), ranker.trending(now_ms, n, category)
            yield keys.new(category), ranker.newest(now_ms, n, category)

    def _push_changed(self, now_ms: int, rankings: dict[str, Ranking]) -> None:
        lists: dict[str, RankedList] = {}
        hidden = self._knowledge.hidden(now_ms)
        for key, ranking in rankings.items():
            ranked = self._knowledge.publish(ranking, now_ms, hidden, size=self._settings.fallback_size)
            pushed_at, ids = self._pushed.get(key, (0, ()))
            if tuple(ranked.ids()) != ids or now_ms - pushed_at > _REWRITE_MS:
                lists[key] = ranked
        self._store.put(lists, keys.FALLBACK_TTL_S)
        self._pushed.update({key: (now_ms, tuple(ranked.ids())) for key, ranked in lists.items()})
        self._observer.count("lists_pushed", "fallback", len(lists))

    def _push_items(self, now_ms: int, step: int) -> None:
        items, ranker = self._knowledge.items, self._knowledge.ranker
        rows = [self._due.popitem()[0] for _ in range(min(step, len(self._due)))]
        names = [name for row in rows if self._share.has_item(name := items.id(row))]
        n, hidden = self._settings.item_list_size, self._knowledge.hidden(now_ms)
        lists = {}
        for name, similar, together in zip(names, ranker.similar(names, now_ms, n), ranker.together(names, now_ms, n), strict=True):
            lists[keys.similar(name)] = self._knowledge.publish(similar, now_ms, hidden, size=n)
            lists[keys.together(name)] = self._knowledge.publish(together, now_ms, hidden, size=n)
        try:
            self._store.put(lists, keys.ITEM_LIST_TTL_S)
        except Exception:
            for row in reversed(rows):
                self._due[row] = None
            raise
        self._observer.count("lists_pushed", "item", len(lists))
