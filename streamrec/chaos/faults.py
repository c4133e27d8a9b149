"""What can go wrong, one small class each: how it begins and how it is mended."""

from __future__ import annotations

import os
import signal
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Final

import redis

from streamrec.chaos.fleet import PLACES, Fleet
from streamrec.chaos.guard import GuardedReads
from streamrec.chaos.operator import Operator
from streamrec.local import LocalKafka, LocalStack
from streamrec.local.child import Child
from streamrec.local.workspace import Workspace

ROLES: Final = ("availability", "embedder", "aggregator", "recommender")


@dataclass
class Scene:
    """What faults happen to."""

    stack: LocalStack
    fleet: Fleet
    guard: GuardedReads
    client: redis.Redis
    operator: Operator

    @property
    def kafka(self) -> LocalKafka:
        """The broker, which keeps its data."""
        assert isinstance(self.stack.broker, LocalKafka), "the embedded broker forgets everything: choose no broker faults for it"
        return self.stack.broker

    def signal_redis(self, number: signal.Signals) -> None:
        """Send a signal to Redis, if it runs."""
        if self.stack.redis.pid is not None:
            os.kill(self.stack.redis.pid, number)


class Fault(ABC):
    """One fault: ``begin``, then after a while ``heal``. ``target`` is one of ``targets``, and has one fault at a time."""

    name: ClassVar[str]
    targets: ClassVar[tuple[str, ...]]
    #: How long it lasts, seconds: from, to.
    lasts_s: ClassVar[tuple[float, float]]
    #: How often it is chosen, relative to others.
    weight: ClassVar[float] = 1.0

    def __init__(self, target: str) -> None:
        self.target = target

    @abstractmethod
    def begin(self, scene: Scene) -> None:
        """Let it happen."""

    @abstractmethod
    def heal(self, scene: Scene) -> None:
        """Mend it; called once, whatever became of ``begin``."""

    def afterwards(self, scene: Scene) -> None:  # noqa: B027 - most faults ask nothing more of anybody
        """Do what an operator has to do then; others may break the same target meanwhile."""


class _OfWorker(Fault):
    targets = PLACES


class WorkerKilled(_OfWorker):
    """kill -9, and a start by the process manager."""

    name = "worker-killed"
    lasts_s = (0.0, 3.0)
    weight = 4.0

    def begin(self, scene: Scene) -> None:  # noqa: D102 - the port says it
        scene.fleet.kill(self.target)

    def heal(self, scene: Scene) -> None:  # noqa: D102
        scene.fleet.start(self.target)


class WorkerRestarted(_OfWorker):
    """SIGTERM, as in a deployment, and a start."""

    name = "worker-restarted"
    lasts_s = (0.0, 2.0)

    def begin(self, scene: Scene) -> None:  # noqa: D102
        scene.fleet.stop(self.target)

    def heal(self, scene: Scene) -> None:  # noqa: D102
        scene.fleet.start(self.target)


class WorkerFrozen(_OfWorker):
    """SIGSTOP for longer than the session timeout: others take over, then the worker goes on as if nothing had been."""

    name = "worker-frozen"
    lasts_s = (7.5, 12.0)
    weight = 2.0

    def begin(self, scene: Scene) -> None:  # noqa: D102
        scene.fleet.send(self.target, signal.SIGSTOP)

    def heal(self, scene: Scene) -> None:  # noqa: D102
        scene.fleet.send(self.target, signal.SIGCONT)


class _MoreWorkers(Fault):
    targets = tuple(f"{role}-extra" for role in ROLES)


class WorkersJoin(_MoreWorkers):
    """One or two more of a role join and leave again in an orderly way."""

    name = "workers-join"
    lasts_s = (5.0, 14.0)
    weight = 2.0

    def begin(self, scene: Scene) -> None:  # noqa: D102
        scene.fleet.start(self.target)
        if self.target.startswith("recommender"):
            scene.fleet.start(f"{self.target}-2")

    def heal(self, scene: Scene) -> None:  # noqa: D102
        if self.target.startswith("recommender"):
            scene.fleet.remove(f"{self.target}-2")
        scene.fleet.remove(self.target)


class KilledInRebalance(_MoreWorkers):
    """Another worker joins and is killed about when it gets its partitions."""

    name = "killed-in-rebalance"
    lasts_s = (1.5, 5.0)
    weight = 2.0

    def begin(self, scene: Scene) -> None:  # noqa: D102
        scene.fleet.start(self.target)

    def heal(self, scene: Scene) -> None:  # noqa: D102
        scene.fleet.remove(self.target, kill=True)


