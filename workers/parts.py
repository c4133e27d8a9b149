"""What every role is built from, and what a role is."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from streamrec.lists.progress import RedisProgress
from streamrec.lists.rebuilding import Rebuilding
from workers.groups import URGENT
from workers.transport.following import FollowingReader
from workers.transport.group import GroupReader
from workers.transport.history import HistoryReader
from workers.transport.lanes import EndReader, PassReader
from workers.transport.pipeline import Pipeline
from workers.transport.replica import ReplicaReader
from workers.transport.runner import Runner
from workers.transport.stamped import StampedGroupReader
from workers.transport.stamps import Stamps

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Collection, Mapping, Sequence
    from concurrent.futures import Executor, Future

    import redis
    from mode import ServiceT

    from streamrec.clock import Clock
    from streamrec.config import Settings
    from streamrec.observe import Observer
    from streamrec.recommender import Question
    from workers.app import App
    from workers.transport.batch import Place, Record
    from workers.transport.producer import Producer
    from workers.transport.reader import Reader
    from workers.transport.stamps import Unstamped

    Handler = Callable[[Sequence[Record]], None]


@dataclass
class Role:
    """One role of a worker: its services and what its heartbeat says."""

    name: str
    pipelines: list[Pipeline]
    #: Services besides the pipelines, such as timers.
    others: list[ServiceT] = field(default_factory=list)
    #: Numbers for the heartbeat.
    status: Callable[[], dict[str, int]] = dict[str, int]
    #: Answers /why of a visitor, an item and a placement, where the role can.
    explain: Callable[[str, str, str], Any] | None = None
    #: Answer /search and /similar, where the role can: a packed list.
    search: Callable[[Question], Future[bytes]] | None = None
    similar: Callable[[str, Question], Future[bytes]] | None = None
    #: Words for the heartbeat, which are no numbers.
    words: Callable[[], dict[str, str]] = dict[str, str]

    @property
    def services(self) -> list[ServiceT]:
        """Everything to start, pipelines last, so that they stop first."""
        return [*self.others, *self.pipelines]

    @property
    def ready(self) -> bool:
        """Whether replicas have caught up and groups have been joined."""
        return all(pipeline.reader.ready.is_set() for pipeline in self.pipelines)


@dataclass
class Parts:
    """The composition root's shelf: one of each per process; ``core`` is one thread, on which all of a role's state is touched."""

    app: App
    settings: Settings
    clock: Clock
    observer: Observer
    redis: redis.Redis
    producer: Producer

    def core(self, role: str) -> ThreadPoolExecutor:
        """Return a new single thread for a role's state: handlers of one role never run at the same time."""
        return ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"core-{role}")

    def group(
        self,
        name: str,
        topics: Collection[str],
        handler: Handler,
        core: Executor,
        *,
        after: Sequence[threading.Event] = (),
        max_batch: int | None = None,
        buries: Collection[str] | None = None,
        unstamped: Unstamped | None = None,
    ) -> Pipeline:
        """Return a pipeline that shares ``topics`` with the other members of the group ``<prefix>.<name>``.

        Where its effects live in Redis, ``unstamped`` says from where it reads again what Redis lost without a trace.
        """
        make: Callable[..., Reader] = GroupReader
        if unstamped is not None:
            progress = RedisProgress(self.redis, f"{self.settings.kafka.group_prefix}.{name}")
            make = partial(StampedGroupReader, stamps=Stamps(progress, unstamped))
        return self._pipeline(make, name, topics, handler, core, after=after, max_batch=max_batch, buries=buries)

    def replica(
        self,
        name: str,
        topics: Collection[str],
        handler: Handler,
        core: Executor,
        *,
        max_batch: int | None = None,
        buries: Collection[str] = (),
        start: Mapping[Place, int] | None = None,
    ) -> Pipeline:
        """Return a pipeline that reads all of ``topics``, from the offsets in ``start`` or else from their beginning on."""
        make = partial(ReplicaReader, start=start)
        return self._pipeline(make, name, topics, handler, core, max_batch=max_batch, buries=buries)

    def history(
        self,
        name: str,
        topics: Collection[str],
        handler: Handler,
        core: Executor,
        *,
        owned: Callable[[], frozenset[Place]],
        after: Sequence[threading.Event],
        max_batch: int,
    ) -> Pipeline:
        """Return a pipeline that reads of ``topics`` again what `streamrec rebuild` asks for and is ``owned`` by this worker."""
        make = partial(HistoryReader, plans=Rebuilding(self.redis), owned=owned)
        return self._pipeline(make, name, topics, handler, core, after=after, max_batch=max_batch, buries=())

    def end(self, name: str, topics: Collection[str], handler: Handler, lane: Executor, **options: Any) -> Pipeline:
        """Return a pipeline that reads what comes from now on of partitions that are ``owned``; see ``EndReader``."""
        make = partial(EndReader, owned=options.pop("owned"))
        return self._pipeline(make, name, topics, handler, lane, max_batch=None, buries=(), **options)

    def passes(self, name: str, topics: Collection[str], handler: Handler, lane: Executor, **options: Any) -> Pipeline:
        """Return a pipeline that reads partitions that are ``owned`` whole when a pass is ``due``; see ``PassReader``."""
        make = partial(PassReader, owned=options.pop("owned"), due=options.pop("due"))
        return self._pipeline(make, name, topics, handler, lane, max_batch=None, buries=(), in_flight=1, **options)

    def following(
        self,
        name: str,
        topics: Collection[str],
        handler: Handler,
        core: ThreadPoolExecutor,
        *,
        owned: Callable[[], frozenset[Place]],
        floor: Callable[[Place], int | None],
        dropped: Callable[[Collection[Place]], None],
        after: Sequence[threading.Event],
        max_batch: int,
    ) -> Pipeline:
        """Return a pipeline that reads of ``topics`` what is ``owned`` by this worker, with offsets of its own."""
        make = partial(FollowingReader, owned=owned, floor=floor, dropped=dropped)
        return self._pipeline(make, name, topics, handler, core, after=after, max_batch=max_batch, buries=())

    def freshness(self, records: Sequence[Record]) -> None:
        """Tell the observer how old each record was when its effect became visible."""
        now_ms = self.clock.now_ms()
        for record in records:
            ts = getattr(record.value, "ts", None)
            if ts is not None:
                self.observer.fresh(record.topic, now_ms - ts)

    def _pipeline(
        self,
        reader: Callable[..., Reader],
        name: str,
        topics: Collection[str],
        handler: Handler,
        core: Executor,
        *,
        after: Sequence[threading.Event] = (),
        max_batch: int | None,
        buries: Collection[str] | None,
        in_flight: int | None = None,
    ) -> Pipeline:
        runner = Runner(
            name, handler, producer=self.producer, executor=core, clock=self.clock, observer=self.observer, buries=buries
        )
        kafka = self.settings.kafka if name in URGENT else self.settings.kafka.relaxed
        if in_flight is not None:
            kafka = kafka.model_copy(update={"max_in_flight": in_flight})
        return Pipeline(
            self.app,
            runner,
            lambda deliver, failed: reader(
                kafka,
                name,
                topics,
                clock=self.clock,
                max_future_ms=self.settings.max_future_ms,
                deliver=deliver,
                failed=failed,
                after=after,
                max_batch=max_batch,
                observer=self.observer,
            ),
        )
