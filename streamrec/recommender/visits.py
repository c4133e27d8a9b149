"""Events of visitors → profiles → lists."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from typing import Final, Protocol

from streamrec.clock import Clock
from streamrec.config import ProfileSettings
from streamrec.errors import StoreUnavailable
from streamrec.events import Cart, Event, Impressions, ItemActivity, Order
from streamrec.lists.keys import CART, HOME
from streamrec.lists.matrix import ListMatrix
from streamrec.lists.packing import RankedList
from streamrec.lists.visitors import VisitorStore, VisitorUpdate
from streamrec.observe import Observer
from streamrec.profiles import Profile, apply
from streamrec.ranking import Ranking
from streamrec.recommender.knowledge import Knowledge, Rows
from streamrec.recommender.lessons import Lesson, Lessons
from streamrec.recommender.standing import Standing
from streamrec.recommender.witness import Witness

#: Somebody else writes the same visitor again and again: two workers believe to own it. The batch is then tried again later.
_ATTEMPTS: Final = 10


class Outbox(Protocol):
    """Where the aggregator is told what visitors met."""

    def send(self, told: Sequence[tuple[str, ItemActivity]]) -> None:
        """Put (item id, activity) messages on their way."""
        ...

    def flush(self) -> None:
        """Wait until everything sent is acknowledged. Raises BrokerUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class _Listing:
    """Which visitors get their list otherwise than by a new event."""

    #: Their list stands and stays; ``later`` is who would have got another.
    kept: Set[str] = frozenset()
    #: Their list is missing, and is made without a new event too.
    missing: Set[str] = frozenset()
    later: dict[str, None] = field(default_factory=dict)
    #: The events happen now.
    fresh: bool = False


