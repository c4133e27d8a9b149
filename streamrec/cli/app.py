"""The root of all verbs. A verb's module is imported when the verb is asked for, and its heavy parts when it runs."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final, NoReturn

import click

from streamrec import __version__
from streamrec.cli.parts import Parts
from streamrec.errors import StreamrecError

#: verb → where its click command stands, in the order of a shop's day.
_VERBS: Final = {
    "demo": "run:demo",
    "local": "local:local",
    "topics": "topics:topics",
    "worker": "run:worker",
    "publish": "publish:publish",
    "top": "lists:top",
    "search": "search:search",
    "similar": "search:similar",
    "together": "lists:together",
    "trending": "lists:trending",
    "new": "lists:new",
    "why": "why:why",
    "dlq": "dlq:dlq",
    "forget": "forget:forget",
    "rebuild": "rebuild:rebuild",
    "experiment": "experiment:experiment",
    "model": "model:model",
    "doctor": "doctor:doctor",
    "replay": "run:replay",
    "evaluate": "evaluate:evaluate",
    "relevance": "relevance:relevance",
    "same-goods": "same_goods:same_goods",
    "pictures": "pictures:pictures",
    "bench": "bench:bench",
    "chaos": "chaos:chaos",
    "config": "reference:config",
    "schemas": "reference:schemas",
}


class Failure(click.ClickException):
    """An expected error: one line on stderr that says what to do, exit code 2, no traceback."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        """Print the line."""
        click.echo(f"streamrec: {self.format_message()}", file=file, err=file is None)


class Root(click.Group):
    """A group that imports its commands late and turns our errors into one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the verbs in their order."""
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import the verb's module and return the command."""
        if cmd_name not in _VERBS:
            return None
        module, _, name = _VERBS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(f"streamrec.cli.{module}"), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run a verb; what streamrec raises on purpose becomes a Failure."""
        try:
            return super().invoke(ctx)
        except StreamrecError as error:
            _fail(str(error), ctx.find_object(Parts))


def _fail(message: str, parts: Parts | None) -> NoReturn:
    from streamrec.redaction import Redact  # what a server said, and its address, may hold a password

    try:
        secrets = parts.settings.secrets() if parts else frozenset()
    except StreamrecError:
        secrets = frozenset()  # the settings themselves are what is wrong; their errors show no values
    raise Failure(Redact(secrets).text(" ".join(message.split()))) from None


@click.command(cls=Root, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="streamrec")
@click.pass_context
def root(ctx: click.Context) -> None:
    """Fresh top-K lists from a shop's event stream: Kafka in, Redis out.

    Settings come from STREAMREC_* variables or the TOML file that STREAMREC_CONFIG names; `streamrec config` shows them.
    Exit codes: 0 done, 1 done but something is not as it should be, 2 could not be done.
    """
    ctx.ensure_object(Parts)
