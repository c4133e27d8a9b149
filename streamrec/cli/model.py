"""``streamrec model``: which encoders there are, fetching and building one, and whether it still gives the vectors that it gave."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streamrec.cli.model_use import status, use
from streamrec.cli.output import emit, json_option, progress, steps_of, table
from streamrec.cli.parts import Parts, pass_parts

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import Progress


@click.group()
def model() -> None:
    """List, build and check encoders; change the model of a running shop, and go back."""


model.add_command(use)
model.add_command(status)


@model.command("list")
@json_option
@pass_parts
def list_(parts: Parts, as_json: bool) -> None:
    """List the declared models and whether their files are there.

    Those of the package, and those of the section model.own of the settings file, whose fields come before the package's.
    """
    from streamrec.embedding.models import catalogue, sources

    settings = parts.settings.model
    rows = [
        {
            "name": name,
            "configured": name == settings.name,
            "state": sources.state_of(entry, settings.named(name)),
            "source": entry.source,
            "pooling": entry.pooling,
            "languages": entry.languages,
            "licence": entry.licence,
            "megabytes": entry.megabytes,
            "query_prefix": entry.query_prefix,
            "item_prefix": entry.item_prefix,
            "max_tokens": entry.max_tokens,
            "dim": entry.dim,
        }
        for name, entry in catalogue(settings).items()
    ]
    if as_json:
        emit({"models": rows})
        return
    shown = ("name", "state", "source", "pooling", "languages", "licence", "megabytes")
    table(shown, [[f"{row['name']} *" if row["configured"] and key == "name" else row[key] for key in shown] for row in rows])
    click.echo("* is the configured one (STREAMREC_MODEL__NAME)")


@model.command("build")
@click.argument("name")
@json_option
@pass_parts
def build(parts: Parts, name: str, as_json: bool) -> None:
    """Fetch or write the files of the model NAME into the cache.

    What is fetched has to have a pinned revision and a checksum; what was fetched by halves is gone on with.
    """
    from streamrec.embedding.models import entry_of, sources

    settings = parts.settings.model.named(name)
    entry = entry_of(settings)
    with progress() as bar:
        files = sources.build(entry, settings, _bytes_of(bar))
    told = {
        "model": name,
        "graph": str(files.graph),
        "tokenizer": str(files.tokenizer),
        "source": entry.source,
        "licence": entry.licence,
    }
    if as_json:
        emit(told)
    else:
        click.echo(f"{name} ({told['source']}, licence {told['licence'] or 'not stated'}) is ready: {files.graph}")
        click.echo(f"try it: streamrec model check {name}; use it: STREAMREC_MODEL__NAME={name}")


@model.command("check")
@click.argument("name")
@click.option(
    "--write",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Store the vectors in this .npy file instead (check_vectors).",
)
@json_option
@pass_parts
def check(parts: Parts, name: str, target: Path | None, as_json: bool) -> None:
    """Compare the vectors of the model NAME with stored ones.

    A fixed set of titles and queries in many languages; the exit code is 1 where they differ, and what to do is said. A model
    without stored vectors is looked at for what every encoder must be: finite, and the same alone as in a batch.
    """
    from streamrec.embedding import load_encoder
    from streamrec.embedding.models import check as checking
    from streamrec.embedding.models import entry_of

    settings = parts.settings.model.named(name)
    entry = entry_of(settings)
    encoder = load_encoder(settings)
    if target is not None:
        checking.keep(target, checking.embed(encoder))
        told: dict[str, Any] = {"model": name, "digest": encoder.digest, "dim": encoder.dim, "written": str(target)}
    else:
        told = checking.report(encoder, entry, settings)
    if as_json:
        emit(told)
    else:
        _print(told)
    if not told.get("ok", True):
        raise click.exceptions.Exit(1)


@model.command("speed")
@click.argument("names", nargs=-1)
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    metavar="DIR",
    help="The folder of labelled data that `streamrec relevance` reads; its items' texts are embedded.",
)
@click.option("--texts", type=click.IntRange(1), default=1000, show_default=True, help="Texts, drawn evenly.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="How often each model embeds all of them.")
@json_option
@pass_parts
def speed(parts: Parts, names: tuple[str, ...], data: Path, texts: int, rounds: int, as_json: bool) -> None:
    """Measure the models NAMES side by side: texts per second.

    The same texts in turn, so that the ratios stand on a busy machine too. Without NAMES: the three that packages carry.
    """
    from streamrec.bench import models

    with progress() as bar:
        told = models.run(models.titles(data, texts), parts.settings.model, names, rounds=rounds, progress=steps_of(bar))
    if as_json:
        emit(told)
        return
    rows = [[name, *found.values()] for name, found in told["models"].items()]
    table(["model", *next(iter(told["models"].values()))], rows, title=f"{told['texts']} texts, {told['precision']}")
    for name, why in told["missing"].items():
        click.echo(f"{name} was left out: {why}")


def _print(told: dict[str, Any]) -> None:
    if "written" in told:
        click.echo(
            f"{told['model']}: the vectors are in {told['written']}; name it as check_vectors in [model.own.{told['model']}]"
        )
        return
    head = f"{told['model']}: digest {told['digest']}, {told['dim']} numbers"
    if "cosine_min" in told:
        head += f", cosine to the stored vectors {told['cosine_min']:.4f} at least, {told['cosine_mean']:.4f} on average"
    elif not told["compared"]:
        head += "; no vectors are stored to compare with (--write FILE stores today's)"
    click.echo(("ok  " if told["ok"] else "BAD ") + head)
    for problem in told["problems"]:
        click.echo(f"    {problem}")


def _bytes_of(bar: Progress) -> Callable[[str, int, int], None]:
    """Return what shows the bytes of each file; of a file that is gone on with the bar starts where it stopped."""
    tasks: dict[str, Any] = {}

    def say(what: str, steps: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = bar.add_task(what, total=total or None, note="bytes" if what != "writing" else "")
        elif total:
            bar.update(tasks[what], total=total)
        bar.advance(tasks[what], steps)

    return say
