"""One child process: started on a leash, awaited, stopped, killed, always reaped."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from streamrec.errors import LocalStackError
from streamrec.local.spawner import spawn

_POLL_S: Final = 0.02
_LOG_TAIL_BYTES: Final = 4000


class Child:
    """A process that is ours; ``name`` stands in error messages."""

    def __init__(self, name: str, log_path: Path) -> None:
        self.name = name
        self.log_path = log_path
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs, else None."""
        return self._process.pid if self._process is not None and self.running else None

    @property
    def running(self) -> bool:
        """Whether the process was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """How the last process ended (negative: the signal); None while it runs or before the first start."""
        return None if self._process is None else self._process.poll()

    def start(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """Start the process; ``environment`` is added to ours. Raises LocalStackError."""
        if self.running:
            msg = f"{self.name} is already running as process {self.pid}; stop it first"
            raise LocalStackError(msg)
        try:
            self._process = spawn(command, {**os.environ, **(environment or {})}, self.log_path)
        except OSError as error:
            msg = f"{self.name} cannot be started ({error}); check that {command[0]} may be executed and its log folder exists"
            raise LocalStackError(msg) from error

    def wait_until(self, ready: Callable[[], bool], timeout_s: float, what: str) -> None:
        """Return when ``ready()`` is true. Raises LocalStackError with the end of the log if it ends or time runs out."""
        deadline = time.monotonic() + timeout_s
        while not ready():
            if not self.running:
                msg = f"{self.name} ended with code {self.exit_code} before {what}; its log says:\n{self.log_tail()}"
                raise LocalStackError(msg)
            if time.monotonic() > deadline:
                msg = f"{self.name}: not {what} after {timeout_s:g} s; give it longer or read its log:\n{self.log_tail()}"
                raise LocalStackError(msg)
            time.sleep(_POLL_S)

    def log_tail(self) -> str:
        """Return the last lines of the log."""
        if not self.log_path.is_file():
            return "(no log)"
        with self.log_path.open("rb") as log:
            log.seek(max(0, self.log_path.stat().st_size - _LOG_TAIL_BYTES))
            return log.read().decode(errors="replace").strip() or "(the log is empty)"

    def stop(self, timeout_s: float = 10.0) -> int | None:
        """Ask the process to end, kill it if it does not within ``timeout_s``, and return its exit code."""
        return self._end(signal.SIGTERM, timeout_s)

    def kill(self) -> int | None:
        """End the process at once (SIGKILL) and return its exit code."""
        return self._end(signal.SIGKILL, 10.0)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process, if it runs."""
        if self._process is not None:
            self._process.send_signal(number)  # does nothing if it has ended

    def _end(self, how: signal.Signals, timeout_s: float) -> int | None:
        if self._process is None:
            return None
        self._process.send_signal(how)  # does nothing if it has ended
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
