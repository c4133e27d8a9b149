"""``streamrec topics``: set up what streamrec reads and writes."""

from __future__ import annotations

import click

from streamrec.cli.output import emit, json_option, table
from streamrec.cli.parts import Parts, pass_parts


@click.group()
def topics() -> None:
    """Create and list the Kafka topics."""


@topics.command()
@click.option("--partitions", type=click.IntRange(1), help="Instead of the number in topics.toml; topics with one keep one.")
@click.option("--replication-factor", type=click.IntRange(1), help="Instead of the number in topics.toml; 3 in production.")
@json_option
@pass_parts
def create(parts: Parts, partitions: int | None, replication_factor: int | None, as_json: bool) -> None:
    """Create the topics that are missing; those that exist stay as they are."""
    outcome = dict(parts.broker.create(partitions, replication_factor))
    if as_json:
        emit(outcome)
        return
    for name, what in outcome.items():
        click.echo(f"{what:8} {name}")


@topics.command("list")
@json_option
@pass_parts
def list_(parts: Parts, as_json: bool) -> None:
    """List the topics with what the broker has of them."""
    from streamrec.events.topics import TOPICS

    found = parts.broker.partitions()
    rows = [
        {
            "topic": t.name,
            "key": t.key,
            "cleanup": t.cleanup,
            "encoding": t.encoding,
            "internal": t.internal,
            "partitions": found.get(t.name, 0),
        }
        for t in TOPICS.values()
    ]
    if as_json:
        emit(rows)
    else:
        table(list(rows[0]), [list(row.values()) for row in rows])
    if any(not row["partitions"] for row in rows):
        click.echo("some topics are missing; run `streamrec topics create`", err=True)
        raise click.exceptions.Exit(1)
