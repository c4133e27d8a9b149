"""Redis' errors in our words: what may be tried again becomes StoreUnavailable; the rest is a mistake of ours and stays.

A missing right or a wrong password may be tried again: rights are given while workers run, and a record is not to blame for what
Redis refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import redis
from redis import exceptions as theirs

from streamrec.errors import StoreUnavailable

#: Answers by which a living server asks to come back later; redis-py has no class for some of them.
_LATER: Final = ("BUSY", "LOADING", "READONLY", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "MISCONF", "NOREPLICAS", "OOM")
#: The same exception also tells mistakes of ours, such as keys of two slots in one command.
_CLUSTER_AWAY: Final = ("cannot be connected", "slots are not covered")
#: How Redis tells, from within a function, that its caller lacks a right; there it has no class of its own.
_REFUSED_INSIDE: Final = "ACL failure in script"
_REFUSED: Final = (theirs.NoPermissionError, theirs.AuthenticationError, theirs.AuthorizationError)
_UNREACHABLE: Final = (theirs.ConnectionError, theirs.TimeoutError, theirs.ReadOnlyError, theirs.ClusterDownError, OSError)


def is_retryable(error: Exception) -> bool:
    """Tell whether the same command may work later without a change of ours."""
    if isinstance(error, (*_UNREACHABLE, *_REFUSED, theirs.OutOfMemoryError, theirs.TryAgainError)):
        return True
    if isinstance(error, theirs.RedisClusterException):
        return any(words in str(error) for words in _CLUSTER_AWAY)
    return isinstance(error, redis.ResponseError) and (str(error).startswith(_LATER) or _REFUSED_INSIDE in str(error))


def unavailable(doing: str, error: Exception) -> StoreUnavailable:
    """Return the error that says what could not be done, why, and what to do next."""
    return StoreUnavailable(f"Redis, {doing}: {error}; {_advice(error)}")


def _advice(error: Exception) -> str:
    text = str(error)
    if isinstance(error, theirs.NoPermissionError) or _REFUSED_INSIDE in text:
        return "give the user of this role its rights (deploy/acl/redis.acl), then try again"
    if isinstance(error, (theirs.AuthenticationError, theirs.AuthorizationError)):
        return "check user and password: those in STREAMREC_REDIS__URL, or STREAMREC_REDIS__USERNAME and STREAMREC_REDIS__PASSWORD"
    if "certificate" in text.lower() or "_ssl.c" in text:  # a server that misses our certificate just hangs up
        return (
            "check STREAMREC_REDIS__SSL_CA_LOCATION (who signed the server's) and STREAMREC_REDIS__SSL_CERTIFICATE_LOCATION (ours)"
        )
    return "check STREAMREC_REDIS__URL and the server's state, then try again"


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Raise StoreUnavailable for whatever may be tried again; ``doing`` says what the block wants from Redis."""
    try:
        yield
    except (redis.RedisError, theirs.RedisClusterException, OSError) as error:  # the second one is no RedisError
        if is_retryable(error):
            raise unavailable(doing, error) from error
        raise
