"""What clicks on lists teach about the weights of the score's parts: kept from bursts and crowds, shared by all recommenders.

Who may teach: a visitor once in ``learning.every_s``, and of visitors of whom the very same items are known only so many as count
for others' lists (crowds.py). What they teach: ``learning.step`` each, and all together ``learning.drift`` in an hour, to which
the store holds all recommenders, whoever it is that clicks.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Final

import numpy as np

from streamrec.candidates import Crowds, visitor_hash
from streamrec.clock import Clock
from streamrec.config import AbuseSettings, LearningSettings
from streamrec.events import Click, Event, Impressions
from streamrec.lists.keys import HOME
from streamrec.lists.part_weights import Moves, PartWeights, WeightStore
from streamrec.observe import Observer
from streamrec.profiles import Profile
from streamrec.ranking import Ranker
from streamrec.ranking.lessons import lesson_of
from streamrec.ranking.ranker import Trace
from streamrec.ranking.score import PARTS
from streamrec.recommender.knowledge import Knowledge

#: How often weights are shared: what others learn counts here so much later.
SHARE_MS: Final = 1000
_NAMES: Final = tuple(part.name.lower() for part in PARTS)
#: One item is no choice.
_FEWEST: Final = 2


class Teachers:
    """Who may teach now. What is remembered is one worker's: the visitors that taught last, ``max_visitors`` of them.

    Asking changes no answer, so a batch may be repeated; who taught does not teach the same again.
    """

    def __init__(self, learning: LearningSettings, abuse: AbuseSettings, *, max_visitors: int = 100_000) -> None:
        self._every_ms = learning.every_s * 1000
        self._crowds = Crowds(abuse.max_alike, abuse.alike_window_s)
        self._max_visitors = max_visitors
        self._last: OrderedDict[str, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._last)

    def may(self, user_id: str, before: Profile, item_id: str, ts: int) -> bool:
        """Tell whether a visitor who turns to an item at ``ts``, and of whom ``before`` is known, may teach."""
        last = self._last.get(user_id)
        if last is not None and ts - last < self._every_ms:
            return False
        return self._crowds.passes(visitor_hash(user_id), (item_id, *(i.item_id for i in before.recent)), ts)

    def note(self, user_id: str, ts: int) -> None:
        """Note that a visitor taught."""
        self._last[user_id] = ts
        self._last.move_to_end(user_id)
        if len(self._last) > self._max_visitors:
            self._last.popitem(last=False)


class Pupil:
    """What one ranker learns, each placement for itself; other settings learn for themselves, for it is relative to them."""

    def __init__(self, ranker: Ranker, settings: LearningSettings) -> None:
        self._ranker = ranker
        self._settings = settings
        self._digest = blake2b(ranker.settings.model_dump_json().encode(), digest_size=6).hexdigest()
        #: Name → placement, and what stands, as far as it is known.
        self._placements: dict[str, str] = {}
        self._known: dict[str, PartWeights | None] = {}
        #: What was learnt here and is not shared yet.
        self._moves: dict[str, Moves] = {}

    def name(self, placement: str) -> str:
        """Return what the store calls the weights of a placement."""
        return f"{placement}:{self._digest}"

    def follow(self, placement: str) -> None:
        """Rank by what is learnt for a placement from now on."""
        name = self.name(placement)
        self._placements[name] = placement
        self._known.setdefault(name, None)

    def factors(self, placement: str) -> dict[str, float]:
        """Return by what the weights of a placement's parts are multiplied now; nothing of a part stands for 1."""
        weights = self._known.get(self.name(placement))
        return {part: float(np.exp(log)) for part, log in weights.logs.items()} if weights else {}

    def learn(self, trace: Trace, listed: Sequence[int], place: int, ts: int) -> None:
        """Learn from a click on ``place`` (0 is the first) of a list of positions among the candidates of ``trace``."""
        name = self.name(trace.wish.placement)
        told = lesson_of(trace, listed, place, self._settings.passed_over) * self._settings.step
        waiting = self._moves.get(name, Moves(0, dict.fromkeys(_NAMES, 0.0)))
        logs = {part: waiting.logs[part] + log for part, log in zip(_NAMES, told.tolist(), strict=True)}
        self._moves[name] = replace(waiting, ts=max(waiting.ts, ts), logs=logs)

    def share(self, store: WeightStore) -> None:
        """Tell the store what was learnt and rank by what stands then. Raises StoreUnavailable; what was learnt waits."""
        standing = store.share(self._known, self._moves)
        self._moves = {}
        for name, weights in standing.items():
            if weights != self._known[name]:
                self._known[name] = weights
                factors = np.exp([weights.logs.get(part, 0.0) for part in _NAMES])
                self._ranker.learnt = {**self._ranker.learnt, self._placements[name]: factors}


@dataclass(frozen=True, slots=True)
class Lesson:
    """A click on a list, and what was known of the visitor just before it."""

    user_id: str
    placement: str
    #: Items as they stood in the list.
    shown: tuple[str, ...]
    item_id: str
    #: Of the click, ms since the epoch.
    ts: int
    before: Profile


