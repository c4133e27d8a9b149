"""Bytewax: its Kafka source with its batches, decoded in ``flat_map_batch``; without recovery, where alone it keeps offsets."""

from __future__ import annotations

import time
from typing import Any

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.run import cli_main

from streamrec.bench.transport.tally import FETCH, TOPIC, Tally, job
from streamrec.events import Message, decode, decode_many


class _Counting(StatelessSinkPartition[Any]):  # type: ignore[misc]  # not installed where types are checked
    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def write_batch(self, items: list[Any]) -> None:
        self._tally.count(len(items))


class _Sink(DynamicSink[Any]):  # type: ignore[misc]  # the same
    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def build(self, _step_id: str, _worker_index: int, _worker_count: int) -> _Counting:
        return _Counting(self._tally)


def _one_by_one(messages: list[Any]) -> list[Message]:
    now_ms = time.time_ns() // 1_000_000
    return [decode(TOPIC, message.key, message.value, now_ms) for message in messages]


def _at_once(messages: list[Any]) -> list[Any]:
    now_ms = time.time_ns() // 1_000_000
    decoded = decode_many(TOPIC, [message.key for message in messages], [message.value for message in messages], now_ms)
    assert decoded is not None
    return decoded[1]


def main() -> None:
    """Run the dataflow until the job is done."""
    task = job()
    tally = Tally(task, ("bytewax", "confluent-kafka"))
    flow = Dataflow("bench")
    messages = op.input("clicks", flow, KafkaSource([task.bootstrap], [TOPIC], add_config=dict(FETCH), batch_size=1000))
    decoded = op.flat_map_batch("decode", messages, _at_once if task.way == "at_once" else _one_by_one)
    op.output("count", decoded, _Sink(tally))
    cli_main(flow)


if __name__ == "__main__":
    main()
