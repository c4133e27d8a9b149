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
            return _connect_cluster(url, settings.timeout_s)
        retry = Retry(ExponentialWithJitterBackoff(cap=0.5, base=0.05), retries=2)
        return redis.Redis.from_url(
            url, socket_timeout=settings.timeout_s, socket_connect_timeout=settings.timeout_s, retry=retry, health_check_interval=30
        )
    except ValueError as error:
        msg = f"STREAMREC_REDIS__URL is no address ({error}); write redis://host:port/db"
        raise ConfigError(msg) from error


def _connect_cluster(url: str, timeout_s: float) -> redis.Redis:
    # Not RedisCluster.from_url: that one gives each node a pool of connections which close() leaves open (redis-py 8.1).
    parse: Any = parse_url  # not typed by its authors
    address = dict(parse(url))
    address.pop("db", None)  # a cluster has the database 0 only
    address["ssl"] = issubclass(address.pop("connection_class", Connection), SSLConnection)
    with translated("joining the cluster"):
        client: Any = RedisCluster(**address, socket_timeout=timeout_s, socket_connect_timeout=timeout_s)
    # Its commands are Redis', its class is not: callers see one type.
    return cast("redis.Redis", client)
