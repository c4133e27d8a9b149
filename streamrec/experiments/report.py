"""What an experiment's events say about its variants, and whether they may be believed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

import msgspec

from streamrec.events import Event
from streamrec.experiments.ledger import BEGIN, END, Ledger, Tally
from streamrec.experiments.plan import Plan
from streamrec.experiments.statistics import Estimate, Interval, Moments, SplitTest, split_test

#: A split as uneven comes about once in a thousand experiments by chance. The threshold, and the causes to look at, are those of
#: Fabijan et al., Diagnosing Sample Ratio Mismatch in Online Controlled Experiments (KDD 2019).
SRM_BELOW: Final = 0.001
#: So many of the rarer outcome, and of visitors, are needed per variant before the normal approximation is worth something.
_FEW_OUTCOMES, _FEW_VISITORS = 5, 30

MISMATCH_ADVICE: Final = (
    "the variants' visitors are not split as configured, so their figures cannot be compared: find out why before anything else. "
    "Look at whether all workers and this report have the same experiment settings, whether weights were changed or visitors left "
    "out while it ran, whether one variant's pages lose events (errors, slow pages, redirects, bots filtered by what they click), "
    "and whether storefronts pass on the variant of each answer"
)

#: What is left out, and why.
_LEFT_OUT: Final = {
    "without_variant": "impressions name no variant and are left out: storefronts must send it",
    "of_other_variants": "impressions are of variants that there are not, and are left out",
    "crossed": "visitors were seen in several variants and are left out; some are where weights or salt changed",
    "misplaced": "visitors were seen in another variant than theirs and are left out: workers or storefronts have other settings "
    "than this report, or lists from before a change still stood",
    "unbounded": "visitors have more events than a person can cause and are left out",
}

#: Hands over everything once more each time it is called.
Source = Callable[[], Iterable[tuple[str, Event]]]


class Difference(msgspec.Struct, frozen=True):
    """How far a variant lies above the control."""

    value: float
    #: 95 %; None where one visitor is all there is.
    interval: Interval | None
    #: Two-sided, for one look and one comparison.
    p: float
    #: The value as a part of the control's, and its 95 % interval; None above 0.
    lift: float | None
    lift_interval: Interval | None


class Rate(msgspec.Struct, frozen=True):
    """A ratio with its 95 % interval, and the difference to the control's, which has none itself."""

    value: float
    interval: Interval | None
    difference: Difference | None


class Variant(msgspec.Struct, frozen=True):
    """What the visitors of one variant were shown and did."""

    name: str
    #: The configured part of the visitors.
    share: float
    #: Those who were shown anything.
    visitors: int
    #: As many there would be by the share.
    expected: float
    #: Items shown, each time counted.
    impressions: int
    #: Of these, those that the visitor clicked on within the window.
    clicked: int
    #: Visitors with an order within the window after an impression.
    ordered: int
    #: clicked / impressions; None without impressions.
    ctr: Rate | None
    #: ordered / visitors.
    conversion: Rate | None


class SampleRatio(msgspec.Struct, frozen=True):
    """Whether as many visitors are in each variant as there should be: Fabijan et al. (KDD 2019)."""

    statistic: float
    degrees: int
    p: float
    mismatch: bool
    #: What to do; empty where nothing is wrong.
    advice: str


class Report(msgspec.Struct, frozen=True):
    """The report of one experiment; times in ms since the epoch."""

    experiment: str
    since_ms: int
    until_ms: int
    window_ms: int
    placement: str
    first_impression_ms: int | None
    variants: tuple[Variant, ...]
    sample_ratio: SampleRatio
    #: See ``Counts``.
    events: dict[str, int]
    left_out: dict[str, int]
    #: What whoever reads the figures should know, as sentences.
    notes: tuple[str, ...]

    def plain(self) -> dict[str, Any]:
        """Return the report as values that JSON knows."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found


def make_report(plan: Plan, source: Source, *, max_rows: int = 2_000_000) -> Report:
    """Read the events, as often as it takes to hold no more than ``max_rows`` of their lines at once, and judge the variants."""
    total: Tally | None = None
    begin = BEGIN
    while begin < END:
        ledger = Ledger(plan, begin, max_rows=max_rows)
        for user_id, event in source():
            ledger.add(user_id, event)
        part = ledger.tally()
        total = part if total is None else total + part
        begin = ledger.end
    assert total is not None
    return _Judge(plan, total).report()


@dataclass(frozen=True, slots=True)
class _Judge:
    plan: Plan
    tally: Tally

    def report(self) -> Report:
        plan, tally = self.plan, self.tally
        counts = msgspec.to_builtins(tally.counts)
        left_out = {name: counts.pop(name) for name in ("crossed", "misplaced", "unbounded")}
        test = split_test([one.n for one in tally.clicks], plan.split.shares)
        return Report(
            plan.name,
            plan.since_ms,
            plan.until_ms,
            plan.window_ms,
            plan.placement,
            tally.first_ms,
            tuple(self._variant(number, expected) for number, expected in enumerate(test.expected)),
            _sample_ratio(test),
            counts,
            left_out,
            tuple(self._notes()),
        )

    def _variant(self, number: int, expected: float) -> Variant:
        clicks, orders = self.tally.clicks[number], self.tally.orders[number]
        return Variant(
            self.plan.labels[number].rpartition(":")[2],
            round(self.plan.split.shares[number], 6),
            clicks.n,
            round(expected, 2),
            clicks.y,
            clicks.x,
            orders.x,
            _rate(self.tally.clicks, number),
            _rate(self.tally.orders, number),
        )

    def _notes(self) -> Iterable[str]:
        counts, plan = self.tally.counts, self.plan
        if not counts.impressions:
            yield "there is no impression in this time; storefronts publish them to events.impressions"
        elif not any(one.n for one in self.tally.clicks):
            yield f"no impression is of {plan.name}; storefronts must send the `variant` of the answer whose items they show"
        for name, told in _LEFT_OUT.items():
            if number := getattr(counts, name):
                yield f"{number:,} {told}"
        for number, label in enumerate(plan.labels):
            if poor := _poor(self.tally.clicks[number], self.tally.orders[number]):
                yield f"{label} has too few {poor} for intervals and p values to be more than a hint; run it longer"
        if len(plan.labels) > 2:
            yield "p values are of single comparisons: with several variants one in twenty comparisons is below 0.05 by chance"


def _poor(clicks: Moments, orders: Moments) -> str:
    if clicks.n < _FEW_VISITORS:
        return "visitors"
    if min(clicks.x, clicks.y - clicks.x) < _FEW_OUTCOMES:
        return "clicks"
    return "orders" if 0 < min(orders.x, orders.n - orders.x) < _FEW_OUTCOMES else ""


def _sample_ratio(test: SplitTest) -> SampleRatio:
    mismatch = test.p < SRM_BELOW
    return SampleRatio(round(test.statistic, 4), test.degrees, test.p, mismatch, MISMATCH_ADVICE if mismatch else "")


def _rate(variants: tuple[Moments, ...], number: int) -> Rate | None:
    own, control = variants[number].ratio(), variants[0].ratio()
    if own is None:
        return None
    difference = _difference(own, control) if number and control is not None else None
    return Rate(own.value, _interval(own), difference)


def _difference(own: Estimate, control: Estimate) -> Difference:
    difference, lift = own.minus(control), own.over(control)
    return Difference(
        difference.value, _interval(difference), difference.p, lift.value if lift else None, _interval(lift) if lift else None
    )


def _interval(estimate: Estimate) -> Interval | None:
    return estimate.interval if isfinite(estimate.variance) else None
