"""Which settings of the two connections contradict each other; every complaint says what to set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from streamrec.config import KafkaSettings, RedisSettings

_WITH_PASSWORD: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


def check_kafka(kafka: KafkaSettings) -> None:
    """Raise ValueError where protocol, mechanism, credentials and files do not fit together."""
    protocol, mechanism = kafka.security_protocol, kafka.sasl_mechanism
    if protocol.startswith("SASL_"):
        _check_sasl(kafka)
    elif mechanism or kafka.sasl_username or kafka.sasl_password or kafka.oauth_client_id or kafka.oauth_client_secret:
        msg = f"credentials are given, but security_protocol {protocol} sends none; set security_protocol=SASL_SSL or remove them"
        raise ValueError(msg)
    files = _files(kafka.ssl_ca_location, kafka.ssl_certificate_location, kafka.ssl_key_location)
    if any(files.values()) and not protocol.endswith("SSL"):
        msg = (
            f"{', '.join(n for n, v in files.items() if v)} given, but security_protocol {protocol} is not encrypted; "
            "set security_protocol to SASL_SSL or SSL, or remove it"
        )
        raise ValueError(msg)
    _check_files(files)


def _check_sasl(kafka: KafkaSettings) -> None:
    mechanism = kafka.sasl_mechanism
    if not mechanism:
        if not {"sasl.mechanism", "sasl.mechanisms"} & set(kafka.extra):
            msg = (
                f"security_protocol {kafka.security_protocol} needs sasl_mechanism; set what the broker asks for, as SCRAM-SHA-512"
            )
            raise ValueError(msg)
    elif mechanism in _WITH_PASSWORD:
        missing = [n for n, v in (("sasl_username", kafka.sasl_username), ("sasl_password", kafka.sasl_password)) if not v]
        if missing:
            msg = f"sasl_mechanism {mechanism} needs {' and '.join(missing)}; set it, a password by a file in STREAMREC_SECRETS_DIR"
            raise ValueError(msg)
    elif not any(name.startswith("sasl.oauthbearer.") for name in kafka.extra):
        given = {
            "oauth_client_id": kafka.oauth_client_id,
            "oauth_client_secret": kafka.oauth_client_secret,
            "oauth_token_url": kafka.oauth_token_url,
        }
        missing = [name for name, value in given.items() if not value]
        if missing:
            msg = f"sasl_mechanism OAUTHBEARER needs {', '.join(missing)}; set it, or librdkafka's sasl.oauthbearer.* in extra"
            raise ValueError(msg)


def check_redis(redis: RedisSettings) -> None:
    """Raise ValueError where the address, the user and the files do not fit together."""
    address = urlsplit(redis.url.get_secret_value())
    if "@" in address.path + address.query + address.fragment:
        msg = "the password in url holds a character that ends an address (/ ? #); write it percent-encoded, or into password"
        raise ValueError(msg)
    for what, inside, beside in (
        ("a user", address.username, redis.username),
        ("a password", address.password, redis.password.get_secret_value()),
    ):
        if inside and beside:
            msg = f"{what} stands in url and in a setting of its own; keep one of them"
            raise ValueError(msg)
    if (redis.username or address.username) and not (redis.password or address.password):
        msg = "a user is given but no password; set password, best by a file in STREAMREC_SECRETS_DIR"
        raise ValueError(msg)
    files = _files(redis.ssl_ca_location, redis.ssl_certificate_location, redis.ssl_key_location)
    if any(files.values()) and address.scheme != "rediss":
        msg = f"{', '.join(n for n, v in files.items() if v)} given, but url is not encrypted; write rediss:// or remove it"
        raise ValueError(msg)
    _check_files(files)


def redis_password(redis: RedisSettings) -> str:
    """Return the password, wherever it was given; empty if none."""
    return redis.password.get_secret_value() or unquote(urlsplit(redis.url.get_secret_value()).password or "")


def _files(authority: str, certificate: str, key: str) -> dict[str, str]:
    return {"ssl_ca_location": authority, "ssl_certificate_location": certificate, "ssl_key_location": key}


def _check_files(files: dict[str, str]) -> None:
    for name, path in files.items():
        if path and not Path(path).exists():
            msg = f"{name} names {path}, which is not there; mount the file or correct the path"
            raise ValueError(msg)
    if bool(files["ssl_certificate_location"]) != bool(files["ssl_key_location"]):
        msg = "a client certificate needs its key; set both ssl_certificate_location and ssl_key_location, or none"
        raise ValueError(msg)
