"""The one way to a Redis client from the settings."""

from __future__ import annotations

from typing import Any, cast

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.cluster import RedisCluster
from redis.connection import Connection, SSLConnection, parse_url
from redis.retry import Retry

from streamrec.config import RedisSettings
from streamrec.errors import ConfigError
from streamrec.lists.redis_errors import translated


def connect(settings: RedisSettings) -> redis.Redis:
    """Return a client whose values are bytes; it connects at first use and may be shared by threads.

    With ``settings.cluster`` it is a cluster client, which has the same commands and connects at once. Raises ConfigError for an
    address that is none, StoreUnavailable for a cluster that does not answer.
    """
    url = settings.url.get_secret_value()
    try:
        if settings.cluster:
            return _connect_cluster(url, settings.timeout_s, _credentials(settings))
        retry = Retry(ExponentialWithJitterBackoff(cap=0.5, base=0.05), retries=2)
        return redis.Redis.from_url(
            url,
            socket_timeout=settings.timeout_s,
            socket_connect_timeout=settings.timeout_s,
            retry=retry,
            health_check_interval=30,
            **_credentials(settings),
        )
    except ValueError as error:
        msg = f"STREAMREC_REDIS__URL is no address ({error}); write redis://host:port/db"
        raise ConfigError(msg) from None  # the cause would show the address, which may hold a password


def _credentials(settings: RedisSettings) -> dict[str, Any]:
    """Return what the settings say beside the address, by redis-py's names."""
    given = {
        "username": settings.username,
        "password": settings.password.get_secret_value(),
        "ssl_ca_certs": settings.ssl_ca_location,
        "ssl_certfile": settings.ssl_certificate_location,
        "ssl_keyfile": settings.ssl_key_location,
        "ssl_password": settings.ssl_key_password.get_secret_value(),
    }
    return {name: value for name, value in given.items() if value}


def _connect_cluster(url: str, timeout_s: float, credentials: dict[str, Any]) -> redis.Redis:
    # Not RedisCluster.from_url: that one gives each node a pool of connections which close() leaves open (redis-py 8.1).
    parse: Any = parse_url  # not typed by its authors
    address = dict(parse(url))
    address.pop("db", None)  # a cluster has the database 0 only
    address["ssl"] = issubclass(address.pop("connection_class", Connection), SSLConnection)
    with translated("joining the cluster"):
        client: Any = RedisCluster(**(address | credentials), socket_timeout=timeout_s, socket_connect_timeout=timeout_s)
    # Its commands are Redis', its class is not: callers see one type.
    return cast("redis.Redis", client)
