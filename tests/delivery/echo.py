"""A worker with one pipeline whose effect is a line per record in a journal: the transport alone, as a process of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import faust

from streamrec.clock import SystemClock
from streamrec.config import Settings
from streamrec.events import Click
from streamrec.events.topics import CLICKS
from streamrec.lists.connection import connect
from streamrec.observe import Silence
from streamrec.observing import configure_logging
from workers.app import App
from workers.parts import Parts
from workers.ports import free_port
from workers.transport.batch import Record
from workers.transport.producer import Producer

#: What a handler does, per record and once; how wrong the worker's clock goes. ``ECHO_JOURNAL`` names the file.
DELAY_US, STALL_S, CLOCK_MS = (int(os.environ.get(f"ECHO_{name}", "0")) for name in ("DELAY_US", "STALL_S", "CLOCK_MS"))
#: The key that the handler cannot bear.
POISON = "poison"


class Journal(Silence):
    """Appends lines, each batch at once, so that a kill leaves no half of one; rebalances and pauses are lines with a ``!``."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(self, lines: Sequence[str]) -> None:
        os.write(self._file, "".join(f"{line}\n" for line in lines).encode())

    def count(self, name: str, kind: str, n: int = 1) -> None:
        if name == "rebalances":
            self.write([f"! {os.getpid()} {kind}"])


class WrongClock(SystemClock):
    """Goes ahead or behind."""

    def now_ms(self) -> int:
        return super().now_ms() + CLOCK_MS


def main() -> None:
    """Read clicks as the group ``<prefix>.echo`` until SIGTERM."""
    settings = Settings.load()
    configure_logging(settings.log_level, settings.log_format)
    journal, stall = Journal(Path(os.environ["ECHO_JOURNAL"])), [STALL_S]

    def handle(records: Sequence[Record]) -> None:
        if any(record.key == POISON for record in records):
            raise ValueError("cannot bear it")
        if stall[0]:
            time.sleep(stall.pop(0))
            stall.append(0)
        time.sleep(DELAY_US * len(records) / 1e6)
        ids = [record.value.event_id if isinstance(record.value, Click) else "" for record in records]
        journal.write(
            [f"{os.getpid()} {r.partition} {r.offset} {r.key} {event_id}" for r, event_id in zip(records, ids, strict=True)]
        )

    app = App("echo", settings.web, free_port(settings.web.host))
    parts = Parts(app, settings, WrongClock(), journal, connect(settings.redis), Producer(settings.kafka))
    app.add([parts.group("echo", [CLICKS], handle, ThreadPoolExecutor(1))])
    worker = faust.Worker(app, loglevel=settings.log_level, quiet=True, redirect_stdouts=False, override_logging=False)
    worker.spinner = None
    worker.execute_from_commandline()


if __name__ == "__main__":
    main()
