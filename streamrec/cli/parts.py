"""What the verbs work with, each part made when a verb first asks for it; tests hand in their own.

Nothing heavy is imported at the top: `streamrec --help` answers in the time that Python needs to start.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, Self

import click

from streamrec.clock import Clock, SystemClock
from streamrec.errors import BrokerUnavailable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from types import TracebackType

    import redis

    from streamrec.client import Storefront
    from streamrec.config import KafkaSettings, Settings
    from streamrec.events import ModelPlan
    from streamrec.lists.forgotten import ForgottenVisitors
    from streamrec.lists.visitors import VisitorStore

#: Topic, keys and values of some records.
Records = tuple[str, Sequence[bytes | None], Sequence[bytes | None]]


class Outbox(Protocol):
    """Takes messages and tells for certain whether they arrived; ``with`` waits for all of them."""

    def send(self, topic: str, key: str | bytes, value: bytes | None) -> None:
        """Put a message into the send buffer."""
        ...

    def flush(self) -> None:
        """Wait until everything sent is acknowledged. Raises BrokerUnavailable."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


class Letter(Protocol):
    """A dead letter as the transport reads it."""

    @property
    def partition(self) -> int: ...  # noqa: D102 - the names say it
    @property
    def offset(self) -> int: ...  # noqa: D102
    @property
    def key(self) -> bytes | None: ...  # noqa: D102
    @property
    def value(self) -> bytes | None: ...  # noqa: D102
    @property
    def source_topic(self) -> str: ...  # noqa: D102
    @property
    def source_partition(self) -> int: ...  # noqa: D102
    @property
    def source_offset(self) -> int: ...  # noqa: D102
    @property
    def reason(self) -> str: ...  # noqa: D102
    @property
    def at_ms(self) -> int: ...  # noqa: D102


class Broker(Protocol):
    """What the verbs ask of Kafka. Every method raises BrokerUnavailable."""

    def partitions(self) -> Mapping[str, int]:
        """Return how many partitions each topic has."""
        ...

    def create(self, partitions: int | None, replication_factor: int | None) -> Mapping[str, str]:
        """Create the topics that are missing; return ``created`` or ``exists`` for each."""
        ...

    def lag(self, group: str, topics: Iterable[str]) -> Mapping[tuple[str, int], int]:
        """Return how many messages of each (topic, partition) the group has not committed."""
        ...

    def history(self, topics: Collection[str], since_ms: int) -> Mapping[tuple[str, int], tuple[int, int]]:
        """Return, per (topic, partition), the first offset sent at ``since_ms`` or later, and the end."""
        ...

    def scan(self, held: Mapping[tuple[str, int], tuple[int, int]]) -> Iterator[Records]:
        """Yield topic, keys and values of the records between two offsets of each (topic, partition)."""
        ...

    def dead_letters(self) -> Iterator[Letter]:
        """Yield every dead letter, oldest first."""
        ...

    def plan(self) -> ModelPlan | None:
        """Return which model the shop is to be served by, None where nobody said."""
        ...

    def outbox(self) -> Outbox:
        """Return a producer."""
        ...


class KafkaBroker:
    """Kafka through the transport of ``workers``."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka

    def partitions(self) -> Mapping[str, int]:
        """Return how many partitions each topic has."""
        from workers.transport import admin

        return admin.partitions(self._kafka)

    def create(self, partitions: int | None, replication_factor: int | None) -> Mapping[str, str]:
        """Create the topics that are missing; return ``created`` or ``exists`` for each."""
        from workers.transport import admin

        return admin.ensure_topics(self._kafka, partitions, replication_factor)

    def lag(self, group: str, topics: Iterable[str]) -> Mapping[tuple[str, int], int]:
        """Return how many messages of each (topic, partition) the group has not committed."""
        from workers.transport import admin

        return admin.lag(self._kafka, group, topics)

    def history(self, topics: Collection[str], since_ms: int) -> Mapping[tuple[str, int], tuple[int, int]]:
        """Return, per (topic, partition), the first offset sent at ``since_ms`` or later, and the end."""
        from workers.transport.history import history

        return history(self._kafka, topics, since_ms)

    def scan(self, held: Mapping[tuple[str, int], tuple[int, int]]) -> Iterator[Records]:
        """Yield topic, keys and values of the records between two offsets of each (topic, partition)."""
        from workers.transport.scan import scan

        yield from scan(self._kafka, held)

    def dead_letters(self) -> Iterator[Letter]:
        """Yield every dead letter, oldest first."""
        from workers.transport.dead_letters import read_dead_letters

        yield from read_dead_letters(self._kafka)

    def plan(self) -> ModelPlan | None:
        """Return which model the shop is to be served by, None where nobody said."""
        from workers.transport.plan import read_plan

        return read_plan(self._kafka, "plan")

    def outbox(self) -> Outbox:
        """Return a producer; an unreachable broker is told at once, not after half a minute of trying."""
        from workers.transport.producer import Producer

        if not self.partitions():
            advice = "run `streamrec topics create`, or give this user the rights of its role (deploy/acl/kafka.acl)"
            raise BrokerUnavailable(f"Kafka at {self._kafka.bootstrap} shows us no topics; {advice}")
        return Producer(self._kafka, linger_ms=5)


class Parts:
    """The parts of one run of the command line."""

    clock: Clock = SystemClock()

    @cached_property
    def settings(self) -> Settings:
        """The settings in force. Raises ConfigError."""
        from streamrec.config import Settings

        return Settings.load()

    @cached_property
    def broker(self) -> Broker:
        """Kafka."""
        return KafkaBroker(self.settings.kafka)

    @cached_property
    def redis(self) -> redis.Redis:
        """Redis."""
        from streamrec.lists.connection import connect

        return connect(self.settings.redis)

    @cached_property
    def storefront(self) -> Storefront:
        """The reading side of the lists."""
        from streamrec.client import Storefront

        return Storefront(self.redis, cluster=self.settings.redis.cluster)

    @cached_property
    def visitors(self) -> VisitorStore:
        """Profiles and lists of visitors."""
        from streamrec.lists.redis_visitors import RedisVisitorStore

        return RedisVisitorStore(self.redis)

    @cached_property
    def forgotten(self) -> ForgottenVisitors:
        """Who was forgotten when."""
        from streamrec.lists.forgotten import ForgottenVisitors

        return ForgottenVisitors(self.redis)

    def fetch(self, url: str) -> tuple[int, bytes]:
        """Ask a worker's web server; return the status and the body. Raises OSError."""
        import urllib.error
        import urllib.request

        try:
            with urllib.request.urlopen(url, timeout=10.0) as answer:  # noqa: S310 - the address is a worker's own http one
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()


pass_parts = click.make_pass_decorator(Parts, ensure=True)
