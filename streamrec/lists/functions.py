"""Loads the function library into Redis and runs pipelines of its calls."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import files
from typing import Any, Final

import redis

from streamrec.lists.blocks import blocks
from streamrec.lists.redis_errors import is_retryable, translated, unavailable

LIBRARY: Final = "streamrec"
TOPK: Final = "streamrec_topk"
LIST: Final = "streamrec_list"
COMMIT: Final = "streamrec_commit"
REPLACE: Final = "streamrec_replace"
PATCH: Final = "streamrec_patch"
STOCK: Final = "streamrec_stock"
PRICE: Final = "streamrec_price"
CATALOG: Final = "streamrec_catalog"
REMOVE: Final = "streamrec_remove"
EXCLUDE: Final = "streamrec_exclude"
MARK: Final = "streamrec_mark"
PROGRESS: Final = "streamrec_progress"
STAMP: Final = "streamrec_stamp"
IDENTITY: Final = "streamrec_identity"
LEARN: Final = "streamrec_learn"

CODE: Final = files("streamrec.lists").joinpath("functions.lua").read_text(encoding="utf-8")

#: Commands of ``stream`` sent at once, and how often that is done before the first answers are waited for.
_SENT_AT_ONCE: Final = 4
_AHEAD: Final = 8
_CLUSTER_BLOCK: Final = 1000

#: One command of a pipeline: its name and arguments.
Command = tuple[Any, ...]


def library_version(code: str) -> int:
    """Return the version that a library's text states, 0 if none."""
    stated = re.search(r"^-- version: (\d+)$", code, re.MULTILINE)
    return int(stated[1]) if stated else 0


def ensure_functions(client: redis.Redis) -> bool:
    """Load the function library unless Redis has this one or a newer one; tell whether it was loaded.

    A newer library stays: in a rolling update old and new workers run side by side. Raises StoreUnavailable.
    """
    with translated("loading the function library"):
        if all(code == CODE or library_version(code) > library_version(CODE) for code in _stored_codes(client)):
            return False
        client.function_load(CODE, replace=True)
        return True


def _stored_codes(client: redis.Redis) -> list[str]:
    """Return the library's text on each node; a cluster client answers with node -> listing once there are several."""
    listed: Any = client.function_list(library=LIBRARY, withcode=True)
    return [_stored_code(listing) for listing in (listed.values() if isinstance(listed, dict) else [listed])]


def _stored_code(listing: Sequence[Any]) -> str:
    for entry in listing:
        fields = entry if isinstance(entry, dict) else dict(zip(entry[::2], entry[1::2], strict=True))
        return bytes(fields[b"library_code"]).decode()
    return ""


def fcall(name: str, keys: Sequence[str], *args: str | bytes | float) -> Command:
    """Return the command that calls a writing function."""
    return ("FCALL", name, len(keys), *keys, *args)


def fcall_ro(name: str, keys: Sequence[str], *args: str | bytes | float) -> Command:
    """Return the command that calls a reading function."""
    return ("FCALL_RO", name, len(keys), *keys, *args)


def run(client: redis.Redis, commands: Sequence[Command], doing: str) -> list[Any]:
    """Send the commands in one round trip and return their answers in order.

    Commands that meet a Redis without our functions (it came back empty) are sent again after the library is loaded.
    Raises StoreUnavailable; another error is the first one that a command met.
    """
    if not commands:
        return []
    answers = _send(client, commands, doing)
    missing = [n for n, answer in enumerate(answers) if _is_missing(answer)]
    if missing:
        ensure_functions(client)
        for n, answer in zip(missing, _send(client, [commands[n] for n in missing], doing), strict=True):
            answers[n] = answer
    for answer in answers:
        if isinstance(answer, Exception):
            raise unavailable(doing, answer) if is_retryable(answer) else answer
    return answers


def stream(client: redis.Redis, commands: Iterable[Command], doing: str, *, cluster: bool = False) -> Iterator[Any]:
    """Send commands as they are made, and yield their answers in order: Redis works while the next commands are made.

    For many commands with short answers, which wait in the connection meanwhile. A cluster's are sent block by block. Raises
    StoreUnavailable; whatever was sent by then may have been done.
    """
    if cluster:
        for block in blocks(commands, _CLUSTER_BLOCK):
            yield from run(client, block, doing)
        return
    with translated(doing):
        connection: Any = client.connection_pool.get_connection()
        try:
            sent: deque[Sequence[Command]] = deque()
            for block in blocks(commands, _SENT_AT_ONCE):
                connection.send_packed_command(connection.pack_commands(block))
                sent.append(block)
                if len(sent) > _AHEAD:
                    yield from _answers(client, connection, sent.popleft(), doing)
            while sent:
                yield from _answers(client, connection, sent.popleft(), doing)
        except BaseException:
            connection.disconnect()  # answers that nobody waits for must not meet the next command
            raise
        finally:
            client.connection_pool.release(connection)


def _answers(client: redis.Redis, connection: Any, commands: Sequence[Command], doing: str) -> Iterator[Any]:
    for command in commands:
        try:
            answer = connection.read_response()
        except redis.ResponseError as error:
            if not _is_missing(error):
                raise
            [answer] = run(client, [command], doing)
        yield answer


def call(client: redis.Redis, command: Command, doing: str) -> Any:
    """Send one command and return its answer: ``run`` without the cost of a pipeline. Raises StoreUnavailable."""
    send: Any = client.execute_command  # not typed by its authors
    with translated(doing):
        try:
            return send(*command)
        except redis.ResponseError as error:
            if not _is_missing(error):
                raise
            ensure_functions(client)
            return send(*command)


def _send(client: redis.Redis, commands: Sequence[Command], doing: str) -> list[Any]:
    with translated(doing), client.pipeline(transaction=False) as pipe:
        add: Any = pipe.execute_command  # not typed by its authors
        for command in commands:
            add(*command)
        return list(pipe.execute(raise_on_error=False))


def _is_missing(answer: object) -> bool:
    return isinstance(answer, redis.ResponseError) and "function not found" in str(answer).lower()
