"""Choosing, mending and re-driving dead letters."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streamrec.cli.parts import Letter, Parts
from streamrec.errors import DataError, InvalidMessage
from streamrec.events import TOPICS, decode
from streamrec.lists import keys
from streamrec.lists.redis_errors import translated

if TYPE_CHECKING:
    import redis


@dataclass(frozen=True, slots=True)
class Entry:
    """A dead letter with its names."""

    letter: Letter

    @property
    def id(self) -> str:
        """What people call it."""
        return f"{self.letter.partition}:{self.letter.offset}"

    @property
    def mark(self) -> str:
        """What stands for it in Redis; with the time, because offsets start anew when the topic is made anew."""
        return f"{self.id}:{self.letter.at_ms}"


@dataclass(frozen=True, slots=True)
class Repair:
    """What to change before sending."""

    key: str | None = None
    value: bytes | None = None
    restamp: bool = False
    force: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one letter: sent, or refused with a reason."""

    id: str
    topic: str
    refused: str = ""


def marks(client: redis.Redis) -> frozenset[str]:
    """Return the marks of the letters that were re-driven. Raises StoreUnavailable."""
    with translated("reading which dead letters were re-driven"):
        members: Any = client.smembers(keys.REDRIVEN)
    return frozenset(member.decode() for member in members)


def select(
    parts: Parts, *, reason: str | None = None, topic: str | None = None, ids: Collection[str] = (), redriven: bool = False
) -> list[Entry]:
    """Return the dead letters that fit, oldest first; those that were re-driven only if ``redriven``.

    Raises DataError for an id that no letter has, BrokerUnavailable and StoreUnavailable.
    """
    done = marks(parts.redis)
    present = [Entry(letter) for letter in parts.broker.dead_letters()]
    unknown = sorted(set(ids) - {entry.id for entry in present})
    if unknown:
        raise DataError(f"no dead letter is called {', '.join(unknown)}; `streamrec dlq list --all` shows their ids")
    _forget_marks(parts.redis, done - {entry.mark for entry in present})
    tests: list[Callable[[Entry], bool]] = [
        lambda entry: not ids or entry.id in ids,
        lambda entry: reason is None or reason in entry.letter.reason,
        lambda entry: topic is None or topic == entry.letter.source_topic,
        lambda entry: redriven or entry.mark not in done,
    ]
    return [entry for entry in present if all(test(entry) for test in tests)]


def _forget_marks(client: redis.Redis, gone: Collection[str]) -> None:
    """Drop the marks of letters that the topic no longer holds, so that the set is bounded by the topic's retention."""
    if gone:
        with translated("forgetting old marks"):
            client.srem(keys.REDRIVEN, *gone)


def redrive_letters(parts: Parts, entries: Sequence[Entry], repair: Repair, *, dry_run: bool = False) -> list[Outcome]:
    """Send each letter, mended, to its source topic, and mark those that arrived.

    Raises BrokerUnavailable before anything is marked: a letter may then be sent twice, which has the effect of once.
    """
    prepared = [(entry, *_prepare(parts, entry.letter, repair)) for entry in entries]
    sent = [(entry, message) for entry, message, refused in prepared if not refused]
    if sent and not dry_run:
        with parts.broker.outbox() as outbox:
            for entry, (key, value) in sent:
                outbox.send(entry.letter.source_topic, key, value)
            outbox.flush()
        with translated("marking re-driven letters"):
            parts.redis.sadd(keys.REDRIVEN, *(entry.mark for entry, _ in sent))
    return [Outcome(entry.id, entry.letter.source_topic, refused) for entry, _, refused in prepared]


def _prepare(parts: Parts, letter: Letter, repair: Repair) -> tuple[tuple[bytes, bytes | None], str]:
    """Return the message to send, and why it must not be sent or an empty text."""
    key = repair.key.encode() if repair.key is not None else letter.key or b""
    value = repair.value if repair.value is not None else letter.value
    if letter.source_topic not in TOPICS:
        return (key, value), f"its source topic {letter.source_topic!r} is none of streamrec's"
    now_ms = parts.clock.now_ms()
    try:
        value = _restamped(value, now_ms) if repair.restamp else value
        decode(letter.source_topic, key, value, now_ms, max_future_ms=parts.settings.max_future_ms)
    except InvalidMessage as error:
        return (key, value), "" if repair.force else error.reason
    return (key, value), ""


def _restamped(value: bytes | None, now_ms: int) -> bytes | None:
    """Return a JSON object's bytes with ``ts`` set to now. Raises InvalidMessage for anything else."""
    if value is None:
        return None
    try:
        fields = json.loads(value)
    except (ValueError, RecursionError) as error:
        raise InvalidMessage(f"--restamp needs a JSON value: {error}") from error
    if not isinstance(fields, dict):
        raise InvalidMessage("--restamp needs a JSON object")
    return json.dumps(fields | {"ts": now_ms}, ensure_ascii=False, separators=(",", ":")).encode()
