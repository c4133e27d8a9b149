"""``streamrec worker|demo|replay``: what runs for long."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext, redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import click

from streamrec.cli.output import emit, json_option, progress
from streamrec.cli.parts import Parts, pass_parts
from streamrec.roles import ROLES

_path = click.Path(exists=True, path_type=Path)
_data = click.option(
    "--data", type=_path, metavar="PATH", help="A data set's folder or file; without it The Complete Journey is read."
)


class Roles(click.ParamType):
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
@click.option("--roles", type=Roles(), default=",".join(ROLES), show_default=True, help="What this worker does.")
@pass_parts
def worker(parts: Parts, roles: tuple[str, ...]) -> None:
    """Run a worker until SIGTERM or Ctrl-C.

    What it holds is finished and committed first. Start as many as you need: they share the partitions.
    """
    # Set before numpy loads: workers share the cores, and OpenBLAS's own threads turned products of 20 µs into 4 ms there.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from workers.wiring import run_worker

    run_worker(parts.settings, roles)


@click.command()
@click.option("--seconds", type=click.FloatRange(min=1), default=60.0, show_default=True, help="How long to measure.")
@_data
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="Write the JSON report to this file.")
@click.option(
    "--rate", type=click.FloatRange(min=1), help="Events per second at most; it slows down where the machine cannot follow."
)
@click.option("--read-rate", type=click.FloatRange(min=1), help="Guarded reads per second of the storefront.")
@click.option("--items", type=click.IntRange(1), help="Load only so many items of the catalogue.")
@click.option("--seed", type=int, help="Of the choice of items to sell out, restock, re-price and promote.")
@click.option("--view/--no-view", default=None, help="Draw the live view; without either: on a terminal.")
@click.option(
    "--broker",
    type=click.Choice(["embedded", "apache", "configured"]),
    default="embedded",
    show_default=True,
    help="Start the embedded broker or a real Apache Kafka (Java and Maven), and a Redis; or use those of the settings.",
)
@click.option(
    "--log-dir", type=click.Path(file_okay=False, path_type=Path), help="Keep the logs of broker, Redis and workers here."
)
def demo(seconds: float, broker: Literal["embedded", "apache", "configured"], **given: Any) -> None:
    """Run everything on real data and check every list.

    A shop's year passes, items sell out, come back, are re-priced and promoted, while a storefront reads.
    Ends with a summary; the exit code is 1 if a reader ever saw what must not be shown.
    """
    from streamrec.demo import DemoOptions, run_demo

    chosen = {name: value for name, value in given.items() if value is not None}
    report = run_demo(DemoOptions(seconds=seconds, broker=broker, **chosen))
    raise click.exceptions.Exit(report.exit_code)


@click.command()
@_data
@click.option("--limit", type=click.IntRange(1), help="Only the first so many events; 2000 with --twice unless given.")
@click.option("--items", type=click.IntRange(1), help="With --twice: only so many items of the catalogue; 2000 unless given.")
@click.option("--no-items", is_flag=True, help="Publish the events alone.")
@click.option(
    "--rate", type=click.FloatRange(min=0, min_open=True), help="Visitors' events per second; as fast as it goes unless given."
)
@click.option("--rebase", is_flag=True, help="Every timestamp becomes the moment of publishing.")
@click.option("--twice", is_flag=True, help="On an embedded broker and Redis: replay once, replay again, compare.")
@json_option
@pass_parts
def replay(parts: Parts, /, data: Path | None, twice: bool, as_json: bool, **how: Any) -> None:
    """Publish a data set to the running system.

    Its catalogue goes first, then its events, with the times that stand in them.

    With --twice nothing needs to run: it starts a stack of its own, sends the same bytes twice and compares all profiles, lists
    and facts in Redis after the first and after the second time; the exit code is 1 unless they are equal.
    """
    if twice:
        _replay_twice(data, how["limit"] or 2_000, how["items"] or 2_000, as_json)
        return
    from streamrec.demo import open_data, replay

    with progress() as bar:
        task = bar.add_task("replay", total=how["limit"], note="messages")
        counts = replay(
            open_data(data),
            parts.settings.kafka,
            rate=how["rate"],
            limit=how["limit"],
            items=not how["no_items"],
            rebase=how["rebase"],
            progress=lambda done: bar.update(task, completed=done),
            clock=parts.clock,
        )
    if as_json:
        emit({"sent": dict(counts)})
    else:
        click.echo(f"sent: {', '.join(f'{number:,} {kind}' for kind, number in counts.most_common())}")


def _replay_twice(data: Path | None, limit: int, items: int, as_json: bool) -> None:
    from streamrec.demo import open_data, replay_twice

    # What it tells meanwhile goes to stderr where stdout is for a program.
    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        result = replay_twice(open_data(data), limit, items=items)
    if as_json:
        emit({"equal": result.equal, "parts": {name: asdict(part) for name, part in result.parts.items()}})
    if not result.equal:
        raise click.exceptions.Exit(1)