class Visits:
    """Applies events to profiles and refreshes lists: all events that a visitor has in a batch cause one refresh.

    The order of effects loses nothing at a crash: first the aggregator is told (its memory takes repeats), then profile and list
    are written together. An event that is in the profile has therefore had all its effects, and a repeat of it has none.

    The lists of other placements are made with the home list; the cart page's for those who changed what is in it, and for those
    who have something in it where anything that it depends on is not as it was, or it is ``cart_age_s`` old. Nobody repairs them
    in between: readers are guarded, and the visitor's next event makes them anew.

    Who clicks on what was shown teaches ``lessons``, if there are any, once the click is in the profile.
    """

    def __init__(  # noqa: PLR0917 - the composition root names them
        self,
        knowledge: Knowledge,
        store: VisitorStore,
        matrix: ListMatrix,
        outbox: Outbox,
        settings: ProfileSettings,
        clock: Clock,
        observer: Observer,
        *,
        lessons: Lessons | None = None,
        cart_age_s: float = 60.0,
    ) -> None:
        self._knowledge = knowledge
        self._store = store
        self._matrix = matrix
        self._outbox = outbox
        self._witness = Witness(knowledge)
        self._settings = settings
        self._clock = clock
        self._lessons = lessons
        self._carts = Standing(knowledge, CART, cart_age_s)
        self._observer = observer
        #: Visitors of this batch of whom the store did not say whether it wrote them.
        self._in_doubt: frozenset[str] = frozenset()

    def update(self, events: Sequence[tuple[str, Event]]) -> None:
        """Take (user id, event) pairs in their order. Raises StoreUnavailable; taking them again is then safe."""
        self._take(_by_visitor(events), _Listing(fresh=True))

    def recall(self, events: Sequence[tuple[str, Event]]) -> list[str]:
        """Take events of long ago again; return the visitors whose profile changed and whose list, that stands, did not yet.

        Every visitor who did something has a list then. One that stands is left to upkeep, which ranks it once for many batches of
        history. Raises StoreUnavailable; taking them again is then safe.
        """
        pending = _by_visitor(events)
        standing = {user_id for user_id, made_at in zip(pending, self._store.made_at(list(pending)), strict=True) if made_at}
        listing = _Listing({user_id for user_id in standing if user_id in self._matrix}, pending.keys() - standing)
        self._take(pending, listing)
        return list(listing.later)

    def _take(self, pending: dict[str, list[Event]], listing: _Listing) -> None:
        self._in_doubt = self._in_doubt.intersection(pending)  # a batch is repeated until it is done
        for _ in range(_ATTEMPTS):
            pending = self._attempt(pending, listing)
            if not pending:
                return
        msg = f"{len(pending)} visitors are written by another worker at the same time; try again when the rebalance is over"
        raise StoreUnavailable(msg)

    def _attempt(self, pending: dict[str, list[Event]], listing: _Listing) -> dict[str, list[Event]]:
        """Return the events of the visitors that somebody else wrote in between."""
        profiles = dict(zip(pending, self._store.load(list(pending)), strict=True))
        told: list[tuple[str, ItemActivity]] = []
        changed: list[str] = []
        relisted: list[str] = []
        #: Placement → visitors who get its list.
        placed: dict[str, list[str]] = {placement: [] for placement in self._knowledge.placements}
        taught: list[Lesson] = []
        now_ms = self._clock.now_ms()
        for user_id, events in pending.items():
            profile = profiles[user_id]
            # What happened long ago was taught, if at all, when it happened.
            new = [event for event in events if self._apply(user_id, profile, event, told, taught if listing.fresh else None)]
            # Being shown something is no reason to move the list under the visitor's eyes.
            due = any(not isinstance(event, Impressions) for event in new)
            # Written already, without an answer. Written again, so that the list that stands is one that we know.
            again = not new and user_id in self._in_doubt
            lacking = user_id in listing.missing and bool(profile.latest_ts)
            if due and user_id in listing.kept:
                listing.later[user_id] = None
                due = False
            if new or again or lacking:
                changed.append(user_id)
            if due or again or lacking:
                relisted.append(user_id)
            for placement in self._placements(user_id, profile, new, now_ms, relisted=due, anew=again or lacking):
                placed[placement].append(user_id)
        if not changed:
            return {}
        # Kafka acknowledges while we rank.
        self._outbox.send(told)
        absent = self._knowledge.absent_from(self._matrix, relisted, now_ms)
        ranked = self._knowledge.rank([profiles[u] for u in relisted], now_ms, absent, users=relisted)
        rankings = dict(zip(relisted, ranked, strict=True))
        others = {
            placement: self._placed(placement, {user_id: profiles[user_id] for user_id in users}, now_ms)
            for placement, users in placed.items()
            if users
        }
        self._outbox.flush()
        left = self._write(pending, changed, profiles, rankings, others, now_ms)
        if self._lessons is not None:
            self._lessons.teach([lesson for lesson in taught if lesson.user_id not in left])
        return left

    def _placed(self, placement: str, profiles: dict[str, Profile], now_ms: int) -> dict[str, tuple[RankedList, Rows]]:
        lists = self._knowledge.rank_placement(placement, profiles, now_ms)
        return dict(zip(profiles, lists, strict=True))

    def _placements(
        self, user_id: str, profile: Profile, new: Sequence[Event], now_ms: int, *, relisted: bool, anew: bool
    ) -> list[str]:
        """Return the placements other than home whose list a visitor gets now; ``anew``: whatever stands."""
        if CART not in self._knowledge.placements:
            return list(self._knowledge.placements) if relisted or anew else []
        cart = any(isinstance(event, Cart | Order) for event in new)
        if not cart and (relisted or anew) and profile.in_cart():
            cart = anew or not self._carts.holds(user_id, profile.revision, profile, now_ms)
        return [placement for placement in self._knowledge.placements if (cart if placement == CART else relisted or anew)]

    def _apply(
        self, user_id: str, profile: Profile, event: Event, told: list[tuple[str, ItemActivity]], taught: list[Lesson] | None
    ) -> bool:
        lesson = self._lessons.hear(user_id, profile, event) if self._lessons is not None and taught is not None else None
        if not apply(profile, event, self._settings):
            return False
        told.extend(self._witness.tell(user_id, profile, event))
        if lesson is not None and taught is not None:
            taught.append(lesson)
        return True

    def _write(  # noqa: PLR0917 - its caller names them
        self,
        pending: dict[str, list[Event]],
        changed: Sequence[str],
        profiles: dict[str, Profile],
        rankings: dict[str, Ranking],
        others: dict[str, dict[str, tuple[RankedList, Rows]]],
        now_ms: int,
    ) -> dict[str, list[Event]]:
        hidden = self._knowledge.hidden(now_ms)
        lists = {user_id: self._knowledge.lay_out(ranking, now_ms, hidden, user_id) for user_id, ranking in rankings.items()}
        self._in_doubt |= frozenset(changed)  # until the store answers
        updates = [
            VisitorUpdate(
                user_id,
                profiles[user_id],
                ({HOME: lists[user_id]} if user_id in lists else {})
                | {placement: made[user_id][0] for placement, made in others.items() if user_id in made},
            )
            for user_id in changed
        ]
        written = self._store.commit(updates)
        self._in_doubt -= frozenset(changed)
        done = [user_id for user_id, ok in zip(changed, written, strict=True) if ok]
        listed = [user_id for user_id in done if user_id in rankings]
        self._matrix.put(listed, [rankings[u] for u in listed], now_ms, [lists[u].layout for u in listed])
        self._observer.count("lists_pushed", "visit", len(listed))
        carts = others.get(CART, {})
        for user_id in done:
            if user_id in carts:
                self._carts.made(user_id, profiles[user_id], carts[user_id][1], now_ms)
            else:
                self._carts.kept(user_id, profiles[user_id])
        for placement, made in others.items():
            self._observer.count("lists_pushed", placement, sum(user_id in made for user_id in done))
        return {user_id: pending[user_id] for user_id, ok in zip(changed, written, strict=True) if not ok}


def _by_visitor(events: Sequence[tuple[str, Event]]) -> dict[str, list[Event]]:
    pending: dict[str, list[Event]] = {}
    for user_id, event in events:
        pending.setdefault(user_id, []).append(event)
    return pending
