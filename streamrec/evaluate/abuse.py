"""Click fraud injected into a real stream: how much of other visitors' lists it changes, with and without the bounds against it.

The stream is played up to a moment, through the code that workers run. Then an item that hardly anybody knows is pushed beside the
most popular ones, by one visitor who clicks ten thousand times or by a thousand new visitors who all click the same, and the lists
of others are compared: those of the visitors who came last, and that of somebody of whom nothing is known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np

from streamrec.config import AbuseSettings, Settings
from streamrec.demo.data import Record
from streamrec.errors import DataError
from streamrec.evaluate.methods.shop import Shop, Streamrec
from streamrec.evaluate.streams import Step, Stream
from streamrec.evaluate.texts import StreamTexts
from streamrec.events import Click
from streamrec.events.topics import CLICKS

#: The share of a stream's steps that goes by before the fraud.
_AFTER: Final = 0.8
#: Interactions before it that tell what is popular.
_RECENT: Final = 5000
_BAITS: Final = 4
_LISTED: Final = 20
_CALM: Final = 100
_NOBODY: Final = "nobody"
#: As if there were no bounds.
UNDEFENDED: Final = AbuseSettings(max_alike=0, visitor_pairs=256, visitor_weight=1e12)


@dataclass(frozen=True)
class Scene:
    """A stream up to the moment of the fraud."""

    before: Sequence[Step]
    #: ms since the epoch.
    at_ms: int
    pushed: str
    baits: tuple[str, ...]
    #: Whose lists are compared.
    others: tuple[str, ...]
    #: What the stream itself holds next, of visitors other than these: a hundred interactions, and the facts among them.
    calm: tuple[Step, ...]


@dataclass(frozen=True)
class Fraud:
    """Who clicks how often."""

    visitors: int
    clicks: int

    def steps(self, scene: Scene) -> Iterator[Step]:
        """Yield the clicks: a click on a popular item, one on the item that is pushed, and so on; one visitor after the other."""
        walk = [item_id for bait in scene.baits for item_id in (bait, scene.pushed)]
        # The one clicks as fast as a script, each of the crowd like a person.
        gap_ms, next_ms = (100, 0) if self.visitors == 1 else (1000, 600)
        for n in range(self.visitors):
            for place in range(self.clicks):
                at_ms, item_id = scene.at_ms + n * next_ms + place * gap_ms, walk[place % len(walk)]
                yield Step(Record(at_ms, CLICKS, f"fraud-{n}", Click(item_id=item_id, ts=at_ms)), (item_id,), 0)


#: By name.
FRAUDS: dict[str, Fraud] = {"1 x 10,000 clicks": Fraud(1, 10_000), "1,000 x the same 5 clicks": Fraud(1000, 5)}


def set_the_scene(stream: Stream, *, audience: int, seed: int) -> Scene:
    """Choose the moment, an item of the less popular half to push, the most popular ones, and at most ``audience`` others.

    Raises DataError for a stream that is too short.
    """
    before = stream.steps[: int(_AFTER * len(stream.steps))]
    met = [item_id for step in before for item_id in step.items]
    counts = Counter(met)
    popular = [item_id for item_id, _ in sorted(Counter(met[-_RECENT:]).items(), key=lambda pair: (-pair[1], pair[0]))[:_BAITS]]
    unknown = sorted(counts, key=lambda item_id: (counts[item_id], item_id))[: len(counts) // 2]
    unknown = [item_id for item_id in unknown if item_id not in popular]
    if not unknown:
        msg = f"{stream.name} holds too few items for an experiment with fraud; replay more of it with a greater --limit"
        raise DataError(msg)
    pushed = unknown[int(np.random.default_rng(seed).integers(len(unknown)))]
    others = dict.fromkeys(step.visitor for step in reversed(before) if step.items)
    chosen = tuple(others)[:audience]
    calm = [step for step in stream.steps[len(before) :] if step.session < 0 or step.visitor not in chosen]
    until = int(np.searchsorted(np.cumsum([len(step.items) for step in calm]), _CALM)) + 1
    return Scene(before, before[-1].at_ms + 1, pushed, tuple(popular), chosen, tuple(calm[:until]))


def measure_fraud(
    stream: Stream,
    texts: StreamTexts | None,
    settings: Settings,
    *,
    audience: int = 500,
    seed: int = 7,
    frauds: dict[str, Fraud] | None = None,
    tick: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Return per fraud, ``undefended`` and ``defended``, what it changed of the first 20 places of others' lists.

    ``overlap`` is the mean share of a list that stays, ``least`` the smallest; ``pushed`` in how many lists the item stands, before
    and after; ``cold`` the share that stays of the list of somebody of whom nothing is known; ``trend`` the item's place among what
    is popular in the whole shop, before and after; places count from 1, 0: it has none; ``weights`` the greatest share by which a
    weight that is learnt is greater or smaller than before. ``calm`` is what the next hundred interactions of the stream itself
    change. ``tick`` hears how many steps went by.
    """
    scene = set_the_scene(stream, audience=audience, seed=seed)
    found: dict[str, Any] = {
        "audience": len(scene.others),
        "events_before": len(scene.before),
        "pushed_met": sum(step.items.count(scene.pushed) for step in scene.before),
        "frauds": {},
    }
    chosen = FRAUDS if frauds is None else frauds
    found["frauds"] = {name: {} for name in chosen}
    for side, of_side in (("undefended", undefended(settings)), ("defended", settings)):
        shop = Shop(of_side, texts)
        for step in scene.before:
            shop.learn(step)
            tick(1)
        before = _lists(scene, shop)
        with TemporaryDirectory() as folder:
            shop.save(Path(folder))
            # What the stream holds next may be facts, and comes last: the shop itself goes on with it.
            for name, fraud in chosen.items():
                found["frauds"][name][side] = _played(scene, fraud.steps(scene), shop.branch(Path(folder)), before)
        if side == "defended":
            found["calm"] = _played(scene, scene.calm, shop, before)
    return found


