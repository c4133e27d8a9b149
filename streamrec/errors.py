"""Every error that streamrec raises on purpose.

::

    StreamrecError
    ├── ConfigError          a setting is missing, unknown or contradicts another
    ├── InvalidMessage       bytes from outside that are not a valid event
    ├── InvalidRequest       a question to a recommender's page that is none
    ├── ModelError           an encoder cannot be built, loaded or does not match its digest
    ├── VectorIndexError     the vector index was used against its rules (dimension, model digest)
    ├── SnapshotError        a snapshot cannot be written, read or trusted; what it held is read from Kafka
    ├── ProfileError         stored bytes are not a visitor's profile that this version can read
    ├── StoreUnavailable     Redis cannot be reached or refuses; the work may be tried again
    ├── BrokerUnavailable    Kafka cannot be reached or refuses; the work may be tried again
    ├── DataError            a data set given to the demo or to replay cannot be read
    └── LocalStackError      the embedded broker or Redis did not start

Third-party errors are translated where they arise. Every message ends with what to do next.
"""

from __future__ import annotations


class StreamrecError(Exception):
    """The root; catch it to catch whatever streamrec raises on purpose."""


class ConfigError(StreamrecError):
    """A setting is missing, unknown or contradicts another."""


class InvalidMessage(StreamrecError):  # noqa: N818 - the name is what the dead-letter reason says
    """Bytes from outside are not a valid event; ``reason`` is what the dead letter carries."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class InvalidRequest(StreamrecError):  # noqa: N818 - what the page says to whoever asked
    """A question to a recommender's page is none: a wrong parameter, or an item that nobody knows."""


class ModelError(StreamrecError):
    """An encoder cannot be built or loaded, or does not match its digest."""


class VectorIndexError(StreamrecError):
    """The vector index was used against its rules (dimension, model digest)."""


class SnapshotError(StreamrecError):
    """A snapshot cannot be written, read or trusted; ``kind`` is the reason in a word, for metrics."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


class ProfileError(StreamrecError):
    """Stored bytes are not a visitor's profile that this version can read."""


class StoreUnavailable(StreamrecError):  # noqa: N818 - a state of the world, not a mistake
    """Redis cannot be reached or refuses; the work may be tried again."""


class BrokerUnavailable(StreamrecError):  # noqa: N818 - a state of the world, not a mistake
    """Kafka cannot be reached or refuses; the work may be tried again."""


class DataError(StreamrecError):
    """A data set given to the demo or to replay cannot be read."""


class LocalStackError(StreamrecError):
    """The embedded broker or Redis did not start."""
