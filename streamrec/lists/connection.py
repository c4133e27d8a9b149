"""The one way to a Redis client from the settings."""

from __future__ import annotations

from typing import cast

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.cluster import RedisCluster
from redis.retry import Retry

from streamrec.config import RedisSettings
from streamrec.errors import ConfigError


def connect(settings: RedisSettings) -> redis.Redis:
    """Return a client whose values are bytes; it connects at first use and may be shared by threads.

    With ``settings.cluster`` it is a cluster client, which has the same commands. Raises ConfigError for an address that is none.
    """
    url = settings.url.get_secret_value()
    retry = Retry(ExponentialWithJitterBackoff(cap=0.5, base=0.05), retries=2)
    try:
        if settings.cluster:
            # Its commands are Redis', its class is not: callers see one type.
            return cast("redis.Redis", RedisCluster.from_url(url, socket_timeout=settings.timeout_s))
        return redis.Redis.from_url(
            url, socket_timeout=settings.timeout_s, socket_connect_timeout=settings.timeout_s, retry=retry, health_check_interval=30
        )
    except ValueError as error:
        msg = f"STREAMREC_REDIS__URL is no address ({error}); write redis://host:port/db"
        raise ConfigError(msg) from error
