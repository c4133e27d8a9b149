"""Broker, Redis and workers together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Literal, Self

from streamrec.local.broker import LocalBroker
from streamrec.local.kafka import LocalKafka
from streamrec.local.redis import LocalRedis
from streamrec.local.worker import WorkerProcess
from streamrec.local.workspace import Workspace


class LocalStack:
    """A broker and an embedded Redis on loopback ports, free ones unless given, as a context manager.

    ``kind`` is the embedded broker or a real Apache Kafka. Workers made here stop with it.
    """

    def __init__(
        self,
        *,
        kind: Literal["embedded", "apache"] = "embedded",
        durable_redis: bool = False,
        log_dir: Path | None = None,
        broker_port: int | None = None,
        redis_port: int | None = None,
        old_clients: bool = False,
    ) -> None:
        broker_log = log_dir / "broker.log" if log_dir else None
        self.broker: LocalBroker | LocalKafka = (
            LocalKafka(port=broker_port, log_path=broker_log)
            if kind == "apache"
            else LocalBroker(port=broker_port, log_path=broker_log, old_clients=old_clients)
        )
        self.redis = LocalRedis(durable=durable_redis, port=redis_port, log_path=log_dir / "redis.log" if log_dir else None)
        self.workers: list[WorkerProcess] = []
        self._log_dir = log_dir
        self._workspace: Workspace | None = None

    def environment(self) -> dict[str, str]:
        """Return the settings that point streamrec at this stack."""
        return {**self.broker.environment(), **self.redis.environment()}

    def worker(self, roles: Sequence[str], environment: Mapping[str, str] | None = None) -> WorkerProcess:
        """Return a started worker of ``roles`` on this stack, not yet awaited; ``environment`` is added to the stack's."""
        folder = self._log_dir
        if folder is None:
            self._workspace = self._workspace or Workspace()
            folder = self._workspace.path
        log_path = folder / f"worker-{len(self.workers)}-{'-'.join(roles)}.log"
        worker = WorkerProcess(roles, {**self.environment(), **(environment or {})}, log_path)
        self.workers.append(worker)
        return worker.start()

    def start(self) -> Self:
        """Start broker and Redis and wait until both answer. Raises LocalStackError."""
        if self._log_dir:
            self._log_dir.mkdir(parents=True, exist_ok=True)
        with ExitStack() as undo:
            undo.callback(self.stop)
            self.broker.start()
            self.redis.start()
            undo.pop_all()
        return self

    def stop(self) -> None:
        """Stop the workers, then broker and Redis; a second call does nothing."""
        with ExitStack() as last:  # whatever fails, the rest is still stopped
            if self._workspace:
                last.callback(self._workspace.close)
            last.callback(self.broker.stop)
            last.callback(self.redis.stop)
            if self.workers:
                # Side by side: each takes a second or two to finish what it holds.
                pool = last.enter_context(ThreadPoolExecutor(len(self.workers)))
                for worker in self.workers:
                    last.callback(pool.submit(worker.stop).result)
            self._workspace = None
            self.workers = []

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
