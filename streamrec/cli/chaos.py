"""``streamrec chaos``: faults at random against a live system of its own, and the auditor's verdict."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from streamrec.cli.output import emit, json_option, table

if TYPE_CHECKING:
    from streamrec.chaos.run import Report


@click.command()
@click.option("--seed", type=int, default=1, show_default=True, help="Of the shop, the faults and their moments.")
@click.option("--minutes", type=click.FloatRange(min=0.1), default=2.0, show_default=True, help="How long faults happen.")
@click.option(
    "--broker",
    type=click.Choice(["apache", "embedded"]),
    help="Apache Kafka where Java and Maven are, unless given. The embedded broker forgets all, so nothing happens to it.",
)
@click.option("--rate", type=click.FloatRange(min=1), default=150.0, show_default=True, help="Messages per second.")
@click.option("--faults", metavar="NAME[,NAME]", default="", help="Draw only from these; --list names them.")
@click.option(
    "--log-dir", type=click.Path(file_okay=False, path_type=Path), help="Keep the logs of broker, Redis and workers here."
)
@click.option("--list", "as_list", is_flag=True, help="List the faults and end.")
@json_option
def chaos(faults: str, as_list: bool, as_json: bool, broker: Literal["apache", "embedded"] | None, **how: Any) -> None:
    """Break what can break and audit what is left.

    A shop runs on a broker, a Redis and workers of its own; meanwhile workers, broker and Redis are killed, frozen, restarted and
    emptied as the seed says. Then everything is mended, and an auditor compares Redis with what was published. The exit code is 1
    unless nothing was lost, doubled or stale.
    """
    from streamrec.chaos.faults import FAULTS
    from streamrec.chaos.run import Options, run_chaos

    if as_list:
        table(("fault", "what happens"), [(name, fault.__doc__ or "") for name, fault in FAULTS.items()])
        return
    chosen = tuple(name.strip() for name in faults.split(",") if name.strip())
    report = run_chaos(Options(broker=broker, faults=chosen, **how), lambda line: click.echo(line, err=True))
    if as_json:
        emit(report.as_dict())
    else:
        _summary(report)
    if not report.ok:
        raise click.exceptions.Exit(1)


def _summary(report: Report) -> None:
    verdict = report.verdict
    if verdict.details:
        rows = [(f.kind, f.what, f.key, f"expected {f.expected}, found {f.found}") for f in verdict.details[:20]]
        table(("kind", "what", "where", "evidence"), rows)
    for crash in report.crashes:
        click.echo(f"{crash.name} ended by itself with code {crash.exit_code}: {crash.said}")
    for note in report.notes:
        click.echo(note)
    checked = ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in verdict.checked.items())
    click.echo(f"seed {report.seed}: {sum(report.faults.values())} faults in {report.minutes:g} min; compared {checked}")
    click.echo(f"lost {verdict.lost}, doubled {verdict.doubled}, stale {verdict.stale}")
