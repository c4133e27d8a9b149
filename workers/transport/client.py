"""Settings of streamrec → settings of librdkafka; the only place that knows its names."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaError, KafkaException

from workers.transport.refusal import FORBIDDEN

if TYPE_CHECKING:
    from streamrec.config import KafkaSettings

#: Where librdkafka's own lines go: left alone it writes them to stderr in a form of its own.
LIBRARY_LOG: Final = logging.getLogger("librdkafka")

_BACKOFF_MS: Final = 20


def common(kafka: KafkaSettings) -> dict[str, str | int | float | bool]:
    """Return what producers, consumers and admin clients share: addresses and credentials."""
    config: dict[str, str | int | float | bool] = {
        "bootstrap.servers": kafka.bootstrap,
        "security.protocol": kafka.security_protocol,
    }
    config |= {name: value for name, value in _credentials(kafka).items() if value}
    # Brokers close idle connections and librdkafka opens them again; a line on stderr for each would only frighten.
    config["log.connection.close"] = False
    return config | extra(kafka)


def extra(kafka: KafkaSettings) -> dict[str, str]:
    """Return what is passed through; it wins over every setting of ours."""
    return {name: value.get_secret_value() for name, value in kafka.extra.items()}


def _credentials(kafka: KafkaSettings) -> dict[str, str]:
    client_secret = kafka.oauth_client_secret.get_secret_value()
    return {
        "sasl.mechanism": kafka.sasl_mechanism,
        "sasl.username": kafka.sasl_username,
        "sasl.password": kafka.sasl_password.get_secret_value(),
        # Without a method librdkafka asks the application for tokens.
        "sasl.oauthbearer.method": "oidc" if kafka.oauth_token_url else "",
        "sasl.oauthbearer.client.id": kafka.oauth_client_id,
        "sasl.oauthbearer.client.secret": client_secret,
        "sasl.oauthbearer.token.endpoint.url": kafka.oauth_token_url,
        "sasl.oauthbearer.scope": kafka.oauth_scope,
        "ssl.ca.location": kafka.ssl_ca_location,
        "ssl.certificate.location": kafka.ssl_certificate_location,
        "ssl.key.location": kafka.ssl_key_location,
        "ssl.key.password": kafka.ssl_key_password.get_secret_value(),
    }


def reader(kafka: KafkaSettings, group: str) -> dict[str, str | int | float | bool]:
    """Return a consumer's settings: offsets by hand, small waits, bounded memory."""
    own: dict[str, str | int | float | bool] = {
        "group.id": group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        "session.timeout.ms": kafka.session_timeout_ms,
        "heartbeat.interval.ms": max(kafka.session_timeout_ms // 4, 100),
        # Workers poll while their handlers work, so silence for so long means that the process hangs.
        "max.poll.interval.ms": max(kafka.session_timeout_ms, 300_000),
        "fetch.wait.max.ms": kafka.fetch_wait_max_ms,
        # A consumer whose queue was full asks again soon: a second of back-off would be a second of staleness.
        "fetch.queue.backoff.ms": _BACKOFF_MS,
        # What is fetched ahead needs some 500 bytes per message besides its own, and a fetch is measured while it is compressed:
        # librdkafka's defaults (100,000 messages, 1 MiB per partition) made a worker grow by 230 MB under a burst of clicks.
        "queued.min.messages": 10_000,
        "queued.max.messages.kbytes": 16_384,
        "fetch.message.max.bytes": 131_072,
        "enable.partition.eof": False,
    }
    return common(kafka) | own | extra(kafka)


def is_fatal(error: KafkaError | None) -> bool:
    """Tell whether librdkafka cannot recover from this error by itself."""
    fatal = FORBIDDEN | {KafkaError._AUTHENTICATION}  # noqa: SLF001 - librdkafka's own name
    return error is not None and (error.fatal() or error.code() in fatal)


__all__ = ["KafkaError", "KafkaException", "common", "extra", "is_fatal", "reader"]
