"""``streamrec evaluate``: how good the lists are, on real streams."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from streamrec.cli.output import emit, json_option, progress, steps_of, table
from streamrec.cli.parts import Parts, pass_parts


@click.command()
@click.option(
    "--data",
    type=click.Path(exists=True, path_type=Path),
    metavar="PATH",
    help="A data set, or a folder of several; without it The Complete Journey.",
)
@click.option("--stream", "streams", multiple=True, help="Only this stream; may be repeated.")
@click.option("--method", "methods", multiple=True, help="Only this method; may be repeated. Default: all.")
@click.option("--limit", type=click.IntRange(0), default=0, show_default=True, help="Events of each stream; 0: all.")
@click.option(
    "--sample",
    type=click.IntRange(0),
    default=5000,
    show_default=True,
    help="Interactions that lists are asked for, drawn evenly; 0: all. All are learnt.",
)
@click.option(
    "--warm-up",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.2,
    show_default=True,
    help="First share of the interactions, only learnt.",
)
@click.option("--seed", type=int, default=7, show_default=True, help="Of the sample and the confidence intervals.")
@click.option(
    "--refits", type=click.IntRange(1), default=30, show_default=True, help="Fits of ALS and BPR over a stream; one a day at most."
)
@click.option("--online/--no-online", default=True, show_default=True, help="Event by event: first rank, then learn.")
@click.option(
    "--session-days", type=click.FloatRange(0), default=0.0, help="Also train on all but so many last days and test on those."
)
@click.option("--ablation", is_flag=True, help="Also measure our ranking without each of its parts.")
@click.option("--fraud", is_flag=True, help="Also inject click fraud and tell what it changes of other visitors' lists.")
@click.option(
    "--report",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIRECTORY",
    help="Write a page with tables and plots here, and go on where a run was cut off.",
)
@json_option
@pass_parts
def evaluate(parts: Parts, /, folder: Path | None, as_json: bool, **choices: Any) -> None:
    """Measure the lists on real streams, beside other methods.

    Each stream is replayed in event-time order through the code that workers run: for each next interaction first every method
    ranks, then it learns. Figures are of all next interactions, and of those with items that are new to the visitor.
    """
    from streamrec.evaluate import Options, run
    from streamrec.evaluate.methods import METHODS
    from streamrec.evaluate.report import TABLES, Report
    from streamrec.evaluate.tables import COLUMNS, FRAUD_COLUMNS, fraud_rows, rows

    if not (choices["online"] or choices["session_days"] or choices["fraud"]):
        msg = "nothing is left to be measured; give --session-days or --fraud"
        raise click.BadParameter(msg, param_hint="--no-online")
    unknown = sorted(set(choices["methods"]) - set(METHODS))
    if unknown:
        msg = f"{', '.join(unknown)} is no method; choose from {', '.join(METHODS)}"
        raise click.BadParameter(msg, param_hint="--method")
    report = None if folder is None else Report(folder)
    measured = report.read() if report else {}
    with progress() as bar:
        result = run(
            Options(**choices), parts.settings, steps_of(bar), measured=measured, done=report.write if report else lambda _: None
        )
    if as_json:
        emit(result)
        return
    for kind in TABLES:
        for name, methods in result[kind].items():
            table(COLUMNS, rows(methods), title=f"{kind}: {name}")
    for name, found in result["fraud"].items():
        table(FRAUD_COLUMNS, fraud_rows(found), title=f"fraud: {name}, lists of {found['audience']} others")
    for name, missing in result["missing"].items():
        for method, why in missing.items():
            click.echo(f"{name}: {method} was left out: {why}")
