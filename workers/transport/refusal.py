"""Why Kafka turned us away, in our words: librdkafka tries again for ever and tells the reason only to who listens."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaError

from streamrec.errors import BrokerUnavailable

if TYPE_CHECKING:
    from streamrec.config import KafkaSettings

log = logging.getLogger(__name__)  # the command line, too, comes here, and structlog unconfigured would write on its stdout

_LOGIN: Final = KafkaError._AUTHENTICATION  # noqa: SLF001 - librdkafka's own names
_TLS: Final = KafkaError._SSL  # noqa: SLF001
#: What a user may not do; no waiting gives the right.
FORBIDDEN: Final = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    }
)
_REPEAT_S: Final = 30.0


def unavailable(kafka: KafkaSettings, problem: KafkaError | str, refusal: Refusal | None = None) -> BrokerUnavailable:
    """Return the error that says what went wrong, why the broker refused if it did, and what to do next."""
    refused = refusal.error if refusal else None
    if isinstance(problem, KafkaError) and problem.code() in FORBIDDEN:
        refused = problem
    said = problem if isinstance(problem, str) else problem.str()
    because = f" ({refused.str()})" if refused is not None and refused is not problem else ""
    return BrokerUnavailable(f"Kafka at {kafka.bootstrap}: {said}{because}; {_advice(kafka, refused, said)}")


def _advice(kafka: KafkaSettings, refused: KafkaError | None, said: str) -> str:
    if refused is not None and refused.code() in FORBIDDEN:
        who = f"the user {kafka.sasl_username}" if kafka.sasl_username else "our user"
        return f"give {who} the rights of its role (deploy/acl/kafka.acl), then try again"
    if refused is not None and refused.code() == _LOGIN:
        names = "OAUTH_*" if kafka.sasl_mechanism == "OAUTHBEARER" else "SASL_USERNAME, STREAMREC_KAFKA__SASL_PASSWORD"
        return f"check STREAMREC_KAFKA__{names} and STREAMREC_KAFKA__SASL_MECHANISM"
    if refused is not None:
        return (
            "check STREAMREC_KAFKA__SSL_CA_LOCATION (who signed the broker's certificate), STREAMREC_KAFKA__SECURITY_PROTOCOL and, "
            "if the broker asks for a certificate of ours, STREAMREC_KAFKA__SSL_CERTIFICATE_LOCATION"
        )
    if "security.protocol" in said:
        return "check STREAMREC_KAFKA__SECURITY_PROTOCOL: the broker's listener speaks another"
    return "check the address and that the broker runs (`streamrec doctor`), then try again"


class Refusal:
    """Listens to a client's errors (``error_cb``) and keeps the last by which a broker refused us: login or TLS.

    ``silent`` where an exception says it anyway.
    """

    def __init__(self, kafka: KafkaSettings, *, silent: bool = False) -> None:
        self._kafka = kafka
        self._silent = silent
        self._told_at = -_REPEAT_S
        self.error: KafkaError | None = None

    def __call__(self, error: KafkaError) -> None:
        """Hear an error; one that refuses us is told in the log, though not each of its many repeats."""
        if error.code() not in {_LOGIN, _TLS}:
            return
        self.error = error
        now = time.monotonic()
        if not self._silent and now - self._told_at >= _REPEAT_S:
            self._told_at = now
            log.error("refused: %s", unavailable(self._kafka, error, self))

    @property
    def final(self) -> bool:
        """Whether trying again is pointless: it is not the connection that broke, but who we are or whom we trust."""
        error = self.error
        return error is not None and (error.code() == _LOGIN or "certificate" in error.str())

    def check(self) -> None:
        """Raise BrokerUnavailable if trying again is pointless."""
        if self.error is not None and self.final:
            raise unavailable(self._kafka, self.error, self)
