"""An experiment rehearsed on a real stream: the variants' own lists as impressions, and what visitors really did next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, cast

import msgspec

from streamrec.clock import ManualClock
from streamrec.config import Settings
from streamrec.demo.data.port import Record
from streamrec.evaluate.methods.shop import Shop
from streamrec.evaluate.streams import Step, Stream
from streamrec.evaluate.texts import StreamTexts
from streamrec.events import Click, Event, Impressions
from streamrec.events.topics import IMPRESSIONS
from streamrec.experiments.plan import Plan
from streamrec.experiments.report import Report, make_report
from streamrec.experiments.split import Split
from streamrec.lists.keys import HOME
from streamrec.lists.part_weights import Bounds, MemoryWeightStore
from streamrec.observe import Silence
from streamrec.recommender.lessons import Lesson, Lessons

_TICK: Final = 200


def rehearse(
    stream: Stream,
    settings: Settings,
    texts: StreamTexts | None,
    *,
    places: int = 20,
    losses: Mapping[str, float] | None = None,
    tell: Callable[[int], object] = lambda _: None,
) -> Iterator[tuple[str, Event]]:
    """Yield (visitor, event) of the stream, before each interaction the list that the visitor's variant ranks, as an impression.

    A visitor who did nothing yet has no list, and is shown none. Impressions are learnt like all events, and each variant learns
    its weights from the clicks on its own lists. Of each variant that ``losses`` names the events of this part of its visitors are
    lost: they happen, and are not yielded.
    """
    shop, split = Shop(settings, texts, teach=False), Split.of(settings.experiment)
    clock = ManualClock(0)
    lessons = Lessons(shop.knowledge, MemoryWeightStore(Bounds.of(settings.learning)), settings.learning, clock, Silence())
    parts = [(losses or {}).get(variant.name, 0.0) for variant in settings.experiment.variants]
    lost = [Split(f"lost in {number}", (part, 1.0 - part)) for number, part in enumerate(parts)]
    for number, step in enumerate(stream.steps):
        if step.session >= 0:
            kept = lost[split.variant(step.visitor)].variant(step.visitor) == 1
            clock.advance(max(step.at_ms - clock.now_ms(), 0))
            told: list[Lesson | None] = []
            for event in _of_visitor(shop, step, places, f"shown-{number}"):
                told.append(lessons.hear(step.visitor, shop.profile(step.visitor), event))
                if kept:
                    yield step.visitor, event
            shop.learn(step)
            lessons.teach([lesson for lesson in told if lesson is not None])
            lessons.tick()
        else:
            shop.learn(step)
        if number % _TICK == _TICK - 1:
            tell(_TICK)


def _of_visitor(shop: Shop, step: Step, places: int, event_id: str) -> Iterator[Event]:
    knowledge, label = shop.knowledge, shop.knowledge.stamp(step.visitor)[0]
    profile = shop.profile(step.visitor)
    if step.items and profile.latest_ts:
        shop.settle()
        [ranking] = knowledge.rank([profile], step.at_ms, users=[step.visitor])
        listed = knowledge.publish(ranking, step.at_ms, knowledge.hidden(step.at_ms), size=places)
        if listed.items:
            shown = Impressions(item_ids=tuple(listed.ids()), ts=step.at_ms, placement=HOME, variant=label, event_id=event_id)
            shop.learn(Step(Record(step.at_ms, IMPRESSIONS, step.visitor, shown), (), step.session))
            yield shown
    event = cast("Event", step.record.value)
    yield msgspec.structs.replace(event, variant=label) if isinstance(event, Click) else event


def report_on(settings: Settings, events: list[tuple[str, Event]], *, window_ms: int) -> Report:
    """Return the report of the configured experiment on events that were rehearsed."""
    times = [event.ts for _, event in events]
    plan = Plan.of(settings.experiment, min(times, default=0), max(times, default=0) + 1, window_ms=window_ms)
    return make_report(plan, lambda: events)
