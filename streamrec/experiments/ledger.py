"""What visitors were shown, clicked and bought, and which click belongs to which impression; bounded, whatever the stream."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamrec.events import Click, Event, Impressions, Order
from streamrec.experiments.plan import Plan
from streamrec.experiments.rows import Rows, Table, follow, starts, taken
from streamrec.experiments.split import EVERYBODY
from streamrec.experiments.statistics import Moments

#: Visitors are hashes here: Python's own of a text, 64 bits, quick and the same as long as the process lives. Two of ten million
#: visitors share one with a probability of 3e-6. Who is in which variant does not depend on it.
BEGIN: Final = -(2**63)
END: Final = 2**63
#: Labels of events that are of no variant: none at all, that of lists which belong to no visitor, any other.
_EMPTY, _EVERYBODY, _FOREIGN = -1, -2, -3


@dataclass(slots=True)
class Counts:
    """Events that were counted, each once, and visitors that were left out."""

    #: Events of the time asked for.
    impressions: int = 0
    clicks: int = 0
    orders: int = 0
    #: Further messages with the event id of another.
    repeated: int = 0
    #: Impressions without a variant; of lists that belong to no visitor, such as fallbacks; of a variant that there is not.
    without_variant: int = 0
    of_no_visitor: int = 0
    of_other_variants: int = 0
    #: Clicks that followed an impression of their item in time, orders that followed any, of the visitors that count.
    attributed_clicks: int = 0
    attributed_orders: int = 0
    #: Visitors left out: seen in several variants; seen in another one than they are in; with more events than can be held.
    crossed: int = 0
    misplaced: int = 0
    unbounded: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


@dataclass(frozen=True, slots=True)
class Tally:
    """What a range of visitors did, per variant."""

    #: Clicked impressions and impressions; 1 for an order, and 1.
    clicks: tuple[Moments, ...]
    orders: tuple[Moments, ...]
    counts: Counts
    #: Time of the first impression, ms; None without one.
    first_ms: int | None

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            tuple(mine + theirs for mine, theirs in zip(self.clicks, other.clicks, strict=True)),
            tuple(mine + theirs for mine, theirs in zip(self.orders, other.orders, strict=True)),
            self.counts + other.counts,
            min((ms for ms in (self.first_ms, other.first_ms) if ms is not None), default=None),
        )


class Ledger:
    """Holds what the visitors did whose hash lies in [begin, ``end``), in at most ``max_rows`` lines.

    Where these do not suffice it gives up the upper half of its visitors: ``end`` falls, and whoever feeds it reads everything
    again for the rest. What it tells of those that are left is whole. A visitor who alone takes half of the room is no person, and
    is left out.
    """

    def __init__(self, plan: Plan, begin: int = BEGIN, *, max_rows: int = 2_000_000) -> None:
        self._plan = plan
        self._begin = begin
        self.end = END
        self._max_rows = max_rows
        self._shown, self._clicks, self._orders = self._tables = Rows(), Rows(), Rows()
        self._numbers = {"": _EMPTY, EVERYBODY: _EVERYBODY} | {label: n for n, label in enumerate(plan.labels)}
        self._unbounded: set[int] = set()

    def add(self, user_id: str, event: Event) -> None:
        """Take a visitor's event, in any order; those that say nothing here are passed over."""
        visitor = hash(user_id)
        if not self._begin <= visitor < self.end or visitor in self._unbounded or not self._plan.counts(event):
            return
        items, label = [0], _EMPTY
        told: tuple[str, ...]
        if isinstance(event, Impressions):
            rows, items, told = self._shown, [hash(item_id) for item_id in event.item_ids], event.item_ids
            label = self._numbers.get(event.variant, _FOREIGN)
        elif isinstance(event, Click):
            rows, items, told = self._clicks, [hash(event.item_id)], (event.item_id,)
            label = self._numbers.get(event.variant, _FOREIGN)
        else:
            assert isinstance(event, Order)
            rows, told = self._orders, tuple(line.item_id for line in event.lines)
        # As in profiles: without an id, two events of the same time and items are one.
        identity = hash(event.event_id or (event.ts, told))
        rows.add(items, visitor=visitor, ts=event.ts, event=identity, label=label, assigned=self._plan.split.variant(user_id))
        if sum(map(len, self._tables)) > self._max_rows:
            self._shrink()

    def _shrink(self) -> None:
        held = [rows.column("visitor") for rows in self._tables]
        visitors = np.concatenate(held)
        middle = int(np.partition(visitors, len(visitors) // 2)[len(visitors) // 2])
        if middle > visitors.min():
            self.end = middle
        else:
            self._unbounded.add(middle)
        for rows, own in zip(self._tables, held, strict=True):
            rows.keep((own < self.end) & (own != middle))

    # -- what it comes to --------------------------------------------------------------------------------------------

    def tally(self) -> Tally:
        """Return what the visitors of the range did."""
        # Those above the end are met again in the rest.
        unbounded = sum(visitor < self.end for visitor in self._unbounded)
        counts = Counts(unbounded=unbounded, repeated=sum(int(rows.column("first").sum()) for rows in self._tables))
        shown = self._shown.once(("visitor", "event", "item"))
        clicks, orders = (rows.once(("visitor", "event")) for rows in (self._clicks, self._orders))
        labels = shown["label"][starts(shown, ("visitor", "event"))]
        counts.impressions, counts.clicks, counts.orders = len(labels), len(clicks["ts"]), len(orders["ts"])
        counts.repeated -= counts.impressions + counts.clicks + counts.orders
        counts.without_variant, counts.of_no_visitor, counts.of_other_variants = (
            int((labels == none).sum()) for none in (_EMPTY, _EVERYBODY, _FOREIGN)
        )
        first_ms = int(shown["ts"].min()) if len(shown["ts"]) else None
        visitors, variants = _placed(shown, clicks, counts)
        shown, clicks, orders = _of(taken(shown, shown["label"] >= 0), visitors), _of(clicks, visitors), _of(orders, visitors)
        return Tally(*self._moments(shown, clicks, orders, variants, counts), counts, first_ms)

    def _moments(
        self, shown: Table, clicks: Table, orders: Table, variants: NDArray[np.int64], counts: Counts
    ) -> tuple[tuple[Moments, ...], tuple[Moments, ...]]:
        """``visitor`` is a number here, and ``variants`` (n_visitors,) the variant of each."""
        window_ms, n = self._plan.window_ms, len(variants)
        clicked, counts.attributed_clicks = follow(shown, clicks, ("item", "visitor"), window_ms)
        bought, counts.attributed_orders = follow(shown, orders, ("visitor",), window_ms)
        times_shown = np.bincount(shown["visitor"], minlength=n)
        times_clicked = np.bincount(shown["visitor"][clicked], minlength=n)
        has_bought = np.zeros(n, np.int64)
        has_bought[shown["visitor"][bought]] = 1
        groups = [(variants == number) & (times_shown > 0) for number in range(len(self._plan.labels))]
        return (
            tuple(Moments.of(times_clicked[mine], times_shown[mine]) for mine in groups),
            tuple(Moments.of(has_bought[mine], np.ones(int(mine.sum()), np.int64)) for mine in groups),
        )


def _placed(shown: Table, clicks: Table, counts: Counts) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the visitors that were seen in their own variant alone, ascending, and these variants; count the others."""
    told = {name: np.concatenate([shown[name], clicks[name]]) for name in ("visitor", "label", "assigned")}
    told = taken(told, told["label"] >= 0)
    visitors, place = np.unique(told["visitor"], return_inverse=True)
    seen_in = np.zeros(len(visitors), np.int64)
    np.bitwise_or.at(seen_in, place, np.int64(1) << told["label"].astype(np.int64))
    variants = np.zeros(len(visitors), np.int64)
    variants[place] = told["assigned"]
    several = (seen_in & (seen_in - 1)) > 0
    elsewhere = ~several & (seen_in != np.int64(1) << variants)
    counts.crossed, counts.misplaced = int(several.sum()), int(elsewhere.sum())
    good = ~(several | elsewhere)
    return visitors[good], variants[good]


def _of(table: Table, visitors: NDArray[np.int64]) -> Table:
    """Return the lines of these visitors, who are ascending, with the visitors' numbers instead of their hashes."""
    places = np.searchsorted(visitors, table["visitor"])
    # Behind the last visitor stands one that nobody is.
    has = (np.append(visitors, END - 1)[places] == table["visitor"]) & (places < len(visitors))
    return taken(table | {"visitor": places}, has)
