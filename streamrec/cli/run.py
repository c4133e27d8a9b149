"""``streamrec worker|demo|replay``: what runs for long."""

from __future__ import annotations

from typing import Any, Final

import click

from streamrec.cli.parts import Parts, pass_parts

ROLES: Final = ("availability", "embedder", "recommender", "aggregator")


class Roles(click.ParamType[tuple[str, ...]]):
    """Roles, separated by commas."""

    name = "roles"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Return the roles in their own order, each once."""
        if isinstance(value, tuple):
            return value
        wanted = {role.strip() for role in value.split(",") if role.strip()}
        unknown = sorted(wanted - set(ROLES))
        if unknown or not wanted:
            self.fail(f"{', '.join(unknown) or 'nothing'} is no role; choose from {', '.join(ROLES)}", param, ctx)
        return tuple(role for role in ROLES if role in wanted)


@click.command()
@click.option(
    "--roles", type=Roles(), default=",".join(ROLES), show_default=True, help="What this worker does; start as many as you need."
)
@pass_parts
def worker(parts: Parts, roles: tuple[str, ...]) -> None:
    """Run a worker until SIGTERM or Ctrl-C; what it holds is finished and committed first."""
    from workers.wiring import run_worker

    run_worker(parts.settings, roles)
