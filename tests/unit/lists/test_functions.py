"""Loading the function library, and whose errors are whose."""

from __future__ import annotations

import pytest
import redis
from pydantic import SecretStr
from redis import exceptions as theirs

from streamrec.config import RedisSettings
from streamrec.errors import ConfigError, StoreUnavailable
from streamrec.lists import functions
from streamrec.lists.connection import connect
from streamrec.lists.functions import CODE, LIBRARY, ensure_functions, fcall, fcall_ro, library_version, run
from streamrec.lists.redis_errors import translated
from streamrec.local import LocalRedis

_NAMES = {
    functions.TOPK,
    functions.LIST,
    functions.COMMIT,
    functions.REPLACE,
    functions.PATCH,
    functions.STOCK,
    functions.PRICE,
    functions.CATALOG,
    functions.REMOVE,
    functions.EXCLUDE,
    functions.MARK,
    functions.PROGRESS,
    functions.STAMP,
    functions.IDENTITY,
    functions.LEARN,
}


@pytest.fixture
def client(redis_client: redis.Redis) -> redis.Redis:
    redis_client.function_flush()
    return redis_client


def test_the_library_is_loaded_once(client: redis.Redis) -> None:
    assert ensure_functions(client)
    assert not ensure_functions(client)
    [library] = client.function_list()
    named = {entry[entry.index(b"name") + 1].decode() for entry in library[library.index(b"functions") + 1]}
    assert named == _NAMES


def test_another_text_of_the_same_or_an_older_version_is_replaced_and_a_newer_one_stays(client: redis.Redis) -> None:
    """In a rolling update old and new workers run side by side."""
    version = library_version(CODE)
    assert version >= 1
    dummy = "#!lua name=streamrec\n-- version: {}\nredis.register_function('streamrec_dummy', function() return 1 end)\n"
    for stored, replaced in ((version - 1, True), (version, True), (version + 1, False)):
        client.function_load(dummy.format(stored), replace=True)
        assert ensure_functions(client) is replaced
    client.function_load("#!lua name=streamrec\nredis.register_function('old', function() return 1 end)\n", replace=True)
    assert ensure_functions(client)
    assert LIBRARY in CODE.splitlines()[0]


def test_only_the_calls_that_found_no_function_are_sent_again(client: redis.Redis) -> None:
    commands = [("INCR", "n"), fcall(functions.REMOVE, ["item:{a}", "soldout"], "a", 1), ("INCR", "n")]
    assert run(client, commands, "testing") == [1, 3, 2]
    assert run(client, [fcall_ro(functions.LIST, ["x", "soldout"], 3)], "testing")[0].startswith(b'{"source":"none"')
    assert run(client, [], "testing") == []


def test_reading_functions_write_nothing(client: redis.Redis) -> None:
    """FCALL_RO refuses functions that may write, so these may run on replicas."""
    ensure_functions(client)
    with pytest.raises(redis.ResponseError, match="write flag"):
        run(client, [fcall_ro(functions.COMMIT, ["profile:{u}"], b"", 1, b"")], "testing")
    run(client, [fcall_ro(functions.TOPK, ["rec:{u}", "profile:{u}", "soldout", "trending:all"], 3)], "testing")
    assert client.dbsize() == 0


def test_a_mistake_of_ours_stays_what_it_is(client: redis.Redis) -> None:
    client.set("text", "x")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        run(client, [("SADD", "text", "y")], "testing")


def test_a_server_that_asks_to_come_back_later_is_unavailable(client: redis.Redis) -> None:
    ensure_functions(client)
    client.execute_command("REPLICAOF", "127.0.0.1", "1")  # type: ignore[no-untyped-call]
    try:
        with pytest.raises(StoreUnavailable, match=r"testing.*try again"):
            run(client, [("SET", "a", "b")], "testing")
        with pytest.raises(StoreUnavailable, match="try again"):
            run(client, [fcall(functions.REMOVE, ["item:{a}", "soldout"], "a", 1)], "testing")
    finally:
        client.execute_command("REPLICAOF", "NO", "ONE")  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    "error",
    [
        theirs.ConnectionError("gone"),
        theirs.TimeoutError("slow"),
        theirs.BusyLoadingError("loading"),
        theirs.ReadOnlyError("replica"),
        theirs.ClusterDownError("CLUSTERDOWN"),
        theirs.ResponseError("BUSY Redis is busy running a script"),
        theirs.ResponseError("LOADING Redis is loading the dataset in memory"),
        theirs.OutOfMemoryError("command not allowed when used memory > 'maxmemory'"),
        OSError("unreachable"),
    ],
)
def test_what_may_be_tried_again_becomes_unavailable(error: Exception) -> None:
    with pytest.raises(StoreUnavailable, match=r"Redis, doing a thing: .*then try again"), translated("doing a thing"):
        raise error


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (theirs.NoPermissionError("this user has no permissions to run 'set'"), "deploy/acl/redis.acl"),
        (redis.ResponseError("ERR ACL failure in script: no permissions to access a key"), "deploy/acl/redis.acl"),
        (theirs.AuthenticationError("invalid username-password pair"), "STREAMREC_REDIS__PASSWORD"),
        (theirs.ConnectionError("certificate verify failed: self-signed certificate"), "STREAMREC_REDIS__SSL_CA_LOCATION"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_who_is_refused_may_try_again_and_is_told_what_to_mend(error: Exception, advice: str) -> None:
    """No record is called unbearable because Redis refused its writer: rights are given while workers run."""
    with pytest.raises(StoreUnavailable, match=advice), translated("doing a thing"):
        raise error


def test_other_errors_pass_through() -> None:
    for error in (theirs.ResponseError("WRONGTYPE"), theirs.DataError("no"), ValueError("x")):
        with pytest.raises(type(error)), translated("doing a thing"):
            raise error


def test_a_client_is_made_from_the_settings_and_its_values_are_bytes(redis_server: LocalRedis) -> None:
    with connect(RedisSettings(url=SecretStr(redis_server.url))) as client:
        client.set("key", "v")
        assert client.get("key") == b"v"


def test_an_address_that_is_none_is_told_with_its_form() -> None:
    with pytest.raises(ConfigError, match="redis://host:port/db"):
        connect(RedisSettings(url=SecretStr("localhost:6379")))


def test_an_unreachable_server_is_told_in_our_words() -> None:
    with connect(RedisSettings(url=SecretStr("redis://127.0.0.1:1/0"))) as client, pytest.raises(StoreUnavailable):
        ensure_functions(client)
