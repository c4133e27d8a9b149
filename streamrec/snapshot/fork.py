"""Work on a copy of this process, as Redis saves its data: the copy shares all memory that neither side changes.

The child has one thread, the one that forked. Locks that other threads held are held there for ever, so its work must not log,
import, start threads or talk to anybody; it writes files.
"""

from __future__ import annotations

import gc
import os
import signal
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

#: Of what went wrong, so much is passed on; a pipe takes it without a reader.
_MAX_WORDS: Final = 2000
_FAILED: Final = 1
#: The worker goes first: a child that takes twice as long harms nobody.
_NICE: Final = 10
_STDERR: Final = 2


@dataclass(frozen=True, slots=True)
class Ended:
    """How a child ended: ``error`` is empty where its work is done."""

    error: str


class Child:
    """A copy of this process at work; it ends by itself after at most ``timeout_s``, also when its parent is gone."""

    def __init__(self, work: Callable[[], object], timeout_s: int, keep: int) -> None:
        """Fork; the calling thread is stopped for as long as the page tables take to copy.

        Of all files and sockets the child keeps ``keep`` alone.
        """
        self._words, telling = os.pipe()
        self._timeout_s = timeout_s
        self.pid = _fork()
        if self.pid == 0:
            _run(work, timeout_s, keep, telling)
        os.close(telling)

    def poll(self) -> Ended | None:
        """Return how it ended, None while it works; after that it must not be asked again."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid == 0:
            return None
        words = os.read(self._words, _MAX_WORDS).decode(errors="replace")
        os.close(self._words)
        return Ended(self._said(os.waitstatus_to_exitcode(status), words))

    def _said(self, code: int, words: str) -> str:
        if code == 0:
            return ""
        if code == -signal.SIGALRM:
            return f"took longer than {self._timeout_s} s"
        return words or f"ended with status {code}"


def _fork() -> int:
    """Fork without collecting garbage in the child: a consumer that is collected there would wait for threads that it lacks."""
    collects = gc.isenabled()
    pid = -1
    gc.disable()
    try:
        with warnings.catch_warnings():
            # Python 3.12 warns of every fork beside threads; the child does nothing that their locks could stop, see above.
            warnings.filterwarnings("ignore", message=".*multi-threaded.*fork", category=DeprecationWarning)
            pid = os.fork()
    finally:
        if collects and pid != 0:
            gc.enable()
    return pid


def _run(work: Callable[[], object], timeout_s: int, keep: int, telling: int) -> None:
    """Be the child; never returns."""
    code = _FAILED
    try:
        _be_alone(timeout_s, {keep, telling})
        work()
        code = 0
    except BaseException as error:  # noqa: BLE001 - whatever it is, the worker's own code must not go on in here
        os.write(telling, f"{type(error).__name__}: {error}".encode()[:_MAX_WORDS])
    finally:
        os._exit(code)


def _be_alone(timeout_s: int, keep: set[int]) -> None:
    """Let go of what is the parent's: its signals, its sockets (a worker that starts anew wants the port), its priority."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    signal.alarm(timeout_s)
    for opened in map(int, os.listdir("/dev/fd")):  # noqa: PTH208 - numbers, not paths
        if opened > _STDERR and opened not in keep:
            os.closerange(opened, opened + 1)  # and not close: the listing's own is closed already
    os.nice(_NICE)
