"""What makes a local Apache Kafka ask who its clients are: TLS, SASL and access control lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: Clients' listener, by the name that its settings carry.
_PREFIX: Final = "listener.name.clients."
_SCRAM: Final = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
# Tokens are not verified: the broker's own validator for unsigned ones stands in for an identity provider's keys.
_OAUTH: Final = (
    'org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";'
)


@dataclass(frozen=True)
class KafkaSecurity:
    """Clients must speak TLS, show a certificate that ``authority`` signed, and log in.

    By SCRAM-SHA-512 as one of ``users`` (name → password), or by OAUTHBEARER with an unsigned token. Nobody may do anything but by
    an access control list; whoever reaches the broker's internal, unencrypted loopback listener is the administrator.
    """

    #: PEM: the broker's key (PKCS 8), then its certificate chain.
    key_and_certificate: Path
    #: PEM: who signed the clients' certificates.
    authority: Path
    users: Mapping[str, str]

    def settings(self) -> dict[str, str]:
        """Return the broker's settings."""
        return {
            "sasl.enabled.mechanisms": "SCRAM-SHA-512,OAUTHBEARER",
            f"{_PREFIX}scram-sha-512.sasl.jaas.config": _SCRAM,
            f"{_PREFIX}oauthbearer.sasl.jaas.config": _OAUTH,
            f"{_PREFIX}ssl.keystore.type": "PEM",
            f"{_PREFIX}ssl.keystore.location": str(self.key_and_certificate),
            f"{_PREFIX}ssl.truststore.type": "PEM",
            f"{_PREFIX}ssl.truststore.location": str(self.authority),
            f"{_PREFIX}ssl.client.auth": "required",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        }

    def format_arguments(self) -> list[str]:
        """Return what prepares the data folder with the users in it."""
        pairs = [("--add-scram", f"SCRAM-SHA-512=[name={name},password={password}]") for name, password in self.users.items()]
        return [word for pair in pairs for word in pair]
