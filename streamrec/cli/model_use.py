"""``streamrec model use|status``: change the model in flight, watch it, and go back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import click

from streamrec.cli.moments import Span
from streamrec.cli.output import emit, json_option, progress, table, when
from streamrec.cli.parts import Parts, pass_parts
from streamrec.errors import ConfigError, StoreUnavailable

if TYPE_CHECKING:
    from streamrec.cli.fleet import Worker
    from streamrec.config import ModelSettings
    from streamrec.events import ModelChoice, ModelPlan

_LOOK_S: Final = 0.2
#: A worker that was killed is started again, or missed, by then.
_PATIENCE_S: Final = 30.0


@click.command("use")
@click.argument("name")
@click.option(
    "--set", "said", multiple=True, metavar="SETTING=VALUE", help="A setting of the section `model` besides; may be repeated."
)
@click.option("--keep", "keep_ms", type=Span(), default="24h", show_default=True, help="How long going back takes no embedding.")
@click.option("--wait", is_flag=True, help="Return when every living recommender answers from it.")
@json_option
@pass_parts
def use(parts: Parts, name: str, said: tuple[str, ...], keep_ms: int, wait: bool, as_json: bool) -> None:
    """Serve the shop by the model NAME as soon as it covers the catalogue.

    Until then the model of now answers, whole. Embedders read the catalogue for the new one behind what changes meanwhile. NAME as
    STREAMREC_MODEL__NAME would say it; the model of before goes back at once while it is kept: `streamrec model use OLD`.
    """
    from streamrec.events import encode
    from streamrec.events.topics import MODEL_PLAN

    old = parts.broker.plan()
    wanted = _known(old, name) if old is not None and not said else None
    if wanted is None:
        wanted = _choice(_settings(parts.settings.model, name, said))
    if old is not None and old.wanted.digest == wanted.digest:
        raise ConfigError(f"{name} is what the shop is to be served by already; see `streamrec model status`")
    plan = _plan(parts, old, wanted, keep_ms)
    with parts.broker.outbox() as outbox:
        outbox.send(MODEL_PLAN, "plan", encode(plan, MODEL_PLAN))
    started = time.monotonic()
    if wait:
        _follow(parts, plan)
    told = {
        "version": plan.version,
        "wanted": _told(plan.wanted),
        "previous": _told(plan.previous) if plan.previous else None,
        "keep_until": plan.keep_until,
        "seconds": round(time.monotonic() - started, 3) if wait else None,
    }
    if as_json:
        emit(told)
        return
    before = f", until it covers the catalogue by {plan.previous.name}" if plan.previous else ""
    if wait:
        click.echo(f"served by {wanted.name} ({wanted.digest}) after {told['seconds']:.1f} s")
    else:
        click.echo(f"to be served by {wanted.name} ({wanted.digest}){before}; watch it with `streamrec model status`")
    if plan.previous:
        click.echo(f"until {when(plan.keep_until)} UTC the way back is `streamrec model use {plan.previous.name}`")


@click.command("status")
@json_option
@pass_parts
def status(parts: Parts, as_json: bool) -> None:
    """Show which model answers where, and how far the next one is.

    Exit code 1 while not every recommender serves what is wanted.
    """
    from streamrec.cli.fleet import living_workers

    plan = parts.broker.plan()
    workers = living_workers(parts.redis)
    found = _found(plan, workers)
    if as_json:
        emit(found)
    else:
        _show(plan, found)
    if not found["done"]:
        raise click.exceptions.Exit(1)


def _settings(own: ModelSettings, name: str, said: tuple[str, ...]) -> ModelSettings:
    """Return the settings of the model: those of this environment where it names the same model, else that model's own."""
    from pydantic import ValidationError

    from streamrec.config import ModelSettings

    extra = {}
    for one in said:
        key, equals, value = one.partition("=")
        if not equals:
            raise ConfigError(f"--set {one}: write SETTING=VALUE, such as --set precision=float16")
        extra[key] = value
    try:
        return ModelSettings.model_validate(own.named(name).model_dump() | extra)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ConfigError(f"--set: {problems}; schemas/config.md lists the settings of the section model") from None


def _choice(settings: ModelSettings) -> ModelChoice:
    """Open the model here: what cannot be opened is not asked of the workers. Raises ConfigError or ModelError."""
    from streamrec.embedding import choice_of, load_encoder

    return choice_of(settings, load_encoder(settings))


def _known(plan: ModelPlan, name: str) -> ModelChoice | None:
    """Return the plan's own model of this name: it need not be opened here."""
    return next((choice for choice in plan.choices if choice.name == name), None)


def _plan(parts: Parts, old: ModelPlan | None, wanted: ModelChoice, keep_ms: int) -> ModelPlan:
    from streamrec.events import ModelPlan

    now_ms = parts.clock.now_ms()
    served = _served(parts, old)
    if served is not None and served.digest == wanted.digest:
        # Nobody has left it yet: the way back, or the first plan of a shop that begins with it.
        served = None if old is None else old.wanted
    plain = old.plain if old is not None else (served or wanted).digest
    version = old.version + 1 if old is not None else 1
    keep_until = now_ms + keep_ms if served else 0
    return ModelPlan(version=version, wanted=wanted, previous=served, keep_until=keep_until, plain=plain, ts=now_ms)


