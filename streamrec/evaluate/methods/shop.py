"""Our own method: the code that workers run, in one process and with stores in memory.

Profiles, the aggregator, the replica of its records, catalogue, index and ranker are the library's own; only Kafka between them and
Redis behind them are left out.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Set
from pathlib import Path
from typing import Any, Final, cast

import numpy as np

from streamrec.candidates import CovisitationAggregator
from streamrec.catalogue.store import Fact
from streamrec.config import RankingSettings, Settings
from streamrec.embedding import Embedder, HashingEncoder
from streamrec.evaluate.footprint import footprint
from streamrec.evaluate.methods.school import School
from streamrec.evaluate.streams import Step
from streamrec.evaluate.texts import StreamTexts
from streamrec.events import Campaign, CatalogItem, Event
from streamrec.events.topics import CAMPAIGNS, CATALOG
from streamrec.lists.keys import HOME
from streamrec.lists.visitors import MemoryVisitorStore, VisitorUpdate
from streamrec.profiles import Profile, apply
from streamrec.ranking import Ranker
from streamrec.recommender import Knowledge, Witness
from streamrec.snapshot.files import dump, restore

#: What a list may repeat, and what it may not: hiding belongs to the placement, so both are asked of every method.
SHOWING: Final[dict[str, Any]] = {"hide_seen": (), "hide_in_cart": False, "hide_bought_days": 0.0}
HIDING: Final[dict[str, Any]] = {"hide_seen": (HOME,), "hide_in_cart": True, "hide_bought_days": 36_500.0}


class Shop:
    """What aggregator and recommender know after the steps so far; rankers of any settings may read it.

    The aggregator's records are made when a list is asked for, for all items that changed since: a record depends on the set of
    messages alone, so this gives the lists that publishing each record at once would give.
    """

    def __init__(self, settings: Settings, texts: StreamTexts | None, *, teach: bool = True) -> None:
        """Know nothing yet; ``teach``: let the lists of ``schools`` stand for what was shown, where the stream does not tell it."""
        self.settings = settings
        encoder = texts or HashingEncoder(8)
        self._shared = (texts, encoder)
        self.knowledge = Knowledge.build(settings, encoder.dim, encoder.digest, lambda queries: encoder.encode(queries, query=True))
        self._embedder = Embedder(encoder) if texts else None
        self._aggregator = CovisitationAggregator.from_settings(settings.ranking, settings.abuse)
        self._witness = Witness(self.knowledge)
        self._store = MemoryVisitorStore(settings.lists.max_visitors)
        self._unsent: dict[str, None] = {}
        self._orders = 0
        self._campaigns: list[tuple[str, Campaign | None, int]] = []
        self._last: Step | None = None
        ranking = settings.ranking
        schools = [School(self.ranker(ranking.model_copy(update=changes)), settings) for changes in (SHOWING, HIDING)]
        #: Of lists that repeat what the visitor met, and of those that do not; none where nothing is to be learnt.
        self.schools = schools if ranking.learnt and teach else []

    @property
    def nbytes(self) -> int:
        """Bytes of profiles, aggregator, replicas and index; the encoder is everybody's."""
        index = self.knowledge.index
        return footprint(self, without=(*self._shared, self._shared, index)) + index.nbytes

    def learn(self, step: Step, *, frozen: bool = False) -> None:
        """Take a step once, however many rankers pass it on; ``frozen`` keeps what visitors do from the aggregator."""
        if step is self._last:
            return
        self._last = step
        if step.session < 0:
            self._take_fact(step)
        else:
            if not frozen:
                self._teach(step)
            self._take_event(step.visitor, cast("Event", step.record.value), frozen=frozen)

    def _take_fact(self, step: Step) -> None:
        _, topic, key, value = step.record
        self._orders += 1
        if topic == CAMPAIGNS:
            self._campaigns.append((key, value if isinstance(value, Campaign) else None, self._orders))
            self.knowledge.take_campaigns(self._campaigns[-1:])
            return
        self.knowledge.take_facts([Fact(topic, key, value, self._orders)])
        if topic == CATALOG and self._embedder is not None:
            self.knowledge.take_vectors(self._embedder.update([(key, value if isinstance(value, CatalogItem) else None)]))

    def _take_event(self, visitor: str, event: Event, *, frozen: bool) -> None:
        profile = self.profile(visitor)
        if not apply(profile, event, self.settings.profiles):
            return
        self._store.commit([VisitorUpdate(visitor, profile)])
        if not frozen:
            self._unsent.update(dict.fromkeys(self._aggregator.update(self._witness.tell(visitor, profile, event))))

    def _teach(self, step: Step) -> None:
        """Learn the weights of the parts from a step that is not known yet."""
        before = self.profile(step.visitor) if self.schools and step.items else Profile()
        schools = [school for school in self.schools if school.wants(step.visitor, before, step.items, step.at_ms)]
        if schools:
            self.settle()
        for school in schools:
            school.learn(step.visitor, before, step.items, step.at_ms)

    def settle(self) -> None:
        """Publish the aggregator's records of all items that changed, and wait for what the index builds in the background.

        Which index answers, exact or a graph, must not depend on the clock.
        """
        finish: Callable[[], bool] | None = getattr(self.knowledge.index.served, "finish_rebuild", None)
        if finish is not None:
            finish()
        if self._unsent:
            self.knowledge.take_neighbours([(item_id, self._aggregator.record(item_id)) for item_id in self._unsent])
            self._unsent.clear()

    def save(self, folder: Path) -> None:
        """Write what a recommender replicates into an empty folder, as for its own restart; see ``branch``."""
        self.settle()
        dump(self.knowledge, np.empty(0, np.int32), folder)

    def branch(self, folder: Path) -> Shop:
        """Return a shop that goes on by itself from here; the folder is what ``save`` wrote, and nothing was learnt since."""
        other = Shop(self.settings, self._shared[0])
        restore(other.knowledge, folder)
        for campaign_id, campaign, order in self._campaigns:
            other.knowledge.take_campaigns([(campaign_id, campaign, order)])
        # By pickling, which takes a third of the time of a deep copy.
        other._aggregator, other._store, other._orders = pickle.loads(  # noqa: S301 - of our own class, our own bytes
            pickle.dumps((self._aggregator, self._store, self._orders))
        )
        other._campaigns = list(self._campaigns)
        other._witness.go_on_from(self._witness)
        for mine, theirs in zip(self.schools, other.schools, strict=True):
            theirs.go_on_from(mine)
        return other

    def profile(self, visitor: str) -> Profile:
        """Return what is known of a visitor."""
        [profile] = self._store.load([visitor])
        return profile

    def ranker(self, ranking: RankingSettings) -> Ranker:
        """Return a ranker of other settings over the same state."""
        known = self.knowledge
        encode = self._shared[1].encode
        return Ranker(
            known.items,
            known.index,
            known.neighbours,
            known.campaigns,
            ranking,
            lambda queries: encode(queries, query=True),
            profiles=self.settings.profiles,
            can_encode=lambda: known.understands_text,
        )


