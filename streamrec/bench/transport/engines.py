"""The engines: where each one runs, how it is set, and one run of one as a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from streamrec.bench.transport.tally import Job, Result
from streamrec.errors import LocalStackError
from streamrec.local.child import Child

_REPOSITORY: Final = Path(__file__).parents[3]
_TIMEOUT_S: Final = 120.0
_POLL_S: Final = 0.05


@dataclass(frozen=True)
class Engine:
    """One way of bringing clicks from Kafka to a handler."""

    name: str
    #: The module ``streamrec.bench.transport.engine_<module>``.
    module: str
    #: How it is set, in words.
    settings: str
    way: str = ""
    #: The package that it needs in the peers' environment; empty: it runs in ours.
    package: str = ""
    #: At most so many messages: a slow engine needs fewer for a figure, and all of them would take minutes.
    most: int = 1_000_000_000


_PREFETCH: Final = "librdkafka's defaults with fetch.queue.backoff.ms 20"

ENGINES: Final = (
    Engine("streamrec", "streamrec", "as its workers run: batches of 1,000 at most, validation, metrics, commits every 200 ms"),
    Engine("raw", "raw", f"consume(1000), then decode one by one; no commits; {_PREFETCH}", way="decoded"),
    Engine("raw_at_once", "raw", "as raw, with our decode_many on each consume", way="decoded_at_once"),
    Engine("raw_undecoded", "raw", "as raw, nothing decoded", way="undecoded"),
    Engine(
        "quixstreams",
        "quixstreams",
        f"bytes deserializers, no changelog, no state, one update(); its default commits (5 s); {_PREFETCH}",
        package="quixstreams",
    ),
    Engine(
        "bytewax",
        "bytewax",
        f"KafkaSource batch_size 1000, decode in flat_map_batch, recovery off (so no commits), one worker; {_PREFETCH}",
        way="one_by_one",
        package="bytewax",
    ),
    Engine("bytewax_at_once", "bytewax", "as bytewax, with our decode_many in flat_map_batch", way="at_once", package="bytewax"),
    Engine(
        "faust",
        "faust",
        "a stock agent, async for, Cython streams, raw serializers, no tables, no web server, no leader, no CRC checks",
        most=50_000,
    ),
)


def default_peers_python() -> Path:
    """Return where `make bench-peers` puts the peers' interpreter: beside the environment that this one runs in."""
    return Path(sys.prefix).parent / ".venv-peers" / "bin" / "python"


def missing(python: Path) -> dict[str, str]:
    """Return, per engine that cannot run, what to do about it."""
    absent: dict[str, str] = {}
    for package in {engine.package for engine in ENGINES if engine.package}:
        code = f"import msgspec, {package}"
        found = python.is_file() and not subprocess.run([python, "-c", code], capture_output=True, check=False).returncode  # noqa: S603 - names of ours
        if not found:
            what = f"{package} is not installed for {python}; run `make bench-peers`, or give --peers-python"
            absent |= {engine.name: what for engine in ENGINES if engine.package == package}
    return absent


def run_engine(engine: Engine, bootstrap: str, messages: int, folder: Path, python: Path, *, latency: bool = False) -> Result:
    """Have one engine, in a process of its own, handle ``messages`` from the topic's beginning.

    Raises LocalStackError with the end of its output where it fails or takes longer than two minutes.
    """
    name = f"{engine.name}-{uuid.uuid4().hex[:8]}"
    result = folder / f"{name}.json"
    # The group is a new one each time: nobody has read anything yet.
    job = Job(bootstrap, f"bench-{name}", messages, str(result), engine.way, latency)
    child = Child(f"the engine {engine.name}", folder / f"{name}.log")
    program = [str(python if engine.package else Path(sys.executable)), "-m", f"streamrec.bench.transport.engine_{engine.module}"]
    child.start([*program, msgspec.json.encode(job).decode()], {"PYTHONPATH": str(_REPOSITORY)})
    try:
        deadline = time.monotonic() + _TIMEOUT_S
        while child.running and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        if not result.is_file():
            msg = f"{child.name} brought no result within {_TIMEOUT_S:.0f} s; its output ends with:\n{child.log_tail()}"
            raise LocalStackError(msg)
        return msgspec.json.decode(result.read_bytes(), type=Result)
    finally:
        child.kill()
