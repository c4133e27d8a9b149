"""``streamrec experiment``: who is in which variant, what the variants' visitors do, and a rehearsal on a real stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streamrec.cli.moments import Moment, Span
from streamrec.cli.output import emit, json_option, progress, safe, table, when
from streamrec.cli.parts import Parts, pass_parts

if TYPE_CHECKING:
    from streamrec.config import ExperimentSettings
    from streamrec.experiments.report import Difference, Rate, Report

_window = click.option(
    "--window",
    "window_ms",
    type=Span(),
    default="30m",
    show_default=True,
    help="How long after an impression a click on its item, or an order, counts.",
)


@click.group()
def experiment() -> None:
    """Tell who is in which variant, and report what the variants' visitors do."""


@experiment.command()
@click.argument("users", metavar="USER...", nargs=-1, required=True)
@json_option
@pass_parts
def assign(parts: Parts, users: Sequence[str], as_json: bool) -> None:
    """Print the variant of each visitor, as lists and events carry it."""
    from streamrec.experiments.split import Split

    settings = running(parts)
    split = Split.of(settings)
    found = {user_id: settings.labels[split.variant(user_id)] for user_id in users}
    if as_json:
        emit(found)
        return
    for user_id, label in found.items():
        click.echo(f"{safe(user_id, 128)} {label}")


def running(parts: Parts) -> ExperimentSettings:
    """Return the configured experiment. Raises ConfigError without one."""
    from streamrec.errors import ConfigError

    found = parts.settings.experiment
    if not found.variants:
        advice = "set STREAMREC_EXPERIMENT__NAME and STREAMREC_EXPERIMENT__VARIANTS as the workers have them (schemas/config.md)"
        raise ConfigError(f"there is no experiment in the settings; {advice}")
    return found


# -- report -------------------------------------------------------------------------------------------------------------


@experiment.command()
@click.option("--since", "since_ms", type=Moment(), default="-1d", show_default=True, help="Impressions from this moment on.")
@click.option("--until", "until_ms", type=Moment(), default="now", show_default=True, help="And before this one; by event time.")
@_window
@click.option("--placement", default="", help="Only impressions of this placement; without it all.")
@json_option
@pass_parts
def report(parts: Parts, since_ms: int, until_ms: int, window_ms: int, placement: str, as_json: bool) -> None:
    """Report CTR and conversion of each variant.

    Reads events.impressions, events.clicks and events.orders from Kafka, as far back as these topics are kept. A visitor is what
    was drawn, so intervals (95 %) are over visitors; each variant is compared with the first. The exit code is 1 where the visitors
    are not split as configured: then no figure can be believed.

    Click-through rate: items shown that the same visitor clicked on within the window, of all items shown. Conversion: visitors
    with an order within the window after an impression, of all with an impression.
    """
    from streamrec.experiments.plan import Plan
    from streamrec.experiments.reading import TOPICS, Reading
    from streamrec.experiments.report import make_report

    if since_ms >= until_ms:
        raise click.UsageError("--since is not before --until; exchange them")
    max_future_ms = parts.settings.max_future_ms
    plan = Plan.of(running(parts), since_ms, until_ms, window_ms=window_ms, placement=placement)
    # By when records were sent: an event may be ahead of our clock by so much, and be sent later than it happened by any time.
    held = parts.broker.history(TOPICS, since_ms - max_future_ms)
    with progress() as bar:
        task = bar.add_task("experiment", total=sum(end - start for start, end in held.values()), note="records")
        reading = Reading(
            lambda: parts.broker.scan(held),
            parts.clock.now_ms(),
            max_future_ms=max_future_ms,
            tell=lambda n: bar.advance(task, n),
        )
        found = make_report(plan, reading)
    notes = [*found.notes, *_reach(parts, since_ms)]
    if reading.invalid:
        notes.append(f"{reading.invalid:,} records are no valid events and were passed over (`streamrec dlq list`)")
    _show(found, notes, as_json)


def _reach(parts: Parts, since_ms: int) -> Iterator[str]:
    """Say where more is asked for than the shortest-lived topic keeps by ``topics.toml``; a shop may have set it otherwise."""
    from streamrec.events.topics import IMPRESSIONS, TOPICS

    kept_ms = TOPICS[IMPRESSIONS].retention_ms
    if kept_ms is not None and parts.clock.now_ms() - since_ms > kept_ms:
        yield (
            f"{IMPRESSIONS} is made to keep {kept_ms // 3_600_000} h: where its retention.ms was not raised, earlier impressions "
            "are gone; raise it before an experiment of several days"
        )