class BusyMachine(Fault):
    """Another process takes a core."""

    name = "busy-machine"
    targets = ("machine",)
    lasts_s = (3.0, 8.0)
    weight = 0.5

    def begin(self, scene: Scene) -> None:  # noqa: ARG002, D102
        self._workspace = Workspace()
        self._hog = Child("the CPU hog", self._workspace.path / "hog.log")
        self._hog.start([sys.executable, "-c", "while True: pass"])

    def heal(self, scene: Scene) -> None:  # noqa: ARG002, D102
        self._hog.kill()
        self._workspace.close()


class _OfBroker(Fault):
    targets = ("broker",)


class BrokerKilled(_OfBroker):
    """kill -9 and a start, with its data."""

    name = "broker-killed"
    lasts_s = (0.5, 4.0)

    def begin(self, scene: Scene) -> None:  # noqa: D102
        scene.kafka.kill()

    def heal(self, scene: Scene) -> None:  # noqa: D102
        scene.kafka.start()


class BrokerRestarted(_OfBroker):
    """An orderly restart."""

    name = "broker-restarted"
    lasts_s = (0.1, 0.2)

    def begin(self, scene: Scene) -> None:  # noqa: D102
        scene.kafka.restart()

    def heal(self, scene: Scene) -> None:
        """Nothing is left to do: a restart is one step."""


class BrokerHangs(_OfBroker):
    """SIGSTOP: connections stay open and nothing answers."""

    name = "broker-hangs"
    lasts_s = (5.0, 20.0)

    def begin(self, scene: Scene) -> None:  # noqa: D102
        scene.kafka.hang()

    def heal(self, scene: Scene) -> None:  # noqa: D102
        scene.kafka.wake()


class BrokerAway(BrokerKilled):
    """Gone for longer than any buffer of a request, then back with its data."""

    name = "broker-away"
    lasts_s = (10.0, 30.0)


class _OfRedis(Fault):
    targets = ("redis",)


class RedisKilled(_OfRedis):
    """kill -9 and a start; its log of changes brings everything back."""

    name = "redis-killed"
    lasts_s = (0.5, 4.0)

    def begin(self, scene: Scene) -> None:  # noqa: D102
        scene.stack.redis.kill()

    def heal(self, scene: Scene) -> None:  # noqa: D102
        scene.stack.redis.start()


class RedisRestarted(_OfRedis):
    """A restart with its data."""

    name = "redis-restarted"
    lasts_s = (0.1, 0.2)

    def begin(self, scene: Scene) -> None:  # noqa: D102
        scene.stack.redis.restart()

    def heal(self, scene: Scene) -> None:
        """Nothing is left to do: a restart is one step."""


class RedisHangs(_OfRedis):
    """SIGSTOP: commands wait until their timeout."""

    name = "redis-hangs"
    lasts_s = (2.0, 12.0)

    def begin(self, scene: Scene) -> None:  # noqa: D102
        scene.signal_redis(signal.SIGSTOP)

    def heal(self, scene: Scene) -> None:  # noqa: D102
        scene.signal_redis(signal.SIGCONT)


class RedisAway(RedisKilled):
    """Gone for a while, then back with its data."""

    name = "redis-away"
    lasts_s = (8.0, 30.0)


class RedisFlushed(_OfRedis):
    """Everything is deleted; the operator rebuilds the profiles from what Kafka still holds."""

    name = "redis-flushed"
    lasts_s = (0.5, 3.0)

    def begin(self, scene: Scene) -> None:  # noqa: D102
        scene.guard.forget()
        scene.client.flushall()

    def heal(self, scene: Scene) -> None:
        """Nothing is left to do: an empty Redis works."""

    def afterwards(self, scene: Scene) -> None:  # noqa: D102
        scene.operator.rebuild()


class RedisEmptied(_OfRedis):
    """Killed and back without data; the operator rebuilds the profiles from what Kafka still holds."""

    name = "redis-emptied"
    lasts_s = (0.5, 3.0)

    def begin(self, scene: Scene) -> None:  # noqa: D102
        scene.guard.forget()
        scene.stack.redis.restart(keep_data=False)

    def heal(self, scene: Scene) -> None:
        """Nothing is left to do: a restart is one step."""

    def afterwards(self, scene: Scene) -> None:  # noqa: D102
        scene.operator.rebuild()


FAULTS: Final[dict[str, type[Fault]]] = {
    fault.name: fault
    for fault in (
        WorkerKilled,
        WorkerRestarted,
        WorkerFrozen,
        WorkersJoin,
        KilledInRebalance,
        BusyMachine,
        BrokerKilled,
        BrokerRestarted,
        BrokerHangs,
        BrokerAway,
        RedisKilled,
        RedisRestarted,
        RedisHangs,
        RedisAway,
        RedisFlushed,
        RedisEmptied,
    )
}
#: Those that need a broker which keeps its data.
OF_BROKER: Final = frozenset(name for name, fault in FAULTS.items() if fault.targets == ("broker",))
