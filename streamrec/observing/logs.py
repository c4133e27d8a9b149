"""Logging set up once, at the start of a process: one line per event on stderr, as JSON or for the eye.

What libraries write through ``logging`` (Faust and mode among them) comes out in the same form. Secrets do not come out at all.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Collection
from types import TracebackType
from typing import Any, Final, Literal, TextIO

import structlog

from streamrec.redaction import Redact

#: They bring handlers of their own, which would print every line twice.
_LIBRARIES: Final = ("faust", "mode", "mode.worker", "aiohttp", "asyncio")


def configure_logging(
    level: str = "INFO",
    form: Literal["json", "console"] = "json",
    *,
    secrets: Collection[str] = (),
    stream: TextIO | None = None,
    **always: object,
) -> None:
    """Send every log line of this process, ours and the libraries', to ``stream`` (default: stderr).

    ``secrets`` are values that must never be printed: ``Settings.secrets``. ``always`` are fields of every line, whatever thread it
    comes from: who we are.
    """
    shared: list[Any] = [
        lambda _logger, _method, event: always | event,
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


def log_uncaught() -> None:
    """Log what Python would print by itself, unmasked: exceptions that nobody caught, in any thread."""
    log = logging.getLogger("uncaught")

    def main(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        log.critical("uncaught exception", exc_info=(kind, error, trace))

    def thread(given: threading.ExceptHookArgs) -> None:
        if given.exc_value is not None:
            where = given.thread.name if given.thread else "?"
            log.critical("uncaught exception in thread %s", where, exc_info=(given.exc_type, given.exc_value, given.exc_traceback))

    sys.excepthook, threading.excepthook = main, thread


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
