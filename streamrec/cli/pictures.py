"""``streamrec pictures``: the image encoder, the map into the space of texts, and what pictures add."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streamrec.cli.output import emit, json_option, progress, steps_of, table
from streamrec.cli.parts import Parts, pass_parts

if TYPE_CHECKING:
    from streamrec.config import Settings
    from streamrec.pictures.settings import PictureSettings

_DATA = click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    metavar="DIR",
    help="A folder with catalogue.jsonl and images/ or images.zip, whose files are named by item_id; or fashion44k.",
)


@click.group()
def pictures() -> None:
    """Pictures of items: build the image encoder, fit it to the text encoder, look at one, measure what they add."""


@pictures.command()
@json_option
@pass_parts
def build(parts: Parts, /, as_json: bool) -> None:
    """Write the built-in image encoder as an ONNX graph into the cache, from the installed weights.

    Workers do the same at their first start with pictures on.
    """
    from streamrec.pictures.encoder import build as write
    from streamrec.pictures.encoder import load_eye

    path = write(parts.settings.model.cache_dir)
    eye = load_eye(_chosen(parts.settings), parts.settings.model.cache_dir)
    told = {"graph": str(path), "digest": eye.digest, "features": eye.dim}
    if as_json:
        emit(told)
    else:
        click.echo(f"{path}: {eye.dim} features per picture, digest {eye.digest}")


@pictures.command()
@_DATA
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The file to write, such as pictures.npz."
)
@click.option("--items", type=click.IntRange(0), default=50_000, show_default=True, help="Goods at most; 0: all.")
@json_option
@pass_parts
def fit(parts: Parts, /, data: Path, out: Path, items: int, as_json: bool) -> None:
    """Fit pictures to the texts of the configured encoder, on goods that have both; workers read the file that this writes.

    Take your own catalogue: the map learns what your texts say of what your pictures show.
    """
    from streamrec.embedding import load_encoder
    from streamrec.evaluate.pictures import fit_to, read_goods
    from streamrec.pictures.encoder import load_eye

    settings = parts.settings
    eye, encoder = load_eye(_chosen(settings), settings.model.cache_dir), load_encoder(settings.model)
    with progress() as bar:
        projection = fit_to(read_goods(data, items), eye, encoder, steps_of(bar))
    projection.save(out)
    told = {"file": str(out), "pairs": projection.pairs, "ridge": projection.ridge, "digest": projection.digest}
    if as_json:
        emit(told)
    else:
        click.echo(f"{out}: fitted on {projection.pairs} goods. Switch pictures on with")
        model, named = _chosen(settings).model, json.dumps([str(out.resolve())])
        click.echo(f"  STREAMREC_PICTURES__MODEL={model} STREAMREC_PICTURES__PROJECTIONS='{named}'")


@pictures.command()
@click.argument("url")
@json_option
@pass_parts
def look(parts: Parts, /, url: str, as_json: bool) -> None:
    """Fetch one picture as a worker would, and tell what comes of it; exit code 1 where it is refused."""
    import asyncio

    from streamrec.pictures.decoding import decode, digest_of, format_of
    from streamrec.pictures.fetching import Fetcher
    from streamrec.pictures.refusals import Refused

    chosen = _chosen(parts.settings)

    async def fetched() -> bytes:
        fetcher = Fetcher(chosen)
        try:
            async with fetcher.place(url):
                return (await fetcher.fetch(url)).content or b""
        finally:
            await fetcher.close()

    try:
        content = asyncio.run(fetched())
        decode(content, chosen.input_size, chosen.max_pixels)
    except Refused as refused:
        if as_json:
            emit({"reason": refused.reason, "detail": refused.detail})
        else:
            click.echo(f"refused: {refused}")
        raise SystemExit(1) from None
    told = {"bytes": len(content), "format": format_of(content), "digest": digest_of(content)}
    if as_json:
        emit(told)
    else:
        click.echo(f"seen: {told['format']}, {told['bytes']} bytes, digest {told['digest']}")


@pictures.command()
@_DATA
@click.option("--encoder", "encoders", multiple=True, help="A text encoder; may be repeated. Default: the configured one.")
@click.option("--items", type=click.IntRange(0), default=10_000, show_default=True, help="Goods at most; 0: all.")
@click.option("--seed", type=int, default=7, show_default=True, help="Of the confidence intervals.")
@json_option
@pass_parts
def evaluate(parts: Parts, /, as_json: bool, **choices: Any) -> None:
    """Measure how well title, picture and both bring goods of one kind together.

    Half of the goods are fitted to, a tenth is for the choice of the weight, and of the rest each is asked for its ten nearest;
    goods of one title are in one part. A poor title is one without the words that name the kind.
    """
    from streamrec.evaluate.pictures import Options, run

    with progress() as bar:
        result = run(Options(**choices), parts.settings, steps_of(bar))
    if as_json:
        emit(result)
    else:
        _print(result)


def _chosen(settings: Settings) -> PictureSettings:
    from streamrec.pictures.settings import PictureSettings

    # Nothing is fitted yet, so there may be no projection to name.
    given = settings.pictures
    return given if given.model else PictureSettings.model_construct(**(given.model_dump() | {"model": "efficientnet-lite0"}))


def _print(result: dict[str, Any]) -> None:
    data = result["data"]
    click.echo(f"{data['name']}: {data['goods']} goods of {data['kinds']} kinds, {data['judged']} judged")
    measures = ("precision@10", "recall@10", "recall@10_per_kind")
    for name, told in result["encoders"].items():
        for what, title in (("same_kind", "nearest of each good"), ("asked_by_kind", "nearest to the name of each kind")):
            rows = [
                (row, *(one[measure] for measure in measures), "–".join(f"{edge:.3f}" for edge in one["recall@10_95"]))
                for row, one in told[what].items()
            ]
            table(("vectors", *measures, "95 %"), rows, title=f"{name}: {title}")
        table(("weight", "recall@10", "poor titles"), [(w, *v.values()) for w, v in told["weights"].items()], title="by weight")
        table(("mean cosine of", ""), list(told["geometry"].items()), title="geometry")
