"""``streamrec rebuild``: profiles and lists again, from the events that Kafka still holds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import click

from streamrec.cli.moments import Span
from streamrec.cli.output import emit, json_option, progress
from streamrec.cli.parts import Parts, pass_parts
from streamrec.errors import StoreUnavailable

if TYPE_CHECKING:
    from streamrec.lists.rebuilding import Plan, Rebuilding

_LOOK_S: Final = 0.2
#: A recommender that was killed is back by then, or another one has taken its partitions over.
_PATIENCE_S: Final = 30.0
#: A Redis that was just emptied hears of every living worker within a third of a heartbeat's life.
_BEATS_S = 7.0
_START: Final = "start one with `streamrec worker --roles recommender` and see `streamrec doctor`"


@click.command()
@click.option("--since", "since_ms", type=Span(), default="7d", show_default=True, help="How far back, by when events were sent.")
@json_option
@pass_parts
def rebuild(parts: Parts, since_ms: int, as_json: bool) -> None:
    """Make profiles and lists again from Kafka.

    For when Redis lost them: every recommender reads the events of its visitors once more, beside its work, and goes on after a
    crash or a rebalance. What is there already is not changed by it. Ends when all is read; lists that then are not final are
    ranked again within seconds.

    Ctrl-C ends the watching and not the work.
    """
    from streamrec.lists.rebuilding import Rebuilding

    _must_live(parts)
    plan, rebuilding = _plan(parts, since_ms), Rebuilding(parts.redis)
    started = time.monotonic()
    rebuilding.request(plan)
    with progress() as bar:
        task = bar.add_task("rebuild", total=plan.events, note="events")
        for done in _done(parts, rebuilding, plan):
            bar.update(task, completed=done)
    seconds = round(time.monotonic() - started, 3)
    if as_json:
        emit({"events": plan.events, "seconds": seconds, "partitions": len(plan.parts)})
    else:
        click.echo(f"read again: {plan.events:,} events of {len(plan.parts)} partitions in {seconds:.1f} s")


def _plan(parts: Parts, since_ms: int) -> Plan:
    from streamrec.events.topics import EVENTS
    from streamrec.lists.rebuilding import Part, Plan

    found = parts.broker.history(EVENTS, parts.clock.now_ms() - since_ms)
    held = [Part(*place, start, end) for place, (start, end) in sorted(found.items()) if start < end]
    return Plan(uuid4().hex[:12], tuple(held))


def _done(parts: Parts, rebuilding: Rebuilding, plan: Plan) -> Iterator[int]:
    """Yield how many events are done until all are. Raises StoreUnavailable."""
    known, moved_at = -1, time.monotonic()
    while known < plan.events:
        current = rebuilding.current()
        if current is None or current.id != plan.id:
            what = "Redis lost it" if current is None else "another one was asked for meanwhile"
            raise StoreUnavailable(f"this rebuild is given up: {what}; what it did stands, run `streamrec rebuild` again")
        done = sum(rebuilding.done(plan).values())
        if done > known:
            known, moved_at = done, time.monotonic()
            yield known
        elif time.monotonic() - moved_at > _PATIENCE_S:
            _must_live(parts)
        if known < plan.events:
            time.sleep(_LOOK_S)


def _must_live(parts: Parts) -> None:
    from streamrec.cli.fleet import living_workers

    deadline = time.monotonic() + _BEATS_S
    while not any("recommender" in worker.roles for worker in living_workers(parts.redis)):
        if time.monotonic() > deadline:
            raise StoreUnavailable(f"nobody can rebuild: no recommender is alive; {_START}")
        time.sleep(_LOOK_S)
