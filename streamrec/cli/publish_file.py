"""Sending many messages from JSON lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import click
import msgspec

from streamrec.cli.output import progress, safe
from streamrec.cli.parts import Parts
from streamrec.errors import InvalidMessage
from streamrec.events import TOPICS, decode


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line; the value's bytes are sent as they stand in the file."""

    topic: str
    key: str
    value: msgspec.Raw


_decoder = msgspec.json.Decoder(Line)


def parse(raw: bytes, now_ms: int, max_future_ms: int) -> tuple[str, str, bytes | None]:
    """Return a valid line's topic, key and value (None for a tombstone). Raises InvalidMessage."""
    try:
        line = _decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidMessage(f"line: {error}") from error
    topic = TOPICS.get(line.topic)
    if topic is None or topic.internal:
        known = ", ".join(name for name, known in TOPICS.items() if not known.internal)
        raise InvalidMessage(f"topic: {safe(line.topic)!r} is none to publish to; one of {known}")
    value = None if bytes(line.value) == b"null" else bytes(line.value)
    decode(line.topic, line.key.encode(), value, now_ms, max_future_ms=max_future_ms)
    return line.topic, line.key, value


def send_lines(parts: Parts, source: IO[bytes], *, dry_run: bool) -> dict[str, Any]:
    """Send every valid line and report the others on stderr; return ``sent``, ``refused`` and ``topics``.

    Raises BrokerUnavailable.
    """
    counts: Counter[str] = Counter()
    refused = 0
    with ExitStack() as stack:
        outbox = None if dry_run else stack.enter_context(parts.broker.outbox())
        for number, raw in _watched(source):
            try:
                topic, key, value = parse(raw, parts.clock.now_ms(), parts.settings.max_future_ms)
            except InvalidMessage as error:
                refused += 1
                click.echo(f"line {number}: {error.reason}", err=True)
                continue
            if outbox is not None:
                outbox.send(topic, key, value)
            counts[topic] += 1
        if outbox is not None:
            outbox.flush()
    return {"sent": counts.total(), "refused": refused, "topics": dict(counts)}


def _watched(source: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield numbered lines that are not blank, with a progress bar over the file's bytes."""
    with progress() as bar:
        task = bar.add_task("publish", total=_size(source), note="bytes")
        for number, raw in enumerate(source, start=1):
            bar.advance(task, len(raw))
            if raw.strip():
                yield number, raw


def _size(source: IO[bytes]) -> int | None:
    """Return the file's size; None for a pipe."""
    path = Path(str(getattr(source, "name", "")))
    return path.stat().st_size if path.is_file() else None