@dataclass(frozen=True, slots=True)
class _Shown:
    ts: int
    item_ids: tuple[str, ...]


class Lessons:
    """Hears visitors' events and has the rankers of their variants learn from clicks on what they were shown.

    Of each visitor the latest impression of each placement is remembered, by this worker and since its start: a click on an older
    list teaches nothing. Placements whose lists this worker does not rank are passed over.
    """

    def __init__(
        self, knowledge: Knowledge, store: WeightStore, settings: LearningSettings, clock: Clock, observer: Observer
    ) -> None:
        self._knowledge = knowledge
        self._store = store
        self._settings = settings
        self._clock = clock
        self._observer = observer
        self._teachers = Teachers(settings, knowledge.abuse)
        self._placements = (HOME, *knowledge.placements)
        self._pupils = {id(r): Pupil(r, settings) for r in knowledge.variants.rankers if r.settings.learnt}
        for pupil in self._pupils.values():
            for placement in self._placements:
                pupil.follow(placement)
        self._shown: OrderedDict[str, dict[str, _Shown]] = OrderedDict()
        self._share_at_ms = 0

    def __len__(self) -> int:
        return len(self._shown)

    def hear(self, user_id: str, profile: Profile, event: Event) -> Lesson | None:
        """Hear of an event that the visitor's profile does not hold yet; return what it may teach once the profile is written."""
        if not self._pupils:
            return None
        if isinstance(event, Impressions):
            self._remember(user_id, event)
        elif isinstance(event, Click):
            return self._lesson(user_id, profile, event)
        return None

    def _remember(self, user_id: str, event: Impressions) -> None:
        placement = event.placement or HOME
        if placement not in self._placements or len(event.item_ids) < _FEWEST:
            return
        lists = self._shown.setdefault(user_id, {})
        if placement not in lists or lists[placement].ts <= event.ts:
            lists[placement] = _Shown(event.ts, tuple(dict.fromkeys(event.item_ids)))
        self._shown.move_to_end(user_id)
        if len(self._shown) > self._settings.max_shown:
            self._shown.popitem(last=False)

    def _lesson(self, user_id: str, profile: Profile, click: Click) -> Lesson | None:
        since = click.ts - self._settings.window_s * 1000
        lists = self._shown.get(user_id, {})
        told = [
            (shown.ts, placement)
            for placement, shown in lists.items()
            if since <= shown.ts <= click.ts and click.item_id in shown.item_ids and click.placement in {"", placement}
        ]
        if not told or not self._teachers.may(user_id, profile, click.item_id, click.ts):
            return None
        placement = max(told)[1]
        return Lesson(user_id, placement, lists[placement].item_ids, click.item_id, click.ts, _copied(profile))

    def teach(self, lessons: Sequence[Lesson]) -> None:
        """Learn from clicks that are in their visitors' profiles now, ``learning.max_batch`` of them at most.

        At once: in a moment what others are told of these clicks is part of the scores, which then know what they are asked for.
        """
        now_ms, left = self._clock.now_ms(), self._settings.max_batch
        for lesson in lessons:
            if left and self._teachers.may(lesson.user_id, lesson.before, lesson.item_id, lesson.ts):
                left -= 1
                self._teachers.note(lesson.user_id, lesson.ts)
                self._observer.count("lessons", lesson.placement, int(self._learn(lesson, now_ms)))

    def _learn(self, lesson: Lesson, now_ms: int) -> bool:
        ranker = self._knowledge.variants.ranker(lesson.user_id)
        pupil = self._pupils.get(id(ranker))
        rows = self._knowledge.items.find_all(lesson.shown)
        if pupil is None:
            return False
        [trace] = ranker.traces([lesson.before], now_ms, len(rows), lesson.placement, ask=rows[rows >= 0])
        # What a campaign put into its place says nothing of scores.
        pinned = {position for position, _ in trace.pins.values()}
        known = zip(lesson.shown, rows.tolist(), strict=True)
        at = {item_id: int(np.searchsorted(trace.rows, row)) for item_id, row in known if row >= 0}
        listed = [position for position in at.values() if position not in pinned]
        clicked = at.get(lesson.item_id)
        if clicked not in listed or len(listed) < _FEWEST:
            return False
        pupil.learn(trace, listed, listed.index(clicked), lesson.ts)
        return True

    def tick(self) -> None:
        """Share what was learnt, once a second. Raises StoreUnavailable; what was learnt waits for the next time."""
        now_ms = self._clock.now_ms()
        if not self._pupils or now_ms < self._share_at_ms:
            return
        self._share_at_ms = now_ms + SHARE_MS
        for pupil in self._pupils.values():
            pupil.share(self._store)


def _copied(profile: Profile) -> Profile:
    """Return what the next event will not change."""
    other = copy(profile)
    for name in ("recent", "bought", "cart", "searches", "impressions", "filters"):
        setattr(other, name, copy(getattr(profile, name)))
    return other
