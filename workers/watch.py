"""Asks Kafka and Redis again and again whether they answer, on threads of its own: a hang of theirs holds up nothing."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import structlog
from mode import Service

from streamrec.errors import BrokerUnavailable, StoreUnavailable
from streamrec.lists.redis_errors import translated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import redis

    from workers.parts import Role
    from workers.transport.probe import BrokerProbe

log = structlog.get_logger(__name__)


class Dependency:
    """Something that must answer; ``ask`` raises StoreUnavailable or BrokerUnavailable where it does not."""

    def __init__(self, name: str, ask: Callable[[], None]) -> None:
        self.name = name
        #: When it answered last (monotonic seconds).
        self.answered_at: float | None = None
        #: Why it did not answer the last time; empty if it did.
        self.trouble = ""
        self._ask = ask
        self._since = time.monotonic()

    def look(self) -> None:
        """Ask once and note the answer; a change is told in the log."""
        before = self.trouble
        try:
            self._ask()
        except (StoreUnavailable, BrokerUnavailable) as error:
            self.trouble = str(error)
            if not before:
                log.warning("does not answer", dependency=self.name, error=self.trouble)
        else:
            self.answered_at, self.trouble = time.monotonic(), ""
            if before:
                log.info("answers again", dependency=self.name)

    @property
    def silence_s(self) -> float:
        """For how long it has not answered; from our start on, if it never did."""
        return time.monotonic() - (self._since if self.answered_at is None else self.answered_at)


class Watch(Service):
    """Looks at each dependency every ``interval_s`` seconds while it runs."""

    def __init__(self, dependencies: Sequence[Dependency], interval_s: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dependencies = tuple(dependencies)
        self._interval_s = interval_s
        self._end = threading.Event()

    async def on_start(self) -> None:
        """Begin to look."""
        for dependency in self.dependencies:
            # Daemons: a look that hangs must not hold up the end of the process.
            threading.Thread(target=self._repeat, args=(dependency,), name=f"watch-{dependency.name}", daemon=True).start()

    async def on_stop(self) -> None:
        """Look no more."""
        self._end.set()

    def _repeat(self, dependency: Dependency) -> None:
        while not self._end.is_set():
            dependency.look()
            self._end.wait(self._interval_s)


def watch(client: redis.Redis, probe: BrokerProbe, roles: Sequence[Role], interval_s: float) -> Watch:
    """Return the watch of a worker; what Kafka says of its partitions' ends goes to the readers' backlogs."""

    def ask_redis() -> None:
        with translated("asking whether it answers"):
            client.ping()

    def ask_kafka() -> None:
        backlogs = [pipeline.reader.backlog for role in roles for pipeline in role.pipelines]
        ends = probe.ends({place for backlog in backlogs for place in backlog.records})
        for backlog in backlogs:
            backlog.ends(ends, time.monotonic())

    return Watch([Dependency("kafka", ask_kafka), Dependency("redis", ask_redis)], interval_s)
