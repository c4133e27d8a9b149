"""Credentials come from the environment or from files, fit together or are refused with advice, and are never shown."""

from __future__ import annotations

import os
import traceback
from pathlib import Path

import pytest

from streamrec.config import Settings
from streamrec.errors import ConfigError
from streamrec.redaction import Redact

PREFIX = "STREAMREC_"
SASL = {"KAFKA__SECURITY_PROTOCOL": "SASL_SSL", "KAFKA__SASL_MECHANISM": "SCRAM-SHA-512"}
LOGIN = SASL | {"KAFKA__SASL_USERNAME": "shop"}


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)


def _load(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> Settings:
    for name, value in values.items():
        monkeypatch.setenv(PREFIX + name, value)
    return Settings.load()


def test_a_secret_file_stands_for_the_variable_of_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As Kubernetes mounts them: links into a folder of its own, other applications' secrets beside ours."""
    real = tmp_path / "..2026_01_01"
    real.mkdir()
    (tmp_path / "..data").symlink_to(real)
    for name, text in {
        "STREAMREC_KAFKA__SASL_PASSWORD": "hunter2\n",
        "streamrec_redis__password": " with spaces \r\n",
        "STREAMREC_KAFKA__EXTRA": '{"ssl.key.pem": "pem"}',
        "database-password": "not ours",
    }.items():
        (real / name).write_text(text, encoding="utf-8")
        (tmp_path / name).symlink_to(tmp_path / "..data" / name)
    settings = _load(monkeypatch, LOGIN | {"SECRETS_DIR": str(tmp_path)})
    assert settings.kafka.sasl_password.get_secret_value() == "hunter2"
    assert settings.redis.password.get_secret_value() == " with spaces "
    assert settings.kafka.extra["ssl.key.pem"].get_secret_value() == "pem"


def test_the_environment_wins_over_files_and_files_over_the_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    toml, folder = tmp_path / "streamrec.toml", tmp_path / "secrets"
    folder.mkdir()
    toml.write_text('[redis]\nurl = "redis://toml:1"\npassword = "toml"\n[kafka]\nbootstrap = "toml:1"\n', encoding="utf-8")
    (folder / "STREAMREC_REDIS__PASSWORD").write_text("file", encoding="utf-8")
    (folder / "STREAMREC_KAFKA__BOOTSTRAP").write_text("file:1", encoding="utf-8")
    values = {"SECRETS_DIR": str(folder), "CONFIG": str(toml), "KAFKA__BOOTSTRAP": "environment:1"}
    settings = _load(monkeypatch, values)
    assert settings.kafka.bootstrap == "environment:1"
    assert settings.redis.password.get_secret_value() == "file"
    assert settings.redis.url.get_secret_value() == "redis://toml:1"


def test_secrets_that_cannot_be_read_are_told_without_their_bytes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a folder; mount"):
        _load(monkeypatch, {"SECRETS_DIR": str(tmp_path / "none")})
    (tmp_path / "STREAMREC_REDIS__PASSWORD").write_bytes(b"hunter2\xff")
    with pytest.raises(ConfigError, match=r"STREAMREC_REDIS__PASSWORD.*not UTF-8") as refused:
        _load(monkeypatch, {"SECRETS_DIR": str(tmp_path)})
    assert "hunter2" not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize(
    ("values", "advice"),
    [
        ({"KAFKA__SASL_MECHANISM": "PLAIN"}, "security_protocol PLAINTEXT sends none; set security_protocol=SASL_SSL"),
        ({"KAFKA__SASL_PASSWORD": "hunter2"}, "set security_protocol=SASL_SSL"),
        ({"KAFKA__SECURITY_PROTOCOL": "SASL_SSL"}, "needs sasl_mechanism; set"),
        (SASL, "needs sasl_username and sasl_password; set"),
        (LOGIN, "needs sasl_password; set it, a password by a file in STREAMREC_SECRETS_DIR"),
        (SASL | {"KAFKA__SASL_MECHANISM": "SCRAM"}, "Input should be"),
        (
            SASL | {"KAFKA__SASL_MECHANISM": "OAUTHBEARER", "KAFKA__OAUTH_CLIENT_ID": "x"},
            "oauth_client_secret, oauth_token_url; set",
        ),
        ({"KAFKA__SSL_CA_LOCATION": "/ca.pem"}, "not encrypted; set security_protocol to SASL_SSL or SSL"),
        ({"KAFKA__SECURITY_PROTOCOL": "SSL", "KAFKA__SSL_CA_LOCATION": "/no/ca.pem"}, "/no/ca.pem, which is not there; mount"),
        ({"KAFKA__SECURITY_PROTOCOL": "SSL", "KAFKA__SSL_KEY_LOCATION": "/dev/null"}, "needs its key; set both"),
        ({"KAFKA__EXTRA": "hunter2"}, "correct them"),
        ({"REDIS__USERNAME": "shop"}, "no password; set password"),
        ({"REDIS__URL": "redis://shop@h:1"}, "no password; set password"),
        ({"REDIS__URL": "redis://shop:hunter2@h:1", "REDIS__PASSWORD": "hunter2"}, "keep one of them"),
        ({"REDIS__URL": "redis://:hun/ter2@h:1"}, "write it percent-encoded"),
        ({"REDIS__SSL_CA_LOCATION": "/dev/null"}, "write rediss://"),
        ({"REDIS__URL": "rediss://h:1", "REDIS__SSL_CERTIFICATE_LOCATION": "/dev/null"}, "needs its key; set both"),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else "",
)
def test_settings_that_contradict_each_other_are_refused_with_advice(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, str], advice: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        _load(monkeypatch, values)
    shown = "".join(traceback.format_exception(refused.value))
    assert advice in shown
    assert "hunter2" not in shown


ALL = LOGIN | {
    "KAFKA__SASL_PASSWORD": "hunter2",
    "KAFKA__OAUTH_CLIENT_SECRET": "client-s3cret",
    "KAFKA__SSL_KEY_PASSWORD": "open-sesame",
    "KAFKA__EXTRA": '{"sasl.oauthbearer.client.secret": "in-extra", "client.id": "streamrec"}',
    "REDIS__URL": "redis://shop:sword%2Ffish@redis:6379/0",
    "REDIS__SSL_KEY_PASSWORD": "shibboleth",
}
SECRETS = {"hunter2", "client-s3cret", "open-sesame", "in-extra", "sword/fish", "shibboleth"}


def test_settings_do_not_show_their_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _load(monkeypatch, ALL)
    assert settings.secrets() == SECRETS
    for text in (repr(settings), str(settings.redis), settings.model_dump_json(), str(settings.model_dump())):
        for secret in SECRETS | {"sword%2Ffish"}:
            assert secret not in text


def test_a_secret_is_masked_however_it_is_spelled() -> None:
    secret = 'pä/ss"w\\ord'
    mask = Redact([secret])
    for spelled in (secret, "p%C3%A4%2Fss%22w%5Cord", repr(secret), repr(secret.encode()), r'"p\u00e4/ss\"w\\ord"'):
        masked = mask.text(f"before {spelled} after")
        assert "***" in masked
        assert "ord" not in masked
    assert mask.value(ConnectionError(f"cannot reach {secret}")) == "cannot reach ***"
    assert mask.value({"n": 3, "inner": [secret], "none": None}) == {"n": 3, "inner": ["***"], "none": None}


def test_what_is_called_a_secret_is_masked_and_what_only_sounds_so_is_not() -> None:
    masked = Redact().value(
        {"sasl_password": "a", "access_token": "b", "sasl.jaas.config": "c", "max_tokens": 128, "ssl.key.pem": "d"}
    )
    assert masked == {
        "sasl_password": "***",
        "access_token": "***",
        "sasl.jaas.config": "***",
        "max_tokens": 128,
        "ssl.key.pem": "***",
    }
