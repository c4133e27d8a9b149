"""Asks Kafka, beside the readers, whether it answers and where the ends of partitions are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # OffsetSpec is exported all the same
    AdminClient,
    OffsetSpec,
)

from workers.transport.client import common
from workers.transport.refusal import Refusal, unavailable

if TYPE_CHECKING:
    from collections.abc import Collection

    from streamrec.config import KafkaSettings
    from workers.transport.batch import Place


class BrokerProbe:
    """A connection of its own: a reader that fetches nothing sees neither that its broker is away nor that its partitions grow."""

    def __init__(self, kafka: KafkaSettings, timeout_s: float) -> None:
        self._kafka = kafka
        self._timeout_s = timeout_s
        self._refusal = Refusal(kafka, silent=True)
        # Its readers' and producers' clients log the same troubles.
        quiet: Any = {"log_level": 0, "error_cb": self._refusal}
        self._client = AdminClient(common(kafka) | quiet)

    def ends(self, places: Collection[Place]) -> dict[Place, int]:
        """Return the ends of these partitions, of those that the broker knows; without any only ask whether it answers.

        Raises BrokerUnavailable.
        """
        self._client.poll(0)
        try:
            return self._ends(places) if places else self._answers()
        except KafkaException as error:
            raise unavailable(self._kafka, error.args[0], self._refusal) from error

    def _answers(self) -> dict[Place, int]:
        self._client.list_topics(timeout=self._timeout_s)
        return {}

    def _ends(self, places: Collection[Place]) -> dict[Place, int]:
        latest: Any = OffsetSpec.latest  # not typed by its authors
        wanted = {TopicPartition(topic, number): latest() for topic, number in sorted(places)}
        ends: dict[Place, int] = {}
        trouble = KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001 - librdkafka's own name
        answered = False
        for place, future in self._client.list_offsets(wanted, request_timeout=self._timeout_s).items():
            try:
                end = future.result(timeout=2 * self._timeout_s).offset
            except KafkaException as error:
                # Above zero are the broker's own words: a leader that moves is no broker that is away.
                trouble, answered = error, answered or error.args[0].code() > 0
            else:
                if end >= 0:  # a request that timed out succeeds, with an offset that is none
                    ends[place.topic, place.partition] = end
        if not ends and not answered:
            raise trouble
        return ends
