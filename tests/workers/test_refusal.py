"""Whoever is turned away by Kafka hears why and what to mend; whoever only lost the connection tries again."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, Producer
from pydantic import SecretStr

from streamrec.config import KafkaSettings
from streamrec.errors import BrokerUnavailable
from workers.transport.client import common, reader
from workers.transport.refusal import Refusal, unavailable

KAFKA = KafkaSettings(
    bootstrap="b:1",
    security_protocol="SASL_SSL",
    sasl_mechanism="SCRAM-SHA-512",
    sasl_username="shop",
    sasl_password=SecretStr("hunter2"),
)
LOGIN = KafkaError(KafkaError._AUTHENTICATION, "SASL authentication error")
CERTIFICATE = KafkaError(KafkaError._SSL, "SSL handshake failed: certificate verify failed")
CUT = KafkaError(KafkaError._SSL, "SSL handshake failed: Disconnected")
AWAY = KafkaError(KafkaError._TRANSPORT, "Connection refused")


@pytest.mark.parametrize(
    ("refused", "advice"), [(LOGIN, "STREAMREC_KAFKA__SASL_PASSWORD"), (CERTIFICATE, "STREAMREC_KAFKA__SSL_CA_LOCATION")]
)
def test_a_refusal_says_why_and_what_to_check(refused: KafkaError, advice: str) -> None:
    refusal = Refusal(KAFKA)
    refusal(refused)
    with pytest.raises(BrokerUnavailable, match=f"{refused.str()}.*{advice}"):
        refusal.check()
    assert advice in str(unavailable(KAFKA, AWAY, refusal))


def test_a_missing_right_names_the_user_and_the_file_of_rights() -> None:
    error = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "Topic authorization failed")
    assert "the user shop the rights of its role (deploy/acl/kafka.acl)" in str(unavailable(KAFKA, error))


def test_a_broken_connection_refuses_nobody() -> None:
    for error in (AWAY, CUT):
        refusal = Refusal(KAFKA)
        refusal(error)
        refusal.check()


def test_a_refusal_is_told_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    refusal = Refusal(KAFKA)
    with caplog.at_level(logging.ERROR):
        for _ in range(100):
            refusal(LOGIN)
        Refusal(KAFKA, silent=True)(LOGIN)
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    "settings",
    [
        {},
        KAFKA.model_dump(),
        {
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "OAUTHBEARER",
            "oauth_client_id": "shop",
            "oauth_client_secret": "s3cret",
            "oauth_token_url": "https://identity.example/token",
            "oauth_scope": "kafka",
            "extra": {"sasl.oauthbearer.extensions": "logicalCluster=lkc-1", "socket.keepalive.enable": "true"},
        },
    ],
    ids=["plaintext", "scram", "oauthbearer"],
)
def test_librdkafka_takes_what_the_settings_say(settings: dict[str, Any]) -> None:
    kafka = KafkaSettings.model_validate({**settings, "bootstrap": "127.0.0.1:1"})
    config = common(kafka)
    if kafka.sasl_mechanism == "OAUTHBEARER":
        assert config["sasl.oauthbearer.method"] == "oidc"
        assert config["sasl.oauthbearer.client.secret"] == "s3cret"
        assert config["sasl.oauthbearer.extensions"] == "logicalCluster=lkc-1"
    Producer(config | {"log_level": 0})
    Consumer(reader(kafka, "group") | {"log_level": 0}).close()