def _show(found: Report, notes: Sequence[str], as_json: bool) -> None:
    if as_json:
        emit(found.plain() | {"notes": list(notes)})
    else:
        _draw(found, notes)
    if found.sample_ratio.mismatch:
        raise click.exceptions.Exit(1)


def _draw(found: Report, notes: Sequence[str]) -> None:
    span = f"{when(found.since_ms)} to {when(found.until_ms)} UTC, window {found.window_ms / 60_000:g} min"
    where = f", placement {safe(found.placement)}" if found.placement else ""
    columns = ["variant", "share", "visitors", "expected", "impressions", "clicked", "ctr", "95 %", "ordered", "conversion", "95 %"]
    rows = [
        [v.name, v.share, v.visitors, v.expected, v.impressions, v.clicked, *_rate(v.ctr), v.ordered, *_rate(v.conversion)]
        for v in found.variants
    ]
    table(columns, rows, title=f"{found.experiment}: {span}{where}")
    compared = [
        [v.name, measure, *_difference(rate.difference)]
        for v in found.variants
        for measure, rate in (("ctr", v.ctr), ("conversion", v.conversion))
        if rate is not None and rate.difference is not None
    ]
    if compared:
        control = found.variants[0].name
        table(["variant", "measure", "difference", "95 %", "p", "lift", "95 %"], compared, title=f"compared with {control}")
    test = found.sample_ratio
    verdict = "MISMATCH: " + test.advice if test.mismatch else "as configured"
    click.echo(f"split of the visitors (chi-square {test.statistic:g}, p {test.p:.3g}): {verdict}")
    for note in notes:
        click.echo(f"note: {note}")


def _rate(rate: Rate | None) -> list[Any]:
    return ["-", "-"] if rate is None else [f"{rate.value:.4%}", _interval(rate.interval)]


def _difference(one: Difference) -> list[Any]:
    lift = "-" if one.lift is None else f"{one.lift:+.2%}"
    return [f"{one.value:+.4%}", _interval(one.interval), f"{one.p:.3g}", lift, _interval(one.lift_interval)]


def _interval(interval: tuple[float, float] | None) -> str:
    return "-" if interval is None else f"{interval[0]:.4%} … {interval[1]:.4%}"


# -- rehearsal ----------------------------------------------------------------------------------------------------------


class Loss(click.ParamType):
    """A variant and the part of its visitors whose events are lost: ``treatment=0.2``."""

    name = "variant=part"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, float]:
        """Return the variant and the part."""
        if isinstance(value, tuple):
            return value
        name, _, text = value.partition("=")
        try:
            part = float(text)
        except ValueError:
            part = -1.0
        if not 0 <= part <= 1:
            self.fail(f"{value!r} is no loss; write the variant and a part from 0 to 1, as treatment=0.2", param, ctx)
        return name, part


@experiment.command()
@click.option(
    "--data", type=click.Path(exists=True, path_type=Path), metavar="PATH", help="A data set; without it The Complete Journey."
)
@click.option("--limit", type=click.IntRange(0), default=20_000, show_default=True, help="Events of the stream; 0: all.")
@click.option("--places", type=click.IntRange(1, 200), default=20, show_default=True, help="Items of a list that visitors see.")
@click.option("--lose", "losses", type=Loss(), multiple=True, help="Lose the events of a part of a variant's visitors.")
@_window
@json_option
@pass_parts
def simulate(
    parts: Parts,
    data: Path | None,
    limit: int,
    places: int,
    losses: Sequence[tuple[str, float]],
    window_ms: int,
    as_json: bool,
) -> None:
    """Rehearse the configured experiment on a real stream.

    Replays the stream through the code that workers run, without Kafka: at each interaction the visitor is first shown the list
    that the own variant ranks, then does what the stream says. A click on an item of the list so tells whether the variant knew
    it; what visitors would have done with other lists no recorded stream can tell.
    """
    from streamrec.evaluate.experiment import rehearse, report_on
    from streamrec.evaluate.run import open_stream

    settings = running(parts)
    unknown = sorted({name for name, _ in losses} - {variant.name for variant in settings.variants})
    if unknown:
        raise click.BadParameter(f"{', '.join(unknown)} is no variant of {settings.name}", param_hint="--lose")
    stream, texts = open_stream(parts.settings, data, limit)
    with progress() as bar:
        task = bar.add_task(f"{stream.name}: rehearsing", total=len(stream.steps), note="steps")
        played = rehearse(stream, parts.settings, texts, places=places, losses=dict(losses), tell=lambda n: bar.advance(task, n))
        found = report_on(parts.settings, list(played), window_ms=window_ms)
    _show(found, found.notes, as_json)
