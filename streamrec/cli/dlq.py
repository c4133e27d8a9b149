"""``streamrec dlq``: what was refused, why, and bringing it in after the cause is mended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from streamrec.cli.output import emit, json_option, safe, table, when
from streamrec.cli.parts import Letter, Parts, pass_parts

if TYPE_CHECKING:
    from streamrec.cli.letters import Entry, Outcome

_reason = click.option("--reason", metavar="TEXT", help="Only those whose reason holds TEXT.")
_topic = click.option("--topic", metavar="NAME", help="Only those that came from this topic.")


@click.group()
def dlq() -> None:
    """List and re-drive the messages that were refused."""


@dlq.command("list")
@_reason
@_topic
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="The newest so many.")
@click.option("--all", "everything", is_flag=True, help="Also those that were re-driven.")
@json_option
@pass_parts
def list_(parts: Parts, reason: str | None, topic: str | None, limit: int, everything: bool, as_json: bool) -> None:
    """Show each dead letter with its reason and where it came from."""
    from streamrec.cli.letters import marks, select

    letters = select(parts, reason=reason, topic=topic, redriven=everything)
    shown = letters[-limit:]
    done = marks(parts.redis) if everything else frozenset()
    if as_json:
        emit([_described(entry.letter, entry.mark in done) for entry in shown])
        return
    if not letters:
        click.echo("no dead letters" + ("" if everything else " (--all shows those that were re-driven)"))
        return
    rows = [_row(entry) for entry in shown]
    table(["id", "source", "key", "reason", "time (UTC)", "value"], rows)
    if len(shown) < len(letters):
        click.echo(f"{len(letters) - len(shown)} older ones are not shown; --limit shows more")


def _row(entry: Entry) -> list[str]:
    letter = entry.letter
    source = f"{letter.source_topic}[{letter.source_partition}]@{letter.source_offset}"
    return [entry.id, source, safe(letter.key, 24), safe(letter.reason, 120), when(letter.at_ms), safe(letter.value, 40)]


def _described(letter: Letter, redriven: bool) -> dict[str, Any]:
    import base64

    return {
        "id": f"{letter.partition}:{letter.offset}",
        "source": {"topic": letter.source_topic, "partition": letter.source_partition, "offset": letter.source_offset},
        "reason": letter.reason,
        "time_ms": letter.at_ms,
        "key": None if letter.key is None else letter.key.decode(errors="backslashreplace"),
        "preview": safe(letter.value, 200),
        "value_base64": None if letter.value is None else base64.b64encode(letter.value).decode(),
        "redriven": redriven,
    }


@dlq.command()
@click.option("--id", "ids", multiple=True, metavar="P:O", help="The id that `dlq list` shows; any number.")
@_reason
@_topic
@click.option("--all", "everything", is_flag=True, help="Every one that was not re-driven yet.")
@click.option("--value", "value_file", type=click.File("rb"), help="Send the bytes of this file instead; with one --id.")
@click.option("--key", help="Send this key instead; with one --id.")
@click.option("--restamp", is_flag=True, help="Set ts to now, for messages with an impossible time.")
@click.option("--force", is_flag=True, help="Send also what a worker would refuse again.")
@click.option("--dry-run", is_flag=True, help="Tell what would be done; send nothing.")
@json_option
@pass_parts
def redrive(parts: Parts, /, ids: Sequence[str], everything: bool, as_json: bool, **how: Any) -> None:
    """Send dead letters to the topic that they came from, once what was wrong with them is mended.

    A message that would be refused again is not sent, and the reason is told; the exit code is then 1.
    """
    from streamrec.cli.letters import Repair, redrive_letters, select

    if not (ids or everything or how["reason"] or how["topic"]):
        raise click.UsageError("say which: --id P:O, --reason TEXT, --topic NAME or --all")
    if (how["value_file"] or how["key"]) and len(ids) != 1:
        raise click.UsageError("--value and --key mend one message; name it by --id")
    value = how["value_file"].read() if how["value_file"] else None
    repair = Repair(key=how["key"], value=value, restamp=how["restamp"], force=how["force"])
    # A letter that is named is sent again even if it was before: effects are idempotent, and the caller knows why.
    chosen = select(parts, reason=how["reason"], topic=how["topic"], ids=ids, redriven=bool(ids))
    outcomes = redrive_letters(parts, chosen, repair, dry_run=how["dry_run"])
    _report(outcomes, as_json, how["dry_run"])


def _report(outcomes: Sequence[Outcome], as_json: bool, dry_run: bool) -> None:
    refused = [outcome for outcome in outcomes if outcome.refused]
    if as_json:
        emit(
            [
                {"id": outcome.id, "topic": outcome.topic, "sent": not outcome.refused and not dry_run, "refused": outcome.refused}
                for outcome in outcomes
            ]
        )
    else:
        for outcome in refused:
            click.echo(f"{outcome.id} not sent to {safe(outcome.topic)}: {safe(outcome.refused, 300)}", err=True)
        click.echo(f"{'would be re-driven' if dry_run else 're-driven'}: {len(outcomes) - len(refused)}, refused: {len(refused)}")
    if refused:
        raise click.exceptions.Exit(1)
