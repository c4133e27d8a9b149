"""Points in time as people write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

import click

from streamrec.cli.parts import Parts

_UNITS_MS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


class Moment(click.ParamType):
    """``now``, ``+2h``, ``-30m``, milliseconds since the epoch, or ISO 8601 (UTC unless it names a zone)."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return milliseconds since the epoch."""
        if isinstance(value, int):
            return value
        parts = ctx.find_object(Parts) if ctx is not None else None
        try:
            return parse((parts or Parts()).clock.now_ms(), value)
        except ValueError:
            self.fail(f"{value!r} is no moment; write now, +2h, -30m, 1767225600000 or 2026-01-01T00:00:00Z", param, ctx)


class Span(click.ParamType):
    """A length of time: ``7d``, ``12h``, ``30m``, ``90s``."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return milliseconds."""
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d+)(ms|s|m|h|d)", value)
        if not found:
            self.fail(f"{value!r} is no length of time; write 7d, 12h, 30m or 90s", param, ctx)
        return int(found[1]) * _UNITS_MS[found[2]]


def parse(now_ms: int, text: str) -> int:
    """Return the moment in milliseconds since the epoch. Raises ValueError.

    >>> parse(1_000_000, "+2m"), parse(1_000_000, "now"), parse(0, "1970-01-01T00:00:01Z"), parse(0, "1767225600000")
    (1120000, 1000000, 1000, 1767225600000)
    """
    if text == "now":
        return now_ms
    if re.fullmatch(r"\d+", text):
        return int(text)
    shift = re.fullmatch(r"([+-])(\d+)(ms|s|m|h|d)", text)
    if shift:
        ms = int(shift[2]) * _UNITS_MS[shift[3]]
        return now_ms + (ms if shift[1] == "+" else -ms)
    moment = datetime.fromisoformat(text)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