def undefended(settings: Settings) -> Settings:
    """Return the settings as if there were no bounds to what one visitor or a crowd does."""
    learning = settings.learning.model_copy(update={"drift": 1000.0})
    return settings.model_copy(update={"abuse": UNDEFENDED, "learning": learning})


def _played(scene: Scene, steps: Iterable[Step], shop: Shop, before: _Lists) -> dict[str, Any]:
    """Let a shop of which ``before`` are the lists go through these steps, and compare."""
    for step in steps:
        shop.learn(step)
    after = _lists(scene, shop)
    *overlaps, cold = (len(set(old) & set(new)) / max(len(old), 1) for old, new in zip(before.lists, after.lists, strict=True))
    return {
        "overlap": round(fmean(overlaps), 4),
        "least": round(min(overlaps), 4),
        "cold": round(cold, 4),
        "pushed": [sum(scene.pushed in listed for listed in moment.lists[:-1]) for moment in (before, after)],
        "trend": [moment.trend for moment in (before, after)],
        "weights": max((_moved(*both) for both in zip(before.factors, after.factors, strict=True)), default=0.0),
    }


def _moved(before: dict[str, float], after: dict[str, float]) -> float:
    """Return the greatest factor by which a weight is greater or smaller than before, less 1."""
    ratios = (after[part] / before.get(part, 1.0) for part in after)
    return round(max((max(ratio, 1 / ratio) for ratio in ratios), default=1.0) - 1.0, 4)


@dataclass(frozen=True)
class _Lists:
    #: Of the others, then of somebody of whom nothing is known.
    lists: list[list[str]]
    trend: int
    #: Of the weights of parts, by what was learnt: of lists that repeat what the visitor met, and of those that do not.
    factors: list[dict[str, float]]


def _lists(scene: Scene, shop: Shop) -> _Lists:
    shop.settle()
    ours = Streamrec(shop)
    learnt = [school.factors for school in shop.schools]
    lists = [ours.recommend(visitor, scene.at_ms, _LISTED) for visitor in (*scene.others, _NOBODY)]
    ranker = shop.knowledge.ranker
    popular = ranker.trending(scene.at_ms, len(shop.knowledge.items)).ids(ranker.items)
    return _Lists(lists, popular.index(scene.pushed) + 1 if scene.pushed in popular else 0, learnt)
