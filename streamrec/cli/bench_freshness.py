"""``streamrec bench freshness``: the guarantees at the size of a large shop."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streamrec.cli.output import emit, json_option

if TYPE_CHECKING:
    from streamrec.demo.view import View


class Sizes(click.ParamType):
    """Numbers of items, separated by commas."""

    name = "sizes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Return the sizes, each once, ascending."""
        if isinstance(value, tuple):
            return value
        words = [word.strip() for word in value.split(",") if word.strip()]
        if not words or not all(word.isdecimal() for word in words):
            self.fail(f"{value!r} are no sizes; write them like 10000,100000", param, ctx)
        return tuple(sorted({int(word) for word in words}))


@click.command("freshness")
@click.option("--items", type=click.IntRange(1), default=1_000_000, show_default=True, help="Items in the catalogue.")
@click.option("--users", type=click.IntRange(1), default=1_000_000, show_default=True, help="Visitors with a pushed list.")
@click.option("--histories", type=click.IntRange(1), help="Distinct histories of clicks; default: one per visitor, at most 50,000.")
@click.option("--seconds", type=click.FloatRange(1), default=120.0, show_default=True, help="Length of the load.")
@click.option("--reads", type=click.IntRange(0), default=0, help="Go on until so many answers were judged.")
@click.option("--readers", type=click.IntRange(1), default=1, show_default=True, help="Processes that read.")
@click.option("--read-rate", type=click.FloatRange(1), default=4000.0, show_default=True, help="Reads per second of each, at most.")
@click.option("--clicks", type=click.FloatRange(0), default=20.0, show_default=True, help="Clicks per second.")
@click.option(
    "--stock-rate", type=click.FloatRange(0), default=2000.0, show_default=True, help="Stock facts per second, in bursts."
)
@click.option(
    "--flash-sales",
    type=click.FloatRange(0),
    default=0.05,
    show_default=True,
    help="Items of very many lists sold out, per second.",
)
@click.option("--burst", "burst_s", type=click.FloatRange(0.01), default=0.25, show_default=True, help="Seconds between bursts.")
@click.option("--campaigns", type=click.FloatRange(0), default=0.2, show_default=True, help="Campaigns per second.")
@click.option(
    "--patience", "patience_s", type=click.FloatRange(1), default=15.0, show_default=True, help="Seconds until an effect is lost."
)
@click.option("--broker", type=click.Choice(["embedded", "apache"]), default="embedded", show_default=True)
@click.option("--data", type=click.Path(exists=True, path_type=Path), help="The folder of the data sets with real titles.")
@click.option("--restart/--no-restart", default=True, show_default=True, help="Restart the recommender before the load.")
@click.option("--sizes", type=Sizes(), help="Run each of these sizes instead, items as many as users: 10000,100000,1000000.")
@click.option(
    "--plots",
    type=click.Path(file_okay=False, path_type=Path),
    help="With --sizes: write table and plots here, and go on where a run was cut off.",
)
@click.option("--rivals", is_flag=True, help="Measure other ways to the same answer, too.")
@click.option("--seed", type=int, default=7, show_default=True)
@click.option(
    "--log-dir", type=click.Path(file_okay=False, path_type=Path), help="Keep the logs of broker, Redis and workers here."
)
@json_option
def freshness(as_json: bool, sizes: tuple[int, ...], plots: Path | None, **given: Any) -> None:
    """How late every effect is with a million items and a million visitors, and whether a reader ever sees what is sold out.

    The exit code is 1 if one did.
    """
    from streamrec.bench.freshness.curves import run_sizes
    from streamrec.bench.freshness.options import FreshnessOptions
    from streamrec.bench.freshness.run import run

    if plots and not sizes:
        msg = "--plots draws how figures grow with the size; give the --sizes"
        raise click.UsageError(msg)
    options = FreshnessOptions(**given)
    if sizes:
        found = run_sizes(sizes, options, _view(), plots)
        reports = list(found["sizes"].values())
    else:
        found = run(options, _view())
        reports = [found]
    _print(found, reports, as_json=as_json)
    raise click.exceptions.Exit(1 if any(report["violations"]["count"] for report in reports) else 0)


def _view() -> View:
    from rich.console import Console

    from streamrec.demo.view import LiveView, PlainView

    return LiveView(Console(stderr=True)) if sys.stderr.isatty() else PlainView(lambda line: click.echo(line, err=True))


def _print(found: dict[str, Any], reports: list[dict[str, Any]], *, as_json: bool) -> None:
    from streamrec.bench.freshness.report import summary

    if as_json:
        emit(found)
        return
    for report in reports:
        click.echo("\n".join([*summary(report), ""]))
