"""Role: visitors' events → lists, and the repair of lists when the shop changes."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import numpy as np

from streamrec.catalogue.store import Fact
from streamrec.events import Campaign, Event, ItemNeighbours, ItemVector, ModelPlan, encode
from streamrec.events.topics import CAMPAIGNS, CATALOG, CLICKS, MODEL_PLAN, NEIGHBOURS, PAIRS, PRICE, STOCK, VECTORS
from streamrec.lists.continuity import Continuity
from streamrec.lists.forgotten import ForgottenVisitors
from streamrec.lists.hidden_items import RedisHiddenItems
from streamrec.lists.item_lists import RedisListStore
from streamrec.lists.matrix import ListMatrix
from streamrec.lists.packing import pack
from streamrec.lists.part_weights import Bounds, RedisWeightStore
from streamrec.lists.pins import RedisPinStore
from streamrec.lists.redis_visitors import RedisVisitorStore
from streamrec.recommender import CampaignGuard, Fallbacks, Lessons, PinBoard, Recovery, Upkeep, Visits
from workers.groups import GROUPS, RECOMMENDER
from workers.heartbeat import new_worker_id
from workers.models import Models
from workers.pace import IndexedSoFar
from workers.parts import Parts, Role
from workers.saved import Saved
from workers.share import PartitionShare
from workers.sweeper import Sweeper
from workers.transport.admin import partitions_of
from workers.transport.batch import pairs, values

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future

    from streamrec.events import ItemActivity
    from streamrec.ranking.explain import Explanation
    from streamrec.recommender import Question
    from workers.transport.batch import Place, Record
    from workers.transport.group import GroupReader
    from workers.transport.pipeline import Pipeline
    from workers.transport.producer import Producer

#: What a snapshot holds the state of.
REPLICATED = (CATALOG, STOCK, PRICE, VECTORS, NEIGHBOURS)
#: Facts applied at once: each batch waits for its turn among visitors and repairs, and 2,000 facts a second came faster than turns
#: of 1,000 took them where a million lists were repaired.
FACT_BATCH = 4000
#: Vectors applied at once: adding them takes the core thread from the visitors for some 50 ms.
VECTOR_BATCH = 128
#: Events of long ago taken at once: visitors of now wait behind it, some 40 ms where each of them lacks a list.
HISTORY_BATCH = 64
#: Of each sweep's interval, how long lists are repaired and item lists made.
UPKEEP_S, FALLBACKS_S = 0.015, 0.005


class PairsOutbox:
    """Tells the aggregator through the topic of item pairs."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer

    def send(self, told: Sequence[tuple[str, ItemActivity]]) -> None:
        """Put the messages on their way."""
        for item_id, activity in told:
            self._producer.send(PAIRS, item_id, encode(activity, PAIRS))

    def flush(self) -> None:
        """Wait until they are acknowledged."""
        self._producer.flush()


