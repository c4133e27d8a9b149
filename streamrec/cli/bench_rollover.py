"""``streamrec bench rollover``: bulk against live, and a change of the model under the same load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from streamrec.cli.output import emit, json_option, table


@click.command()
@click.option("--items", type=click.IntRange(100), default=20_000, show_default=True, help="Items of the bulk load.")
@click.option("--before", default="hashing", show_default=True, help="The model that the shop begins with.")
@click.option("--after", default="hashing-96", show_default=True, help="The model that it changes to.")
@click.option("--live-rate", type=click.FloatRange(0.1), default=5.0, show_default=True, help="Live changes per second.")
@click.option(
    "--search-rate", type=click.FloatRange(0.1), default=10.0, show_default=True, help="Searches per second, each judged."
)
@click.option("--idle", "idle_s", type=click.FloatRange(0), default=10.0, show_default=True, help="Seconds of live changes alone.")
@click.option("--embedders", type=click.IntRange(1), default=1, show_default=True, help="Embedder processes.")
@click.option("--recommenders", type=click.IntRange(1), default=1, show_default=True, help="Recommender processes.")
@click.option("--broker", type=click.Choice(["embedded", "apache"]), default="embedded", show_default=True)
@click.option("--log-dir", type=click.Path(file_okay=False, path_type=Path), help="Keep the workers' logs here.")
@json_option
def rollover(as_json: bool, **choices: Any) -> None:
    """Bulk against live: how fresh changes stay while a catalogue is loaded, and while the model changes and goes back."""
    from streamrec.bench.rollover import Options, run

    found = run(Options(**choices), say=lambda what: click.echo(what, err=True))
    if as_json:
        emit(found)
        return
    rows = []
    for phase, told in found["live"].items():
        ms = told["to_found_ms"] or {}
        topic = told["to_topic_ms"] or {}
        rows.append(
            [phase, told["changes"], *(topic.get(q, "-") for q in ("p50", "p99")), *(ms.get(q, "-") for q in ("p50", "p99"))]
        )
    table(["live changes", "changes", "→ topic p50 ms", "p99", "→ found p50 ms", "p99"], rows)
    bulk, change, searches = found["bulk"], found["change"], found["searches"]
    click.echo(f"bulk: {bulk['alone']['per_s']:,} items/s alone, {bulk['beside_live']['per_s']:,} beside live changes")
    click.echo(f"model change: {change['seconds']:.1f} s, {change['per_s']:,} items/s; back in {change['back_seconds']:.1f} s")
    click.echo(f"searches: {searches['answers']}, {searches['mixed']} mixed, {searches['failed']} failed")
