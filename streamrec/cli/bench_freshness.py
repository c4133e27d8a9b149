"""``streamrec bench freshness``: the guarantees at the size of a large shop."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from streamrec.cli.output import emit, json_option


@click.command("freshness")
@click.option("--items", type=click.IntRange(1), default=1_000_000, show_default=True, help="Items in the catalogue.")
@click.option("--users", type=click.IntRange(1), default=1_000_000, show_default=True, help="Visitors with a pushed list.")
@click.option("--histories", type=click.IntRange(1), help="Distinct histories of clicks; default: one per visitor, at most 50,000.")
@click.option("--seconds", type=click.FloatRange(1), default=120.0, show_default=True, help="Length of the load.")
@click.option("--reads", type=click.IntRange(0), default=0, help="Go on until so many answers were judged.")
@click.option("--readers", type=click.IntRange(1), default=1, show_default=True, help="Processes that read.")
@click.option("--read-rate", type=click.FloatRange(1), default=4000.0, show_default=True, help="Reads per second of each, at most.")
@click.option("--clicks", type=click.FloatRange(0), default=20.0, show_default=True, help="Clicks per second.")
@click.option("--stock-rate", type=click.FloatRange(0), default=2000.0, show_default=True, help="Stock facts per second, in bursts.")
@click.option("--patience", "patience_s", type=click.FloatRange(1), default=15.0, show_default=True, help="Seconds until an effect is lost.")
@click.option("--broker", type=click.Choice(["embedded", "apache"]), default="embedded", show_default=True)
@click.option("--data", type=click.Path(exists=True, path_type=Path), help="The folder of the data sets with real titles.")
@click.option("--restart/--no-restart", default=True, show_default=True, help="Restart the recommender before the load.")
@click.option("--rivals", is_flag=True, help="Measure other ways to the same answer, too.")
@click.option("--seed", type=int, default=7, show_default=True)
@click.option("--log-dir", type=click.Path(file_okay=False, path_type=Path), help="Keep the logs of broker, Redis and workers here.")
@json_option
def freshness(as_json: bool, **given: Any) -> None:
    """How late every effect is with a million items and a million visitors, and whether a reader ever sees what is sold out.

    The exit code is 1 if one did.
    """
    from rich.console import Console

    from streamrec.bench.freshness import FreshnessOptions
    from streamrec.bench.freshness.report import summary
    from streamrec.bench.freshness.run import run
    from streamrec.demo.view import LiveView, PlainView

    options = FreshnessOptions(**given)
    view = LiveView(Console(stderr=True)) if sys.stderr.isatty() else PlainView(lambda line: click.echo(line, err=True))
    found = run(options, view)
    if as_json:
        emit(found)
    else:
        for line in summary(found):
            click.echo(line)
    raise click.exceptions.Exit(1 if found["violations"]["count"] else 0)
