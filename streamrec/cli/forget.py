"""``streamrec forget``: a visitor's wish to be forgotten, with the proof."""

from __future__ import annotations

import click

from streamrec.cli.output import emit, json_option, safe
from streamrec.cli.parts import Parts, pass_parts


@click.command()
@click.argument("user_id", metavar="USER")
@json_option
@pass_parts
def forget(parts: Parts, user_id: str, as_json: bool) -> None:
    """Delete a visitor's profile and lists, with proof.

    The visitor's messages stay in Kafka until their topics' retention is over. Running workers do not read them again, and
    `streamrec rebuild` passes over them as long as Redis keeps the note of this wish (a digest of the id); after Redis came back
    empty, forget again those who asked for it.
    """
    # First, so that a rebuild that is under way cannot bring them back.
    parts.forgotten.note(user_id, parts.clock.now_ms())
    forgotten = parts.visitors.forget(user_id)
    if as_json:
        emit({"user": user_id, "deleted": forgotten.deleted, "remaining": list(forgotten.remaining)})
    else:
        for name, size in forgotten.deleted.items():
            click.echo(f"deleted {safe(name, 200)} ({size} bytes)")
        left = ", ".join(safe(name, 200) for name in forgotten.remaining) or "none"
        click.echo(f"keys of {safe(user_id, 128)} before: {len(forgotten.deleted)}, left: {left}")
    if forgotten.remaining:
        click.echo("a worker wrote a new event of this visitor meanwhile; stop sending their events and run it again", err=True)
        raise click.exceptions.Exit(1)