class Recommender:
    """Holds the role's parts; every method but the constructor runs on the core thread."""

    def __init__(self, parts: Parts) -> None:
        settings = parts.settings
        self.parts = parts
        self.core = parts.core(RECOMMENDER)
        self.models = Models(parts)
        self.saved = Saved(parts, REPLICATED, self.models.dims, lambda: self.models.build(settings))
        self.knowledge = self.saved.knowledge
        self.models.serve(self.knowledge)
        self.store = RedisVisitorStore(parts.redis, cluster=settings.redis.cluster)
        self.matrix = ListMatrix(settings.lists.max_visitors, self.knowledge.ranked_size, self.knowledge.list_size)
        shop, vectors = self._replicas()
        self.vectors_reader = vectors.reader
        # Opening an encoder takes seconds, in which visitors' events go on: on a thread of its own.
        plans = parts.replica("recommender-plan", [MODEL_PLAN], self.take_plan, self.models.thread)
        #: The offset after the last vector applied, by partition.
        self._indexed: dict[Place, int] = {place: at for place, at in self.saved.start.items() if place[0] == VECTORS}
        #: Since when a batch of vectors that is there waits for its turn; 0: none did when the last was done.
        self._waited_since = 0.0
        self.indexed = IndexedSoFar(parts.redis, new_worker_id())
        after = [shop.reader.ready, vectors.reader.ready, plans.reader.ready]
        # Without the shop's state there is nothing to rank: events wait until the replicas have caught up.
        # Kafka keeps events for days only, and profiles would come back without a bound in time: that is for `streamrec rebuild`.
        visits = parts.group(RECOMMENDER, GROUPS[RECOMMENDER], self.visit, self.core, after=after, unstamped="committed")
        self.visits_reader = cast("GroupReader", visits.reader)
        history = parts.history(
            "recommender-history",
            GROUPS[RECOMMENDER],
            self.recall,
            self.core,
            owned=lambda: self.visits_reader.owned,
            after=after,
            max_batch=HISTORY_BATCH,
        )
        self.pipelines = [shop, vectors, plans, visits, history]
        self.forgotten = ForgottenVisitors(parts.redis)
        self.adopted: frozenset[Place] = frozenset()
        share = PartitionShare(self.visits_reader, partitions_of(settings.kafka, [CLICKS])[CLICKS])
        observer, clock = parts.observer, parts.clock
        learning = settings.learning
        self.lessons = Lessons(self.knowledge, RedisWeightStore(parts.redis, Bounds.of(learning)), learning, clock, observer)
        self.visits = Visits(
            self.knowledge,
            self.store,
            self.matrix,
            PairsOutbox(parts.producer),
            settings.profiles,
            clock,
            observer,
            lessons=self.lessons,
            cart_age_s=settings.lists.cart_age_s,
        )
        self.upkeep = Upkeep(self.knowledge, self.store, self.matrix, share, clock, observer)
        lists = RedisListStore(parts.redis)
        self.fallbacks = Fallbacks(self.knowledge, lists, share, settings.lists, clock, observer)
        hiding = RedisHiddenItems(parts.redis, cluster=settings.redis.cluster)
        self.guard = CampaignGuard(self.knowledge, hiding, share, clock, observer)
        self.pins = PinBoard(self.knowledge, RedisPinStore(parts.redis), share, clock)
        self.recovery = Recovery(Continuity(parts.redis), self.upkeep, self.fallbacks, clock, observer)
        self.sweeper = Sweeper(self.core, self.sweep, settings.lists.sweep_interval_s, after)
        self.saver = self.saved.saver(self.core, self.fallbacks, after)

    def _replicas(self) -> tuple[Pipeline, Pipeline]:
        # Campaigns are few and in no snapshot: their topic is read from its beginning.
        start = self.saved.start
        facts = [CATALOG, STOCK, PRICE, CAMPAIGNS]
        shop = self.parts.replica("recommender-shop", facts, self.take_shop, self.core, max_batch=FACT_BATCH, start=start)
        vectors = self.parts.replica(
            "recommender-vectors",
            [VECTORS, NEIGHBOURS],
            self.take_internal,
            self.core,
            max_batch=VECTOR_BATCH,
            buries=[VECTORS],
            start=start,
        )
        return shop, vectors

    def visit(self, records: Sequence[Record]) -> None:
        """Take visitors' events."""
        self.visits.update([(r.key, cast("Event", r.value)) for r in records])
        self.parts.freshness(records)

    def recall(self, records: Sequence[Record]) -> None:
        """Take visitors' events again, but of those who wished to be forgotten."""
        events = [(r.key, cast("Event", r.value)) for r in records]
        # Clocks of senders may be ahead of ours by so much: in doubt the wish counts.
        kept = self.forgotten.without(events, self.parts.settings.max_future_ms)
        self.upkeep.refresh(self.visits.recall(kept))

    def take_shop(self, records: Sequence[Record]) -> None:
        """Take facts and campaigns, and repair the lists that they touch."""
        facts = [Fact(r.topic, r.key, r.value, r.offset) for r in records if r.topic != CAMPAIGNS]
        changes = self.knowledge.take_facts(facts)
        self.fallbacks.gone(changes.gone)
        if changes:
            self.upkeep.changed(changes)
        told = [(r.key, cast("Campaign | None", r.value), r.offset) for r in records if r.topic == CAMPAIGNS]
        if told and self.knowledge.take_campaigns(told):
            self.upkeep.campaigns_changed()
            self.fallbacks.shop_changed()
        self.saved.applied(records)

    def take_internal(self, records: Sequence[Record]) -> None:
        """Take vectors and neighbours, and note which items' lists are due."""
        start = time.perf_counter()
        vectors = [r for r in records if r.topic == VECTORS]
        messages = pairs(vectors, ItemVector)
        self.models.meet(messages)
        with self._switching():
            changed = self.knowledge.take_vectors(messages)
        self._indexed.update({(r.topic, r.partition): r.offset + 1 for r in vectors})
        self.indexed.worked(len(vectors), time.perf_counter() - (self._waited_since or start))
        neighbours = pairs([r for r in records if r.topic == NEIGHBOURS], ItemNeighbours)
        self.knowledge.take_neighbours(neighbours)
        met = self.knowledge.items.find_all(tuple(item_id for item_id, _ in neighbours))
        self.fallbacks.items_changed(np.concatenate([met[met >= 0], changed]).astype(np.int32))
        self.saved.applied(records)
        # From here on the next batch, if it is there, waits for its turn among facts, visitors and repairs.
        self._waited_since = time.perf_counter() if self.vectors_reader.in_flight > 1 else 0.0

    def take_plan(self, records: Sequence[Record]) -> None:
        """Follow a plan; on the thread of plans."""
        for _, plan in values(records, ModelPlan):
            self.models.open(plan)
            self.core.submit(self._follow, plan).result()

    def _follow(self, plan: ModelPlan) -> None:
        with self._switching():
            self.fallbacks.items_changed(self.models.follow(plan))

    @contextmanager
    def _switching(self) -> Iterator[None]:
        """Have every list made anew if another model takes over meanwhile: all are of the old one."""
        ranked_by = self.knowledge.digest
        yield
        if self.knowledge.digest != ranked_by:
            self.upkeep.refresh(self.matrix.users())

    def _look_at_models(self) -> None:
        """Let another model take over once all that is in the topic is known; tell how far in it we are."""
        if not self.vectors_reader.ready.is_set():
            return
        if self.knowledge.replica.held:
            with self._switching():
                self.fallbacks.items_changed(self.models.release())
        self.indexed.tell(sum(self._indexed.values()), self.parts.clock.now_ms())

    def sweep(self) -> bool:
        """Do what time makes due: what readers see; after a rebalance, whose lists are ours; repair. True where more is urgent."""
        self._look_at_models()
        self.guard.tick()
        self.pins.tick()
        owned = self.visits_reader.owned
        if owned != self.adopted:
            self.upkeep.adopt()
        self.adopted = owned
        self.recovery.tick()
        self.lessons.tick()
        # Visitors come first: while their events wait, only the smallest step of repair is done; then their lists, then items'.
        waiting = self.visits_reader.busy
        urgent = self.upkeep.tick(0.0 if waiting else UPKEEP_S)
        self.fallbacks.tick(0.0 if waiting or urgent else FALLBACKS_S)
        return urgent

    def explain(self, user_id: str, item_id: str, placement: str) -> Future[Explanation]:
        """Answer why the visitor sees or does not see the item there."""
        return self.core.submit(self._explain, user_id, item_id, placement)

    def _explain(self, user_id: str, item_id: str, placement: str) -> Explanation:
        [profile] = self.store.load([user_id])
        return self.knowledge.explain(user_id, profile, item_id, self.parts.clock.now_ms(), placement)

    def search(self, question: Question) -> Future[bytes]:
        """Answer a search as a packed list."""
        return self.core.submit(lambda: pack(self.knowledge.search(question, self.parts.clock.now_ms())))

    def similar(self, item_id: str, question: Question) -> Future[bytes]:
        """Answer with an item's alternatives as a packed list."""
        return self.core.submit(lambda: pack(self.knowledge.similar(item_id, question, self.parts.clock.now_ms())))

    def status(self) -> dict[str, int]:
        """Return the numbers of the heartbeat."""
        return {
            "items": len(self.knowledge.items),
            "vectors": len(self.knowledge.index),
            "visitors": len(self.matrix),
            "backlog": self.upkeep.backlog,
            "item_lists_due": self.fallbacks.backlog,
            "snapshot_at": self.saved.newest_at,
            "next_model_percent": int(100 * self.knowledge.replica.coverage),
            "understands_text": int(self.knowledge.understands_text),
            "plan": self.models.version,
        }

    def words(self) -> dict[str, str]:
        """Return the words of the heartbeat: the digests of the model served and of the one that is collected."""
        replica = self.knowledge.replica
        return {"model": replica.model_digest or "", "next_model": replica.next_digest or "", "model_problem": self.models.problem}


def build(parts: Parts) -> Role:
    """Put the role together; loads the encoder, and builds it on the first run."""
    recommender = Recommender(parts)
    return Role(
        RECOMMENDER,
        recommender.pipelines,
        [recommender.sweeper, *recommender.saver],
        recommender.status,
        recommender.explain,
        recommender.search,
        recommender.similar,
        recommender.words,
    )
