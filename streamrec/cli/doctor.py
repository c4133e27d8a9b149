"""``streamrec doctor``: tells whether everything is there that the path from an event to a list needs."""

from __future__ import annotations

import click

from streamrec.cli.output import emit, json_option
from streamrec.cli.parts import Parts, pass_parts


@click.command()
@click.option(
    "--max-lag", type=click.IntRange(0), default=10_000, show_default=True, help="A group may be so many messages behind."
)
@click.option("--load-model", is_flag=True, help="Also load the encoder (building it at the first time) and encode a text.")
@json_option
@pass_parts
def doctor(parts: Parts, max_lag: int, load_model: bool, as_json: bool) -> None:
    """Check all parts, from the broker to the lag.

    Broker, topics, Redis, its functions, the model, workers and each group's lag; the exit code is 1 if anything is red.
    """
    from streamrec.cli.checks import Examination, examine
    from streamrec.redaction import Redact
    from workers.groups import GROUPS

    mask = Redact(parts.settings.secrets()).text  # what the broker or Redis said may hold anything
    findings = []
    for finding in examine(Examination(parts, GROUPS, max_lag, load_model)):
        findings.append({"check": finding.check, "ok": finding.ok, "text": mask(finding.text)})
        if not as_json:
            sign = click.style("ok ", fg="green") if finding.ok else click.style("BAD", fg="red", bold=True)
            click.echo(f"{sign} {finding.check:9} {mask(finding.text)}")
    healthy = all(finding["ok"] for finding in findings)
    if as_json:
        emit({"ok": healthy, "findings": findings})
    if not healthy:
        raise click.exceptions.Exit(1)
