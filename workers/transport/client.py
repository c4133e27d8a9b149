"""Settings of streamrec → settings of librdkafka; the only place that knows its names."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaError, KafkaException

if TYPE_CHECKING:
    from streamrec.config import KafkaSettings

#: Where librdkafka's own lines go: left alone it writes them to stderr in a form of its own.
LIBRARY_LOG: Final = logging.getLogger("librdkafka")


def common(kafka: KafkaSettings) -> dict[str, str | int | float | bool]:
    """Return what producers, consumers and admin clients share: addresses and credentials."""
    config: dict[str, str | int | float | bool] = {
        "bootstrap.servers": kafka.bootstrap,
        "security.protocol": kafka.security_protocol,
    }
    if kafka.sasl_mechanism:
        config["sasl.mechanism"] = kafka.sasl_mechanism
    if kafka.sasl_username:
        config["sasl.username"] = kafka.sasl_username
        config["sasl.password"] = kafka.sasl_password.get_secret_value()
    if kafka.ssl_ca_location:
        config["ssl.ca.location"] = kafka.ssl_ca_location
    # Brokers close idle connections and librdkafka opens them again; a line on stderr for each would only frighten.
    config["log.connection.close"] = False
    return config | kafka.extra


def reader(kafka: KafkaSettings, group: str) -> dict[str, str | int | float | bool]:
    """Return a consumer's settings: offsets by hand, small waits, bounded memory."""
    return common(kafka) | {
        "group.id": group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        "session.timeout.ms": kafka.session_timeout_ms,
        "heartbeat.interval.ms": max(kafka.session_timeout_ms // 4, 100),
        # Workers poll while their handlers work, so silence for so long means that the process hangs.
        "max.poll.interval.ms": max(kafka.session_timeout_ms, 300_000),
        "fetch.wait.max.ms": kafka.fetch_wait_max_ms,
        # A consumer that found nothing asks again at once: half a second of back-off would be half a second of staleness.
        "fetch.queue.backoff.ms": kafka.fetch_wait_max_ms,
        "queued.max.messages.kbytes": 16_384,
        "enable.partition.eof": False,
    }


def is_fatal(error: KafkaError | None) -> bool:
    """Tell whether librdkafka cannot recover from this error by itself."""
    fatal = {KafkaError._AUTHENTICATION, KafkaError.TOPIC_AUTHORIZATION_FAILED}  # noqa: SLF001 - librdkafka's own name
    return error is not None and (error.fatal() or error.code() in fatal)


__all__ = ["KafkaError", "KafkaException", "common", "is_fatal", "reader"]
