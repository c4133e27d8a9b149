"""Starts children from one thread that lives as long as the process.

The kernel's parent-death signal fires when the *thread* that forked ends. A child started from a short-lived thread would be
killed in the middle of its work.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from queue import SimpleQueue
from typing import Final

_LEASH: Final = Path(__file__).with_name("leash.py")


class _Request:
    """One child to be started, and the promise of it."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log_path: Path) -> None:
        self.command = command
        self.environment = environment
        self.log_path = log_path
        self.result: Future[subprocess.Popen[bytes]] = Future()

    def fulfil(self) -> None:
        try:
            self.result.set_result(self._start())
        except OSError as error:
            self.result.set_exception(error)

    def _start(self) -> subprocess.Popen[bytes]:
        leashed = [sys.executable, "-I", "-S", str(_LEASH), str(os.getpid()), *self.command]
        with self.log_path.open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - callers give programs and arguments of this package
                leashed,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(self.environment),
                # A session of its own: Ctrl-C reaches the parent only, which then stops its children in order.
                start_new_session=True,
            )


class _Spawner:
    """The thread, made at first use and again after a fork of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pid = 0
        self._requests: SimpleQueue[_Request] = SimpleQueue()

    def submit(self, request: _Request) -> None:
        with self._lock:
            if self._pid != os.getpid():
                self._pid = os.getpid()
                self._requests = SimpleQueue()
                threading.Thread(target=self._serve, args=(self._requests,), name="streamrec-spawner", daemon=True).start()
        self._requests.put(request)

    @staticmethod
    def _serve(requests: SimpleQueue[_Request]) -> None:
        while True:
            requests.get().fulfil()


_spawner: Final = _Spawner()


def spawn(command: Sequence[str], environment: Mapping[str, str], log_path: Path) -> subprocess.Popen[bytes]:
    """Start ``command`` (an absolute program path first) so that it is killed when this process ends, however that happens.

    Its output is appended to ``log_path``. Raises OSError.
    """
    request = _Request(command, environment, log_path)
    _spawner.submit(request)
    return request.result.result()
