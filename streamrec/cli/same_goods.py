"""``streamrec same-goods``: how well vectors bring together the same goods under other titles and in other languages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from streamrec.cli.output import emit, json_option, progress, steps_of, table
from streamrec.cli.parts import Parts, pass_parts


@click.command("same-goods")
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    metavar="DIR",
    help="A folder with icecat_chorus/products.jsonl.gz or jd_titles_zh/titles.jsonl.gz.",
)
@click.option(
    "--model",
    "models",
    multiple=True,
    help="Only this model; may be repeated. Default: the configured one and the three that packages carry.",
)
@click.option(
    "--items", type=click.IntRange(0), default=2000, show_default=True, help="Items among which is searched, drawn evenly; 0: all."
)
@click.option("--questions", type=click.IntRange(0), default=200, show_default=True, help="Questions of each task; 0: all.")
@click.option("--seed", type=int, default=7, show_default=True, help="Of what is drawn and of the confidence intervals.")
@json_option
@pass_parts
def same_goods(parts: Parts, /, as_json: bool, **choices: Any) -> None:
    """Measure recall@10 of the same goods under another title.

    Items of one product line, makers' descriptions in other words, titles with the same product words, and titles and names in
    another language; by titles alone and with attributes, for each model and for BM25.
    """
    from streamrec.evaluate.same_goods import Options, run

    with progress() as bar:
        result = run(Options(**choices), parts.settings, steps_of(bar))
    if as_json:
        emit(result)
    else:
        _print(result)


def _print(result: dict[str, Any]) -> None:
    for name, labels in result["recall"].items():
        about = result["tasks"][name]
        rows = [
            [model, label, found["recall@10"], "{:.3f} to {:.3f}".format(*found["interval95"]), found["first@1"]]
            for label, models in labels.items()
            for model, found in models.items()
        ]
        title = f"{name}: {about['description']}; {about['questions']} among {about['items']:,}"
        table(["model", "text", "recall@10", "95 %", "nearest is right"], rows, title=title)
    for name, about in result["models"].items():
        click.echo(f"{name}: {about['texts']:,} texts in {about['seconds']:.1f} s")
    for what, why in result["missing"].items():
        click.echo(f"{what} was left out: {why}")
