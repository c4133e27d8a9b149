"""The replay: at each moment first every method is asked for lists, then it is told what the visitor turned to.

Methods are told the stream's steps one by one in event-time order and nothing else, so none can know what it is asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from time import perf_counter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamrec.evaluate.methods.port import Method
from streamrec.evaluate.streams import Step, Stream
from streamrec.evaluate.tally import COLD_BELOW, LONG_FROM, LONGEST, Asked, Tally
from streamrec.evaluate.texts import StreamTexts
from streamrec.events import CatalogItem

#: All targets, and only those that are new to the visitor, from lists without what the visitor met.
ALL: Final = ""
NEW: Final = ":new"
#: First interactions of visitors are a segment of their own and say the same for all who know nothing yet: fewer will do.
_ONE_FIRST_IN: Final = 5
#: Steps between two signs of progress.
_TICK: Final = 200


@dataclass(frozen=True)
class Plan:
    """Which steps are asked about, and from which step on models stay as they are while histories go on."""

    #: (n_steps,) bool.
    asked: NDArray[np.bool_]
    #: The number of steps, where every model goes on learning.
    frozen_from: int


def sampled(stream: Stream, *, sample: int, warm_up: float, seed: int) -> Plan:
    """Ask about at most ``sample`` (0: all) of the next interactions, drawn evenly, and a fifth as many first ones of visitors.

    The first ``warm_up`` share of all interactions is left out. Everything is learnt, asked about or not.
    """
    known: set[str] = set()
    first: list[int] = []
    later: list[int] = []
    for number, step in enumerate(stream.steps):
        if step.items:
            (later if step.visitor in known else first).append(number)
            known.add(step.visitor)
    since = sorted(first + later)[int(warm_up * (len(first) + len(later))) :]
    rng = np.random.default_rng(seed)
    asked = np.zeros(len(stream.steps), np.bool_)
    for numbers, most in ((later, sample), (first, -(-sample // _ONE_FIRST_IN))):
        chosen = np.array([number for number in numbers if since and number >= since[0]], np.intp)
        asked[rng.choice(chosen, most, replace=False) if sample and most < len(chosen) else chosen] = True
    return Plan(asked, len(stream.steps))


class Replay:
    """Plays a stream to methods once and keeps both protocols' tallies."""

    def __init__(self, stream: Stream, texts: StreamTexts | None, methods: Mapping[str, Method]) -> None:
        self._stream = stream
        self._texts = texts
        self._methods = methods
        self.tallies = {protocol: Tally(stream, texts, list(methods)) for protocol in (ALL, NEW)}
        #: Seconds that each method spent on learning.
        self.learning = dict.fromkeys(methods, 0.0)
        self._visitors: dict[str, int] = {}
        #: Visitor → what it met so far; item → how often it was met so far.
        self._met_by: dict[str, set[str]] = {}
        self._met: Counter[str] = Counter()
        self._total = 0
        #: Session → interactions so far.
        self._places: Counter[int] = Counter()
        self._start_ms = stream.steps[0].at_ms if stream.steps else 0

    def run(self, plan: Plan, tick: Callable[[int], None] = lambda _: None) -> None:
        """Ask, then tell, step by step; ``tick`` hears how many steps went by."""
        for number, step in enumerate(self._stream.steps):
            if plan.asked[number]:
                self._ask(step)
            self._tell(step, frozen=number >= plan.frozen_from)
            if number % _TICK == _TICK - 1:
                tick(_TICK)

    # -- asking ------------------------------------------------------------------------------------------------------

    def _ask(self, step: Step) -> None:
        for name, method in self._methods.items():
            start = perf_counter()
            method.settle()
            self.learning[name] += perf_counter() - start
        seen = self._met_by.get(step.visitor, set())
        rest = self._stream.sessions[step.session][self._places[step.session] :]
        self._judge(ALL, step, step.items, rest, frozenset())
        new = tuple(item_id for item_id in step.items if item_id not in seen)
        if new:
            self._judge(NEW, step, new, [item_id for item_id in rest if item_id not in seen], frozenset(seen))

    def _judge(self, protocol: str, step: Step, targets: tuple[str, ...], rest: list[str], exclude: frozenset[str]) -> None:
        """Ask each method once, and judge its list by each target: an order may have several."""
        lists = {name: self._asked(name, method, step, exclude) for name, method in self._methods.items()}
        for target in targets:
            asked = self._moment(step, target, frozenset(rest))
            self.tallies[protocol].ask(asked)
            for name, (listed, seconds, stale_ms) in lists.items():
                tally = self.tallies[protocol]
                tally.put(name, asked, listed, self._met, self._total, seconds=seconds, stale_ms=stale_ms)

    def _asked(self, name: str, method: Method, step: Step, exclude: Set[str]) -> tuple[list[str], float, float]:
        start = perf_counter()
        listed = method.recommend(step.visitor, step.at_ms, LONGEST, exclude)
        seconds = perf_counter() - start
        if len(set(listed)) != len(listed) or len(listed) > LONGEST or not exclude.isdisjoint(listed):
            msg = f"method {name}: a list repeats itself, is longer than {LONGEST} or holds what was excluded: {listed}"
            raise ValueError(msg)
        fitted_ms = method.fitted_ms
        return listed, seconds, 0.0 if fitted_ms is None else float(step.at_ms - max(fitted_ms, self._start_ms))

    def _moment(self, step: Step, target: str, remaining: frozenset[str]) -> Asked:
        before, place = len(self._met_by.get(step.visitor, ())), self._places[step.session]
        segments = {"first_interaction" if not before else "new_visitor" if before == 1 else "returning_visitor"}
        if self._met[target] < COLD_BELOW:
            segments.add("new_item")
        if place >= LONG_FROM:
            segments.add("long_session")
        return Asked(self._visitors.setdefault(step.visitor, len(self._visitors)), target, remaining, segments)

    # -- telling -----------------------------------------------------------------------------------------------------

    def _tell(self, step: Step, *, frozen: bool) -> None:
        for name, method in self._methods.items():
            start = perf_counter()
            (method.remember if frozen else method.learn)(step)
            self.learning[name] += perf_counter() - start
        item = step.record.value
        if self._texts is not None and isinstance(item, CatalogItem):
            vector = self._texts.vector(item)
            for tally in self.tallies.values():
                tally.describe(step.record.key, vector)
        if step.items:
            self._met_by.setdefault(step.visitor, set()).update(step.items)
            self._met.update(step.items)
            self._total += len(step.items)
            self._places[step.session] += len(step.items)
