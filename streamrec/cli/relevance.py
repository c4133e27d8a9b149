"""``streamrec relevance``: how well words find products, on data that people judged."""

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
    required=True,
    metavar="PATH",
    help="A folder with catalogue.jsonl and judgements.csv (query,item_id,grade), a known data set, or a folder of several.",
)
@click.option("--set", "sets", multiple=True, help="Only this data set; may be repeated.")
@click.option(
    "--encoder",
    "--model",
    "encoders",
    multiple=True,
    help="Only this model; may be repeated. Default: the configured one and the three that packages carry.",
)
@click.option(
    "--queries", type=click.IntRange(0), default=1000, show_default=True, help="Queries of each data set, drawn evenly; 0: all."
)
@click.option("--seed", type=int, default=7, show_default=True, help="Of what is drawn and of the confidence intervals.")
@click.option("--lists/--no-lists", default=True, show_default=True, help="Also measure visitors' lists before and after a search.")
@json_option
@pass_parts
def relevance(parts: Parts, /, as_json: bool, **choices: Any) -> None:
    """Measure retrieval by query, and the list after a search.

    NDCG@10 (gain 2^grade - 1) of the workers' own search beside exact search, BM25 and hybrids, for each encoder, among the judged
    products alone and in the whole catalogue, where what nobody judged counts as wrong. Then the list of visitors who search at
    once, after clicks on other things, and before one.
    """
    from streamrec.evaluate.relevance import Options, run

    with progress() as bar:
        result = run(Options(**choices), parts.settings, steps_of(bar))
    if as_json:
        emit(result)
    else:
        _print(result)


def _print(result: dict[str, Any]) -> None:
    from streamrec.evaluate.relevance import tables

    for title, columns, rows in tables.all_tables(result):
        table(columns, rows, title=title)
    for name, about in result["data"].items():
        for note in about["notes"]:
            click.echo(f"{name}: {note}")
    for what, why in result["missing"].items():
        click.echo(f"{what} was left out: {why}")