class Streamrec:
    """Our ranking with some settings; asked to exclude what the visitor met, it ranks as a placement that hides it."""

    fitted_ms: int | None = None

    def __init__(self, shop: Shop, **changes: Any) -> None:
        ranking = shop.settings.ranking
        self.shop = shop
        self._showing = shop.ranker(ranking.model_copy(update=changes | SHOWING))
        self._hiding = shop.ranker(ranking.model_copy(update=changes | HIDING))
        self._size = ranking.list_size + shop.settings.lists.reserve

    @property
    def nbytes(self) -> int:
        """Bytes of the shop's state."""
        return self.shop.nbytes

    def learn(self, step: Step) -> None:
        """Take a step into profiles, catalogue, index and aggregator."""
        self.shop.learn(step)

    def remember(self, step: Step) -> None:
        """Take a step into the profile, facts into the catalogue; the aggregator is told nothing."""
        self.shop.learn(step, frozen=True)

    def settle(self) -> None:
        """Publish the aggregator's records."""
        self.shop.settle()

    def recommend(self, visitor: str, now_ms: int, k: int, exclude: Set[str] = frozenset()) -> list[str]:
        """Return the first ``k`` of what a worker would rank, less what a profile, which is bounded, forgot of ``exclude``."""
        ranker = self._hiding if exclude else self._showing
        if self.shop.schools:
            # Without one of its parts the ranking weighs the others as they were learnt with all of them.
            ranker.learnt = self.shop.schools[bool(exclude)].ranker.learnt
        [ranking] = ranker.rank([self.shop.profile(visitor)], now_ms, k=max(self._size, k))
        return [item_id for item_id in ranking.ids(ranker.items) if item_id not in exclude][:k]
