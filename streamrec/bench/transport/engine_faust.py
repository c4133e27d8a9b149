"""A stock Faust agent: its own Kafka client, one event after another, its Cython streams, no tables, no web server."""

from __future__ import annotations

import sys
import time

import faust
from faust.types import StreamT

from streamrec.bench.transport.tally import TOPIC, Tally, job
from streamrec.events import decode


class _App(faust.App):
    def _create_directories(self) -> None:
        """Create none: without tables there is nothing to keep on disk."""


def main() -> None:
    """Run the worker until the job is done."""
    task = job()
    tally = Tally(task, ("faust-streaming", "aiokafka"))
    app = _App(
        task.group,
        broker=f"kafka://{task.bootstrap}",
        store="memory://",
        autodiscover=False,
        topic_disable_leader=True,
        web_enabled=False,
        datadir="/dev/null/streamrec",
        consumer_auto_offset_reset="earliest",
        # Measured: waiting for the buffer to run empty, and checking CRCs in Python, cost without a use here.
        stream_wait_empty=False,
        broker_check_crcs=False,
    )
    topic = app.topic(TOPIC, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")

    @app.agent(topic)
    async def handle(stream: StreamT[bytes]) -> None:
        async for key, value in stream.items():
            decode(TOPIC, key, value, time.time_ns() // 1_000_000)
            tally.count(1)

    worker = faust.Worker(app, loglevel="ERROR", quiet=True, redirect_stdouts=False)
    worker.spinner = None
    sys.exit(worker.execute_from_commandline())


if __name__ == "__main__":
    main()
