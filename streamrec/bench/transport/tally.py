"""What every engine is given: a job, and a handler that does nothing but count. Runs in the peers' environment too."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import msgspec

TOPIC: Final = "events.clicks"
#: What every engine on librdkafka is given, ours too: with its default, a client that found its queue full sleeps for a second,
#: and a fast handler finds nothing to do meanwhile. It made peers up to five times slower.
FETCH: Final[dict[str, str | int]] = {"fetch.queue.backoff.ms": 20}
#: Latencies of so long are left out: what was produced while the engine was starting has waited for it.
_WARM_UP_S: Final = 1.0


class Job(msgspec.Struct, frozen=True):
    """What one engine has to do; it is its process's one argument, as JSON."""

    bootstrap: str
    group: str
    #: The engine has done its work when its handler has seen so many messages.
    messages: int
    #: Where the result goes.
    result: str
    #: A way of doing it, where an engine has several.
    way: str = ""
    #: Measure how old each event is when the handler sees it, instead of how many there are per second.
    latency: bool = False


class Result(msgspec.Struct, frozen=True):
    """What one engine did."""

    messages: int
    per_s: float
    #: Processor time of all threads per message, microseconds; a busy machine changes it less than it changes ``per_s``.
    cpu_us: float
    #: The largest memory that the process had, MiB.
    rss_mb: float
    versions: dict[str, str]
    #: Milliseconds from produced to handler, where latency was measured.
    ages_ms: tuple[float, ...] = ()


def job() -> Job:
    """Return this process's job."""
    return msgspec.json.decode(sys.argv[1], type=Job)


class Tally:
    """The handler: counts from the first message on, and writes the result when it has seen all; then ``done`` is called.

    Messages that come together with the first one are not counted: the time of their way here was not measured.
    """

    def __init__(self, task: Job, packages: tuple[str, ...], done: Callable[[], object] = lambda: os._exit(0)) -> None:
        self._job = task
        self._packages = packages
        self._done = done
        self._begun = self._cpu_begun = 0.0
        self._uncounted = 0
        self._ages: list[float] = []
        self.seen = 0

    def count(self, n: int) -> None:
        """Take ``n`` messages; those beyond the job's number are not looked at."""
        if self._begun == 0.0:
            self._begun, self._cpu_begun, self._uncounted = time.perf_counter(), time.process_time(), n
        before, self.seen = self.seen, self.seen + n
        if before < self._job.messages <= self.seen:
            self._write(time.perf_counter() - self._begun)

    def arrived(self, produced_ns: int) -> None:
        """Take one message of a latency run."""
        now_ns = time.time_ns()
        self._begun = self._begun or time.perf_counter()
        if time.perf_counter() - self._begun < _WARM_UP_S or len(self._ages) >= self._job.messages:
            return
        self._ages.append((now_ns - produced_ns) / 1e6)
        if len(self._ages) == self._job.messages:
            self._write(time.perf_counter() - self._begun)

    def _write(self, seconds: float) -> None:
        counted = self.seen - self._uncounted
        result = Result(
            messages=self.seen or len(self._ages),
            per_s=counted / seconds,
            cpu_us=(time.process_time() - self._cpu_begun) / counted * 1e6 if counted else 0.0,
            rss_mb=_largest_rss_mb(),
            versions={"python": sys.version.split()[0]} | {name: _version(name) for name in self._packages},
            ages_ms=tuple(self._ages),
        )
        unfinished = Path(self._job.result + ".part")
        unfinished.write_text(json.dumps(msgspec.to_builtins(result)), encoding="utf-8")
        unfinished.rename(self._job.result)
        self._done()


def _largest_rss_mb() -> float:
    status = Path("/proc/self/status")
    if status.is_file():
        [kib] = [line.split()[1] for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM:")]
        return int(kib) / 1024
    # Elsewhere, with what the process was before it became this program.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
