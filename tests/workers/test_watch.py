"""The watch: who answers, for how long nobody did, and what Kafka says of the ends of partitions."""

from __future__ import annotations

import asyncio
import threading

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from structlog.testing import capture_logs

from streamrec.config import KafkaSettings
from streamrec.errors import BrokerUnavailable, StoreUnavailable
from streamrec.events.topics import PAIRS
from streamrec.local import LocalStack
from tests.integration.shop import await_until
from tests.workers.roles import FakePipeline, FakeReader, behind, role
from workers.transport.admin import ensure_topics, partitions
from workers.transport.probe import BrokerProbe
from workers.transport.producer import Producer
from workers.watch import Dependency, Watch, watch


def test_only_a_change_is_told_in_the_log() -> None:
    answers = iter([None, "away", "away", None, None])

    def ask() -> None:
        if trouble := next(answers):
            raise StoreUnavailable(trouble)

    one = Dependency("redis", ask)
    with capture_logs() as lines:
        for _ in range(5):
            one.look()
    assert [line["event"] for line in lines] == ["does not answer", "answers again"]
    assert one.trouble == ""


async def test_one_who_hangs_holds_up_neither_the_others_nor_the_end() -> None:
    free, looks = threading.Event(), 0

    def hang() -> None:
        free.wait(60)

    def count() -> None:
        nonlocal looks
        looks += 1

    hanging, answering = Dependency("kafka", hang), Dependency("redis", count)
    async with Watch([hanging, answering], 0.001):
        async with asyncio.timeout(30):
            while looks < 3:
                await asyncio.sleep(0.001)
        assert hanging.answered_at is None
        assert answering.answered_at is not None
    free.set()


def test_a_probe_of_a_broker_that_is_not_there_says_what_to_do() -> None:
    probe = BrokerProbe(KafkaSettings(bootstrap="127.0.0.1:1"), 0.2)
    for places in ([], [("items.stock", 0)]):
        with pytest.raises(BrokerUnavailable, match="streamrec doctor"):
            probe.ends(places)


@pytest.mark.integration
def test_what_a_reader_does_not_fetch_is_seen_all_the_same(stack: LocalStack) -> None:
    kafka = KafkaSettings(bootstrap=stack.broker.bootstrap)
    ensure_topics(kafka, partitions=4)
    places = [(PAIRS, number) for number in range(partitions(kafka)[PAIRS])]
    probe = BrokerProbe(kafka, 5.0)
    assert probe.ends([]) == {}
    await_until(lambda: probe.ends(places).keys() == set(places), "a leader of each partition")
    before = probe.ends(places)
    with Producer(kafka) as producer:
        for number in range(40):
            producer.send(PAIRS, f"k{number}", b"?")
            producer.flush()  # each a batch of its own: the embedded broker tells the start of the last batch
    assert sum(probe.ends(places).values()) >= sum(before.values()) + 40 - len(places)
    assert probe.ends([(PAIRS, 0), ("no.such.topic", 0)]).keys() <= {(PAIRS, 0)}


@pytest.mark.integration
async def test_a_worker_watches_kafka_and_redis_and_tells_the_readers_backlogs(stack: LocalStack) -> None:
    kafka = KafkaSettings(bootstrap=stack.broker.bootstrap)
    ensure_topics(kafka, partitions=4)
    with Producer(kafka) as producer:
        for _ in range(3):
            producer.send(PAIRS, "k", b"?")
            producer.flush()
    probe = BrokerProbe(kafka, 5.0)
    ends = await_until(lambda: {p: end for p, end in probe.ends([(PAIRS, n) for n in range(4)]).items() if end > 1}, "an end")
    place = next(iter(ends))
    reader = FakeReader(backlog=behind({}))
    reader.backlog.look(place, 0, 0, 0.0)
    with redis.Redis(port=1, retry=Retry(NoBackoff(), 0)) as nowhere:
        watching = watch(nowhere, probe, [role("a", FakePipeline(reader))], 0.01)
        async with watching:
            await asyncio.to_thread(await_until, lambda: reader.backlog.records[place], "the end that Kafka told")
            answered = {one.name: one.answered_at is not None for one in watching.dependencies}
    assert answered == {"kafka": True, "redis": False}
