"""Creating topics and looking at them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from streamrec.errors import BrokerUnavailable
from streamrec.events.topics import TOPICS
from workers.transport.client import common
from workers.transport.refusal import Refusal, unavailable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from streamrec.config import KafkaSettings

TIMEOUT_S = 15.0
#: Who looks for the end of a partition waits in vain for what comes behind it.
_END_WAIT_MS = 20
#: After so long without an answer we look whether the broker said why.
STEP_S = 1.0
#: A topic that a user may not see is, for that user, not there.
UNSEEN = "shows us no topic"
CREATE = "run `streamrec topics create`, or give this user the rights of its role (deploy/acl/kafka.acl)"


def _client(kafka: KafkaSettings, refusal: Refusal) -> AdminClient:
    # The client's own log lines would repeat, on stderr, what the raised error says once.
    quiet: Any = {"log_level": 0, "error_cb": refusal}
    return AdminClient(common(kafka) | quiet)


def partitions(kafka: KafkaSettings) -> dict[str, int]:
    """Return the number of partitions of every topic that the broker knows.

    Raises BrokerUnavailable.
    """
    refusal = Refusal(kafka, silent=True)
    client, deadline = _client(kafka, refusal), time.monotonic() + TIMEOUT_S
    while True:
        try:
            metadata = client.list_topics(timeout=STEP_S)
            break
        except KafkaException as error:
            client.poll(0)  # now it tells why
            if refusal.final or time.monotonic() > deadline:
                raise unavailable(kafka, error.args[0], refusal) from error
    return {name: len(topic.partitions) for name, topic in metadata.topics.items() if topic.error is None}


def partitions_of(kafka: KafkaSettings, topics: Collection[str]) -> dict[str, int]:
    """Return the number of partitions of each of these topics.

    Raises BrokerUnavailable, also where the broker shows us one of them not.
    """
    counts = partitions(kafka)
    if missing := sorted(set(topics) - counts.keys()):
        raise BrokerUnavailable(f"Kafka at {kafka.bootstrap} {UNSEEN} {', '.join(missing)}; {CREATE}")
    return {topic: counts[topic] for topic in topics}


def ensure_topics(
    kafka: KafkaSettings, partitions: int | None = None, replication_factor: int | None = None
) -> dict[str, Literal["created", "exists"]]:
    """Create the topics of ``topics.toml`` that are missing; leave the others as they are.

    ``partitions`` and ``replication_factor`` override the file, except for topics that the file gives one partition.

    Raises BrokerUnavailable.
    """
    wanted = [
        NewTopic(
            topic.name,
            num_partitions=topic.partitions if partitions is None or topic.partitions == 1 else partitions,
            replication_factor=replication_factor or topic.replication_factor,
            config=topic.kafka_config(),
        )
        for topic in TOPICS.values()
    ]
    outcome: dict[str, Literal["created", "exists"]] = {}
    refusal = Refusal(kafka, silent=True)
    client = _client(kafka, refusal)  # kept in a name: its futures fail when the client is collected
    for name, future in client.create_topics(wanted, operation_timeout=TIMEOUT_S, request_timeout=TIMEOUT_S).items():
        try:
            future.result(timeout=2 * TIMEOUT_S)
            outcome[name] = "created"
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise unavailable(kafka, error.args[0], refusal) from error
            outcome[name] = "exists"
    return outcome


def end_offsets(kafka: KafkaSettings, topics: Iterable[str]) -> dict[tuple[str, int], int]:
    """Return the offset that each partition's next message will get. Raises BrokerUnavailable."""
    return {place: end for place, (_, end) in bounds(kafka, topics).items()}


def bounds(kafka: KafkaSettings, topics: Iterable[str]) -> dict[tuple[str, int], tuple[int, int]]:
    """Return each partition's first offset and the one that its next message will get.

    Asked of a fetch and not of ListOffsets alone: the embedded broker answers that one with the start of its last batch.

    Raises BrokerUnavailable.
    """
    counts = partitions(kafka)
    wanted = [TopicPartition(topic, number) for topic in topics for number in range(counts.get(topic, 0))]
    refusal = Refusal(kafka, silent=True)
    settings: dict[str, Any] = {
        "group.id": f"{kafka.group_prefix}.look",
        "enable.partition.eof": True,
        "log_level": 0,
        "error_cb": refusal,
    }
    reader = Consumer(common(kafka) | settings | {"enable.auto.commit": False, "fetch.wait.max.ms": _END_WAIT_MS})
    firsts: dict[tuple[str, int], int] = {}
    ends: dict[tuple[str, int], int] = {}
    try:
        for place in wanted:
            firsts[place.topic, place.partition], place.offset = reader.get_watermark_offsets(place, timeout=TIMEOUT_S)
        reader.assign(wanted)
        while len(ends) < len(wanted):
            message = reader.poll(TIMEOUT_S)
            error = KafkaError(KafkaError._TIMED_OUT) if message is None else message.error()  # noqa: SLF001
            if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own names
                raise unavailable(kafka, error, refusal)
            if message is not None and error is not None:
                ends[message.topic() or "", message.partition() or 0] = message.offset() or 0
    except KafkaException as error:
        raise unavailable(kafka, error.args[0], refusal) from error
    else:
        return {place: (firsts[place], end) for place, end in ends.items()}
    finally:
        reader.close()


def identities(kafka: KafkaSettings, topics: Collection[str]) -> tuple[str, dict[str, str]]:
    """Return the id of the cluster and of each topic; a topic that is made anew gets another one.

    Brokers older than Apache Kafka 2.8 give all topics one id. Raises BrokerUnavailable.
    """
    partitions_of(kafka, topics)  # waits for a broker that is not there yet, and says why it would not have us
    refusal = Refusal(kafka, silent=True)
    client = _client(kafka, refusal)
    try:
        cluster = client.list_topics(timeout=TIMEOUT_S).cluster_id or ""
        found = client.describe_topics(TopicCollection(list(topics)), request_timeout=TIMEOUT_S)
        return cluster, {topic: str(future.result(timeout=2 * TIMEOUT_S).topic_id) for topic, future in found.items()}
    except KafkaException as error:
        raise unavailable(kafka, error.args[0], refusal) from error


def lag(kafka: KafkaSettings, group: str, topics: Iterable[str]) -> Mapping[tuple[str, int], int]:
    """Return, per topic and partition, how many messages the group has not yet committed.

    Raises BrokerUnavailable.
    """
    ends = end_offsets(kafka, topics)
    refusal = Refusal(kafka, silent=True)
    client = _client(kafka, refusal)
    request = ConsumerGroupTopicPartitions(group, [TopicPartition(*place) for place in ends])
    try:
        committed = client.list_consumer_group_offsets([request])[group].result(timeout=TIMEOUT_S).topic_partitions
    except KafkaException as error:
        raise unavailable(kafka, error.args[0], refusal) from error
    done = {(place.topic, place.partition): max(place.offset, 0) for place in committed or ()}
    return {place: max(end - done.get(place, 0), 0) for place, end in ends.items()}
