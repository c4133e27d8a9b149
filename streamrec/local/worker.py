"""A streamrec worker as a child process."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import msgspec
import redis

from streamrec.errors import LocalStackError
from streamrec.lists import keys
from streamrec.local.child import Child


class _Heartbeat(msgspec.Struct):
    """What of a worker's heartbeat is of interest here."""

    pid: int = 0
    ready: bool = False


class WorkerProcess:
    """``streamrec worker --roles …`` as a process of its own, as a context manager; it dies with its parent.

    ``environment`` is added to ours; it must hold ``STREAMREC_REDIS__URL``, where the worker's heartbeat tells that it is ready.
    The log is appended to ``log_path``.
    """

    def __init__(self, roles: Sequence[str], environment: Mapping[str, str], log_path: Path) -> None:
        self.roles = tuple(roles)
        self.log_path = log_path
        self._environment = dict(environment)
        self._child = Child(f"the worker {','.join(self.roles)}", log_path)

    @property
    def pid(self) -> int | None:
        """The worker's process id, None when it does not run."""
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._child.running

    @property
    def exit_code(self) -> int | None:
        """How it ended (negative: the signal); None while it runs."""
        return self._child.exit_code

    def start(self) -> Self:
        """Start the process; ``wait_ready`` waits for it. Raises LocalStackError."""
        command = [sys.executable, "-m", "streamrec", "worker", "--roles", ",".join(self.roles)]
        self._child.start(command, self._environment)
        return self

    def wait_ready(self, timeout_s: float = 60.0) -> Self:
        """Return when the worker's heartbeat says that it is ready. Raises LocalStackError with the end of its log."""
        url = self._environment.get("STREAMREC_REDIS__URL")
        if not url:
            msg = "the worker's environment has no STREAMREC_REDIS__URL to look for its heartbeat; pass LocalStack.environment()"
            raise LocalStackError(msg)
        with redis.Redis.from_url(url, socket_timeout=5.0) as client:
            self._child.wait_until(lambda: self._is_ready(client), timeout_s, "ready")
        return self

    def _is_ready(self, client: redis.Redis) -> bool:
        try:
            names = list(client.scan_iter(match=keys.worker("*"), count=1000))
            return any(_says_ready(value, self.pid) for value in (client.mget(names) if names else []))
        except redis.RedisError:
            return False  # Redis may be starting again; the time limit decides

    def stop(self, timeout_s: float = 20.0) -> int | None:
        """Ask the worker to finish (SIGTERM), kill it after ``timeout_s``, and return its exit code."""
        return self._child.stop(timeout_s)

    def kill(self) -> int | None:
        """End the worker at once (SIGKILL), as a crash would."""
        return self._child.kill()

    def log_tail(self) -> str:
        """Return the last lines of its log."""
        return self._child.log_tail()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def _says_ready(value: bytes | str | None, pid: int | None) -> bool:
    if value is None or pid is None:
        return False
    try:
        heartbeat = msgspec.json.decode(value, type=_Heartbeat)
    except msgspec.MsgspecError:
        return False
    return heartbeat.ready and heartbeat.pid == pid
