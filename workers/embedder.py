"""Role: changed items → vectors, of every model in play, and the whole catalogue → vectors of a model that is new."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, cast

import msgspec
import structlog

from streamrec.embedding import LazyEncoder, Lineup, load_encoder
from streamrec.errors import BrokerUnavailable, StreamrecError
from streamrec.events import CatalogItem, ItemVector, ModelPlan, encode
from streamrec.events.topics import CATALOG, MODEL_PLAN, VECTORS
from streamrec.pictures.opening import open_pictures
from workers.groups import EMBEDDER, GROUPS
from workers.pace import LARGEST, Pressure, Slices
from workers.parts import Parts, Role
from workers.pictures import PictureLane
from workers.sweeper import Sweeper
from workers.transport.admin import partitions_of
from workers.transport.batch import pairs, values
from workers.transport.partitioner import partition_of
from workers.transport.plan import read_plan

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from mode import ServiceT

    from streamrec.embedding import Encoder
    from workers.transport.batch import Place, Record
    from workers.transport.group import GroupReader
    from workers.transport.lanes import PassReader

#: Turns messages of the catalogue into messages of item-vectors.
Embed = Callable[[Sequence[tuple[str, CatalogItem | None]]], list[tuple[str, ItemVector | None]]]

log = structlog.get_logger(__name__)

#: With more records than this before it a record would wait: the lane of the end takes it, if it is news.
LATE: Final = 128
#: More new items than this at once are a bulk load, which nobody waits for item by item.
CROWD: Final = 64
#: Changed items that are taken from one batch of the end at most, the newest.
MOST: Final = 256
#: How long the pass lets live records go before it, per slice: without a bound it would never end where they never do.
YIELD_S: Final = 0.25
#: How long one batch waits for others in all: a handler that is silent for a minute is taken for one that hangs.
WAIT_S: Final = 20.0
#: How often what time makes due is looked for, how many vectors are taken back at once, and how often all of them are looked at.
SWEEP_S, TAKE_BACK, LOOK_AGAIN_S = 0.25, 500, 60.0
#: So long after a model left its vectors are taken back: recommenders that are a little behind still answer from it.
LEAVE_S: Final = 3.0
#: A model that did not load is tried again so often.
TRY_AGAIN_S: Final = 30.0


class EmbedderRole:
    """Three lanes feed one thread, on which the lineup is touched, slice by slice: none waits for more than a slice of another.

    - *live*: the group, in order, with offsets. What comes in one go by the million is a backlog here.
    - *end*: while the group is behind, what changes known items, and new items that come one by one, are taken at the end of the
      topic at once. The group comes to them later and finds them done; of two versions the newer ``ts`` wins, in any order.
    - *pass*: for a model that is new the catalogue is read from its beginning, with what live records leave.

    Backlog and pass are held back while a recommender has too many vectors before it: a live one would wait behind them.
    """

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        settings = parts.settings
        #: Why the model that is wanted is not in play here; empty while it is.
        self.problem = ""
        self._partitions = partitions_of(settings.kafka, [CATALOG])[CATALOG]
        self._retry: tuple[ModelPlan, float] | None = None
        plan, encoders = self._first_plan()
        first: Encoder = load_encoder(settings.model) if plan is None else encoders[plan.wanted.digest]
        self.pictures = open_pictures(settings, first.digest, clock=parts.clock, observer=parts.observer)
        self.lineup = Lineup(
            first,
            pictures=self.pictures.gallery if self.pictures else None,
            max_items=settings.index.max_items,
            max_missing=settings.index.max_missing,
        )
        if plan is not None:
            self.lineup.follow(plan, encoders)
        self._unsent: dict[str, ItemVector | None] = {}
        self._resend = False
        self._slices = Slices()
        #: Embedded by the pass, and since when; for the heartbeat's rate.
        self._passed = 0
        self._rate = (0, time.monotonic(), 0.0)
        self._made: dict[Place, int] = {}
        #: Per partition of the catalogue, the offset after the last record that the lane of the end has seen.
        self._ends: dict[Place, int] = {}
        self._look_again_at = self._take_back_at = 0.0
        self.core = parts.core("embedder")
        self._planning = _lane("plan")
        #: What we sent is in the topic before we read it there ourselves.
        self._arrived = parts.producer.watch(VECTORS)
        self.pressure = Pressure(parts.redis, self._made_so_far, parts.clock.now_ms)
        self._build()

    def _first_plan(self) -> tuple[ModelPlan | None, dict[str, LazyEncoder]]:
        """Return the plan to begin with, with its encoders; where the wanted model does not open the previous one alone is in play.

        Raises as ``LazyEncoder`` where there is no previous one, or it does not open either.
        """
        plan = read_plan(self.parts.settings.kafka, "embedder-plan")
        if plan is None:
            return None, {}
        try:
            return plan, self._opened(plan, in_play=())
        except StreamrecError as error:
            if plan.previous is None:
                raise
            self._say_problem(plan, error)
        self._retry = plan, time.monotonic() + TRY_AGAIN_S
        plan = msgspec.structs.replace(plan, version=plan.version - 1, wanted=plan.previous, previous=None)
        return plan, self._opened(plan, in_play=())

    def _say_problem(self, plan: ModelPlan, error: StreamrecError) -> None:
        self.problem = str(error)
        log.error("model not opened", model=plan.wanted.name, error=self.problem, retry_s=TRY_AGAIN_S)

    def _build(self) -> None:
        parts = self.parts
        # Without it a partition's new owner would embed again what did not change, and take a late message for a new one.
        self.memory = parts.replica("embedder-memory", [VECTORS], self.remember, self.core)
        # A thread of its own: opening an encoder takes seconds, in which live changes go on.
        self.plans = parts.replica("embedder-plan", [MODEL_PLAN], self.take_plan, self._planning, buries=[MODEL_PLAN])
        after = [self.memory.reader.ready, self.plans.reader.ready]
        self.live = parts.group(EMBEDDER, GROUPS[EMBEDDER], self.take_live, _lane("live"), after=after, buries=())
        self.group = cast("GroupReader", self.live.reader)
        self.end = parts.end("embedder-end", [CATALOG], self.take_end, _lane("end"), owned=self._owned, after=after)
        self.bulk = parts.passes(
            "embedder-pass", [CATALOG], self.take_pass, _lane("pass"), owned=self._owned, due=self._due, after=after
        )
        self.bulk_reader = cast("PassReader", self.bulk.reader)
        self.pipelines = [self.memory, self.plans, self.live, self.end, self.bulk]
        self.others: list[ServiceT] = [Sweeper(self.core, self.sweep, SWEEP_S, after)]
        self.picture_lane: PictureLane | None = None
        if self.pictures is not None:
            stands, embed = self.lineup.stands, self.bring_up_to_date
            lane = PictureLane(parts, self.pictures, self.core, owned=self._owned, after=after, stands=stands, embed=embed)
            self.pipelines.append(lane.pipeline)
            self.others += lane.others
            self.picture_lane = lane

    # -- lanes: each on its own thread ----------------------------------------------------------------------------------

    def take_live(self, records: Sequence[Record]) -> None:
        """Embed what the group reads; hold back while it is a backlog and recommenders are behind."""
        crowd = len(records) > LATE or self._behind() > LATE
        self._embed(records, self._let_recommenders_go if crowd else _at_once)

    def take_end(self, records: Sequence[Record]) -> None:
        """Embed what the group would come to too late."""
        changed: list[Record] = []
        new: list[Record] = []
        for record in self._waiting(records):
            if isinstance(record.value, CatalogItem):
                news = self.lineup.is_news(record.key, record.value)
                if news:
                    changed.append(record)
                elif news is None:
                    new.append(record)
        taken = changed[-MOST:] + (new if len(new) <= CROWD else [])
        if taken:
            self._embed(taken, _at_once)
            self.parts.observer.count("overtook", CATALOG, len(taken))

    def take_pass(self, records: Sequence[Record]) -> None:
        """Embed what has no vector of a model in play."""
        self._passed += self._embed(records, self._let_others_go, self.lineup.fill)

    def take_plan(self, records: Sequence[Record]) -> None:
        """Open the plan's encoders here, then have them in play."""
        for _, plan in values(records, ModelPlan):
            self.core.submit(setattr, self, "_retry", None).result()
            self._adopt(plan)

    def _adopt(self, plan: ModelPlan) -> None:
        before = self.lineup.plan
        if before is not None and plan.version <= before.version:
            return
        try:
            encoders = self._opened(plan, self.lineup.in_play)
        except StreamrecError as error:
            # The models in play go on: the wanted one is embedded by whoever can, and here as soon as it opens.
            self._say_problem(plan, error)
            self.core.submit(setattr, self, "_retry", (plan, time.monotonic() + TRY_AGAIN_S)).result()
            return
        self.problem = ""
        self.core.submit(self._follow, plan, encoders).result()

    def _opened(self, plan: ModelPlan, in_play: Collection[str]) -> dict[str, LazyEncoder]:
        """Open what is sure to be needed and not in play; a previous model whose time is over only opens if it is asked.

        Raises as ``LazyEncoder``.
        """
        own = self.parts.settings.model
        encoders = {one.digest: LazyEncoder(one, own) for one in plan.choices if one.digest not in in_play}
        if plan.wanted.digest in encoders:
            encoders[plan.wanted.digest].load()
        if plan.previous is not None and plan.previous.digest in encoders and self.parts.clock.now_ms() < plan.keep_until:
            encoders[plan.previous.digest].load()
        return encoders

    def _embed(self, records: Sequence[Record], wait: Callable[[], int], by: Embed | None = None) -> int:
        """Have the records embedded slice by slice and their vectors acknowledged; return how many vectors that made."""
        items, made, until = pairs(records, CatalogItem), 0, time.monotonic() + WAIT_S
        embed = by or self.lineup.update
        while items:
            room = wait() if time.monotonic() < until else LARGEST
            n = min(self._slices.size, room)
            made += self.core.submit(self._slice, embed, items[:n]).result()
            items = items[n:]
        self.core.submit(self._flush).result()
        return made

    def _let_recommenders_go(self) -> int:
        return self.pressure.wait(lambda: self.live.should_stop)

    def _let_others_go(self) -> int:
        deadline = time.monotonic() + YIELD_S
        while (self.group.busy or self.end.reader.busy) and time.monotonic() < deadline and not self.bulk.should_stop:
            time.sleep(0.002)
        return self.pressure.wait(lambda: self.bulk.should_stop)

    # -- the core thread ---------------------------------------------------------------------------------------------------

    def remember(self, records: Sequence[Record]) -> None:
        """Take note of what is in item-vectors."""
        for key, vector in pairs(records, ItemVector):
            self.lineup.remember(key, vector)
        self._made.update({(r.topic, r.partition): r.offset + 1 for r in records})

    def bring_up_to_date(self, items: Sequence[tuple[str, CatalogItem | None]]) -> None:
        """Embed items again whose pictures have come, and have Kafka have them."""
        self._slice(self.lineup.update, items)
        self._flush()

    def _slice(self, embed: Embed, items: Sequence[tuple[str, CatalogItem | None]]) -> int:
        start = time.perf_counter()
        told = embed(items)
        # Noted until Kafka has them: repeating the batch after a failed send finds nothing changed any more.
        self._unsent.update(told)
        self._send(dict(told))
        self._slices.took(len(told), time.perf_counter() - start)
        return len(told)

    def _send(self, told: dict[str, ItemVector | None]) -> None:
        try:
            for key, vector in told.items():
                self.parts.producer.send(VECTORS, key, encode(vector, VECTORS) if vector else None)
        except BrokerUnavailable:
            self._resend = True
            raise

    def _flush(self) -> None:
        if self._resend:
            self._resend = False
            self._send(self._unsent)
        try:
            self.parts.producer.flush()
        except BrokerUnavailable:
            self._resend = True
            raise
        self.parts.observer.count("embedded", VECTORS, sum(vector is not None for vector in self._unsent.values()))
        self._unsent.clear()

    def _follow(self, plan: ModelPlan, encoders: Mapping[str, LazyEncoder]) -> None:
        if self.lineup.follow(plan, encoders):
            self._passed = 0
            log.info("model plan", version=plan.version, wanted=plan.wanted.name, in_play=list(self.lineup.in_play))

    def sweep(self) -> bool:
        """Send a model away whose time is over, and take back what is left of it. True: there is more."""
        now = time.monotonic()
        if self._retry is not None and now >= self._retry[1]:
            plan, self._retry = self._retry[0], None
            self._planning.submit(self._adopt, plan)
        if self.lineup.settle(self.parts.clock.now_ms()):
            self._take_back_at = now + LEAVE_S
            log.info("previous model ends", in_play=list(self.lineup.in_play), left=self.lineup.strays)
        if now >= self._look_again_at:
            self._look_again_at = now + LOOK_AGAIN_S
            self.lineup.look_again()
        self._measure(now)
        # While the wanted model does not open here its vectors are no leftovers, although it is not in play.
        if self.problem or self.group.busy or not self.lineup.strays or now < self._take_back_at:
            return False
        gone = self.lineup.take_back(self._is_mine, TAKE_BACK)
        if gone:
            self._unsent.update(gone)
            self._send(dict(gone))
            self._flush()
        return len(gone) == TAKE_BACK

    def _measure(self, now: float) -> None:
        passed, since, _ = self._rate
        if now - since >= 1.0:
            self._rate = (self._passed, now, max(self._passed - passed, 0) / (now - since))

    # -- asked from any thread ---------------------------------------------------------------------------------------------

    def _owned(self) -> frozenset[Place]:
        return self.group.owned

    def _is_mine(self, item_id: str) -> bool:
        return (CATALOG, partition_of(item_id.encode(), self._partitions)) in self._owned()

    def _made_so_far(self) -> int:
        made = {number: end for (_, number), end in list(self._made.items())}
        return sum(max(made.get(n, 0), self._arrived.get(n, 0)) for n in made.keys() | self._arrived.keys())

    def _due(self) -> int:
        return self.lineup.plan.version if self.lineup.plan is not None else 0

    def _waiting(self, records: Sequence[Record]) -> Sequence[Record]:
        """Return the records that the group has not handled, if it has so much before it that they would be late.

        All partitions count: they come through one queue, and a partition's last records stand in it behind the others'.
        """
        self._ends |= {(r.topic, r.partition): r.offset + 1 for r in records}
        if self._behind() <= LATE:
            return ()
        handled = {place: self.group.backlog.handled(place) or 0 for place in {(r.topic, r.partition) for r in records}}
        return [r for r in records if r.offset >= handled[r.topic, r.partition]]

    def _behind(self) -> int:
        """Return how many records lie between what the group has handled and what was seen at the end."""
        owned = self._owned()
        ends = [(place, end) for place, end in list(self._ends.items()) if place in owned]
        return sum(max(end - (self.group.backlog.handled(place) or 0), 0) for place, end in ends)

    def status(self) -> dict[str, int]:
        """Return the numbers of the heartbeat."""
        lineup = self.lineup
        counts = list(lineup.counts.values())
        return {
            "embedded": counts[0],
            "embedded_previous": counts[1] if len(counts) > 1 else 0,
            "to_take_back": lineup.strays,
            "pass_left": self.bulk_reader.left if self.bulk_reader.active else 0,
            "pass_per_s": round(self._rate[2]),
            "plan": self._due(),
        } | (self.picture_lane.status() if self.picture_lane else {})

    def words(self) -> dict[str, str]:
        """Return the words of the heartbeat: the models in play, the wanted one first, and why another is not."""
        return {"in_play": " ".join(self.lineup.in_play), "model_problem": self.problem}


def _lane(name: str) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"embedder-{name}")


def _at_once() -> int:
    """Wait for nobody."""
    return LARGEST


def build(parts: Parts) -> Role:
    """Put the role together; loads the encoder, and builds it on the first run."""
    role = EmbedderRole(parts)
    return Role("embedder", role.pipelines, role.others, role.status, words=role.words)
