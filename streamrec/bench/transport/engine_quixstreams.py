"""Quix Streams: bytes in, so that nothing is decoded twice, no changelog, no state, its own commits."""

from __future__ import annotations

import time
from typing import Any

from quixstreams import Application

from streamrec.bench.transport.tally import FETCH, TOPIC, Tally, job
from streamrec.events import decode


def main() -> None:
    """Run a dataframe of one step until the job is done."""
    task = job()
    tally = Tally(task, ("quixstreams", "confluent-kafka"))
    app = Application(
        broker_address=task.bootstrap,
        consumer_group=task.group,
        auto_offset_reset="earliest",
        auto_create_topics=False,
        use_changelog_topics=False,
        consumer_extra_config=dict(FETCH),
        loglevel="ERROR",
    )

    def handle(value: bytes, key: bytes, _timestamp: int, _headers: Any) -> None:
        decode(TOPIC, key, value, time.time_ns() // 1_000_000)
        tally.count(1)

    frame = app.dataframe(app.topic(TOPIC, value_deserializer="bytes", key_deserializer="bytes"))
    frame.update(handle, metadata=True)
    app.run()


if __name__ == "__main__":
    main()
