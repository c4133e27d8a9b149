"""``streamrec local``: the whole system on this machine, to play merchant and storefront."""

from __future__ import annotations

import signal
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streamrec.cli.parts import Parts, pass_parts
from streamrec.errors import LocalStackError
from streamrec.roles import ROLES

if TYPE_CHECKING:
    from streamrec.local import LocalStack


@click.command()
@click.option("--broker-port", type=click.IntRange(1, 65535), default=9092, show_default=True)
@click.option("--redis-port", type=click.IntRange(1, 65535), default=6379, show_default=True)
@click.option("--log-dir", type=click.Path(file_okay=False, path_type=Path), help="Keep the logs of all processes here.")
@pass_parts
def local(parts: Parts, broker_port: int, redis_port: int, log_dir: Path | None) -> None:
    """Run an embedded broker and Redis, the topics and a worker per role, until Ctrl-C; nothing is kept.

    With the default ports kcat, redis-cli and every verb find it without settings.
    """
    from workers.transport.admin import ensure_topics

    stopped = threading.Event()
    with ExitStack() as undo, suppress(KeyboardInterrupt):
        _stop_on_sigterm(undo, stopped)
        stack = undo.enter_context(_stack(log_dir, broker_port, redis_port))
        environment = stack.environment()
        click.echo(f"Kafka  {environment['STREAMREC_KAFKA__BOOTSTRAP']}  (Tansu, in memory)")
        click.echo(f"Redis  {environment['STREAMREC_REDIS__URL']}  (Valkey)")
        ensure_topics(parts.settings.kafka.model_copy(update={"bootstrap": environment["STREAMREC_KAFKA__BOOTSTRAP"]}))
        workers = [stack.worker([role]) for role in ROLES]  # one process each, as in the demo
        for worker in workers:
            worker.wait_ready(120)
        click.echo("workers are ready; Ctrl-C ends everything")
        while not stopped.wait(0.5):
            for worker in workers:
                if not worker.running:
                    raise LocalStackError(f"the worker {','.join(worker.roles)} ended; its log says:\n{worker.log_tail()}")


def _stack(log_dir: Path | None, broker_port: int, redis_port: int) -> LocalStack:
    from streamrec.local import LocalStack

    return LocalStack(log_dir=log_dir, broker_port=broker_port, redis_port=redis_port, old_clients=True)


def _stop_on_sigterm(undo: ExitStack, stopped: threading.Event) -> None:
    """End as after Ctrl-C when a supervisor asks for it."""

    def stop(*_: Any) -> None:
        stopped.set()

    undo.callback(signal.signal, signal.SIGTERM, signal.signal(signal.SIGTERM, stop))
