"""A running shop for tests: broker and Redis, workers as processes, and the ways to talk to them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, Self

import orjson
import redis

from streamrec.client import Storefront
from streamrec.config import KafkaSettings
from streamrec.lists import keys
from streamrec.lists.redis_visitors import RedisVisitorStore
from streamrec.local import LocalStack, WorkerProcess
from streamrec.roles import ROLES
from tests.brokers import KIND
from workers.transport.admin import ensure_topics
from workers.transport.producer import Producer

#: The transport and the lists are what is tested here: the hashing encoder loads in no time. The demo runs the real one.
QUICK = {"STREAMREC_MODEL__NAME": "hashing", "STREAMREC_LOG_LEVEL": "WARNING"}


def now_ms() -> int:
    """Return the present moment."""
    return time.time_ns() // 1_000_000


def await_until(condition: Callable[[], Any], what: str, timeout_s: float = 60.0) -> Any:
    """Return the first true answer of ``condition``; fail after ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"waited {timeout_s:.0f} s in vain: {what}"
        time.sleep(0.01)
    return answer


class Shop:
    """Everything between a producer and a storefront."""

    def __init__(
        self,
        log_dir: Path,
        environment: dict[str, str] | None = None,
        *,
        kind: Literal["embedded", "apache"] = KIND,
        durable_redis: bool = False,
    ) -> None:
        self.stack = LocalStack(kind=kind, log_dir=log_dir, durable_redis=durable_redis)
        self._environment = QUICK | (environment or {})
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        self._undo.enter_context(self.stack)
        self.kafka = KafkaSettings(bootstrap=self.stack.environment()["STREAMREC_KAFKA__BOOTSTRAP"])
        ensure_topics(self.kafka)
        self.redis: redis.Redis = redis.Redis.from_url(self.stack.environment()["STREAMREC_REDIS__URL"])
        self._undo.callback(self.redis.close)
        self.storefront = Storefront(self.redis)
        self.visitors = RedisVisitorStore(self.redis)
        self.producer = Producer(self.kafka)
        self._undo.callback(self.producer.close)
        return self

    def __exit__(self, *error: object) -> None:
        self._undo.close()

    def worker(self, *roles: str) -> WorkerProcess:
        """Return a worker that is ready."""
        return self.stack.worker(roles or ROLES, self._environment).wait_ready(60)

    def start(self, *roles: str) -> WorkerProcess:
        """Return a worker that was started."""
        return self.stack.worker(roles or ROLES, self._environment)

    def publish(self, messages: Sequence[tuple[str, str, dict[str, Any] | bytes | None]]) -> None:
        """Send (topic, key, value) messages and wait until the broker has them."""
        for topic, key, value in messages:
            self.producer.send(topic, key, orjson.dumps(value) if isinstance(value, dict) else value)
        self.producer.flush()

    def heartbeats(self) -> list[dict[str, Any]]:
        """Return what the living workers say."""
        names = list(self.redis.scan_iter(match=keys.worker("*")))
        return [orjson.loads(value) for name in names if (value := self.redis.get(name))]

    def await_vectors(self, n: int) -> None:
        """Wait until a recommender has so many items with vectors."""
        await_until(lambda: any(beat.get("vectors") == n for beat in self.heartbeats()), f"{n} vectors")

    def cli(self, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run the command line against this shop."""
        return subprocess.run(
            [sys.executable, "-m", "streamrec", *arguments],
            env={"PATH": "/usr/bin:/bin", "HOME": str(Path.home()), **self.stack.environment(), **self._environment},
            input=stdin,
            capture_output=True,
            timeout=120,
            check=False,
        )