def _served(parts: Parts, old: ModelPlan | None) -> ModelChoice | None:
    """Return the model that answers now. Raises ConfigError where it is not one that we can name."""
    from streamrec.cli.fleet import living_workers

    told = {worker.model for worker in living_workers(parts.redis) if "recommender" in worker.roles and worker.model}
    choices = old.choices if old is not None else (_choice(parts.settings.model),)
    serving = [choice for choice in choices if choice.digest in told]
    if told and not serving:
        names = ", ".join(sorted(told))
        raise ConfigError(
            f"the recommenders answer from the model {names}, and these settings name {choices[0].name} ({choices[0].digest}); "
            "run this with the workers' STREAMREC_MODEL__* settings, so that the way back is known"
        )
    # Recommenders switch some seconds apart: until all have, the previous model is the one to be kept.
    return serving[-1] if serving else choices[0]


def _follow(parts: Parts, plan: ModelPlan) -> None:
    """Return when every living recommender answers from the wanted model. Raises StoreUnavailable where none lives."""
    from streamrec.cli.fleet import living_workers

    seen_at = time.monotonic()
    with progress() as bar:
        task = bar.add_task(f"{plan.wanted.name}", total=100, note="% of the items served")
        while True:
            recommenders = [worker for worker in living_workers(parts.redis) if "recommender" in worker.roles]
            if recommenders:
                seen_at = time.monotonic()
                done = [_percent(worker, plan.wanted.digest) for worker in recommenders]
                bar.update(task, completed=min(done))
                if all(worker.model == plan.wanted.digest and worker.plan >= plan.version for worker in recommenders):
                    return
            elif time.monotonic() - seen_at > _PATIENCE_S:
                raise StoreUnavailable(
                    "no recommender is alive; the plan stands, start one with `streamrec worker --roles recommender`"
                )
            time.sleep(_LOOK_S)


def _percent(worker: Worker, wanted: str) -> int:
    return 100 if worker.model == wanted else worker.next_model_percent if worker.next_model == wanted else 0


def _told(choice: ModelChoice) -> dict[str, Any]:
    return {"name": choice.name, "digest": choice.digest, "dim": choice.dim, "settings": choice.settings}


def _found(plan: ModelPlan | None, workers: list[Worker]) -> dict[str, Any]:
    wanted = plan.wanted.digest if plan else ""
    recommenders = [
        {
            "id": worker.id,
            "model": worker.model,
            "next": worker.next_model,
            "percent": _percent(worker, wanted),
            "plan": worker.plan,
            "problem": worker.model_problem,
        }
        for worker in workers
        if "recommender" in worker.roles
    ]
    embedders = [
        {
            "id": worker.id,
            "in_play": worker.in_play.split(),
            "embedded": worker.embedded,
            "embedded_previous": worker.embedded_previous,
            "left": worker.pass_left,
            "per_s": worker.pass_per_s,
            "to_take_back": worker.to_take_back,
            "plan": worker.plan,
            "problem": worker.model_problem,
        }
        for worker in workers
        if "embedder" in worker.roles
    ]
    living = [worker for worker in workers if "embedder" in worker.roles]
    rate, left = sum(one.pass_per_s for one in living), sum(one.pass_left for one in living)
    served = [worker.model == wanted for worker in workers if "recommender" in worker.roles]
    return {
        "plan": plan.version if plan else 0,
        "wanted": _told(plan.wanted) if plan else None,
        "previous": _told(plan.previous) if plan and plan.previous else None,
        "keep_until": plan.keep_until if plan else 0,
        "recommenders": recommenders,
        "embedders": embedders,
        "per_s": rate,
        "left": left,
        "done": plan is None or (bool(served) and all(served)),
    }


def _show(plan: ModelPlan | None, found: dict[str, Any]) -> None:
    if plan is None:
        click.echo("no change was asked for; the workers' settings name the model (`streamrec model use NAME`)")
    else:
        names = {choice.digest: choice.name for choice in plan.choices}
        click.echo(f"plan {plan.version}: {plan.wanted.name} ({plan.wanted.digest}), asked for at {when(plan.ts)} UTC")
        if plan.previous:
            click.echo(f"before: {plan.previous.name} ({plan.previous.digest}), kept until {when(plan.keep_until)} UTC")
        for one in found["recommenders"]:
            one["model"] = names.get(one["model"], one["model"])
            one["next"] = names.get(one["next"], one["next"])
    for what, columns in (
        ("recommenders", ["id", "model", "next", "percent", "problem"]),
        ("embedders", ["id", "embedded", "embedded_previous", "left", "per_s", "to_take_back", "problem"]),
    ):
        if found[what]:
            table(columns, [[one[column] for column in columns] for one in found[what]], title=what)
    if found["left"] and found["per_s"]:
        rate, left = found["per_s"], found["left"]
        click.echo(f"{left:,} records of the catalogue left, {rate:,} vectors/s: about {left // rate} s")
