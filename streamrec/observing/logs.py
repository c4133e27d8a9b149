"""Logging set up once, at the start of a process: one line per event on stderr, as JSON or for the eye.

What libraries write through ``logging`` (Faust and mode among them) comes out in the same form. Secrets do not come out at all.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Collection, MutableMapping
from typing import Any, Final, Literal, TextIO

import structlog

_MASK: Final = "***"
_SECRET_NAMES: Final = re.compile(r"passw|secret|token|credential|api_?key", re.IGNORECASE)
_CREDENTIALS: Final = re.compile(r"(?<=://)[^/@\s]+(?=@)")
#: They bring handlers of their own, which would print every line twice.
_LIBRARIES: Final = ("faust", "mode", "mode.worker", "aiohttp", "asyncio")


class Redact:
    """Masks credentials: fields whose names say so, users and passwords in URLs, and ``secrets`` wherever they stand."""

    def __init__(self, secrets: Collection[str] = ()) -> None:
        self._secrets = sorted((secret for secret in secrets if secret), key=len, reverse=True)

    def __call__(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Return the event with everything secret replaced by three stars; a structlog processor."""
        for name, value in event.items():
            event[name] = _MASK if _SECRET_NAMES.search(name) else self.value(value)
        return event

    def value(self, value: Any) -> Any:
        """Return a value without secrets; what is neither text nor a container is as it was."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {name: _MASK if _SECRET_NAMES.search(str(name)) else self.value(inner) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(inner) for inner in value]
        return value

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, _MASK)
        return _CREDENTIALS.sub(_MASK, text)


def configure_logging(
    level: str = "INFO", form: Literal["json", "console"] = "json", *, secrets: Collection[str] = (), stream: TextIO | None = None
) -> None:
    """Send every log line of this process, ours and the libraries', to ``stream`` (default: stderr).

    ``secrets`` are values that must never be printed (passwords, URLs with passwords).
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,  # a test, or a second call, may configure anew
    )
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    handler.setFormatter(_formatter(shared, form, secrets))
    _replace_handlers(handler, level)


def _formatter(shared: list[Any], form: Literal["json", "console"], secrets: Collection[str]) -> logging.Formatter:
    # Tracebacks become text before secrets are masked: an exception's message may hold a URL.
    last: list[Any] = [structlog.processors.format_exc_info, structlog.processors.StackInfoRenderer(), Redact(secrets)]
    if form == "json":
        last += [structlog.processors.EventRenamer("message"), structlog.processors.JSONRenderer(ensure_ascii=False, default=str)]
    else:
        last += [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
    )


def _replace_handlers(handler: logging.Handler, level: str) -> None:
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.captureWarnings(capture=True)
    for name in _LIBRARIES:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    # Its access lines, one per health check, would bury everything else.
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
