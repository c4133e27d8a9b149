"""What is popular now, in a shop where many came of late and in one where few did."""

from __future__ import annotations

import numpy as np
import pytest

from streamrec.candidates import NeighbourTable, Trend
from streamrec.catalogue import ItemTable
from streamrec.events import CatalogItem, ItemNeighbours
from streamrec.events.topics import CATALOG

T0 = 1_700_000_000_000
HOUR = 3_600_000
ROWS = np.arange(3, dtype=np.int32)


def table(of_late: list[float], over_weeks: list[float], ages_ms: tuple[int, ...] = (0, 0, 0)) -> NeighbourTable:
    items = ItemTable()
    made = NeighbourTable(items, popularity_half_life_s=6 * 3600.0)
    for n, (popularity, visitors, age) in enumerate(zip(of_late, over_weeks, ages_ms, strict=True)):
        items.apply(CATALOG, f"i{n}", CatalogItem(title="t", ts=T0), n)
        made.update(f"i{n}", ItemNeighbours(as_of=T0 - age, popularity=popularity, visitors=visitors, neighbours=()))
    return made


def amounts(made: NeighbourTable, smoothing: float) -> list[float]:
    return [float(amount) for amount in Trend(made, ROWS, smoothing).amounts(ROWS)]


def test_without_smoothing_it_is_the_visitors_of_late_as_of_the_newest_event() -> None:
    assert amounts(table([4.0, 2.0, 1.0], [9.0, 9.0, 9.0]), 0.0) == pytest.approx([4.0, 2.0, 1.0])
    assert amounts(table([4.0, 2.0, 1.0], [9.0, 9.0, 9.0], (6 * HOUR, 0, 12 * HOUR)), 0.0) == pytest.approx([2.0, 2.0, 0.25])


def test_smoothing_spreads_so_many_visitors_like_those_of_weeks() -> None:
    assert amounts(table([1.0, 0.0, 3.0], [30.0, 10.0, 0.0]), 20.0) == pytest.approx([16.0, 5.0, 3.0])


def test_three_visitors_are_a_trend_only_where_few_came_over_weeks_or_many_more_of_late() -> None:
    quiet, busy = table([1.0, 1.0, 3.0], [60.0, 40.0, 3.0]), table([100.0, 80.0, 3.0], [6000.0, 4000.0, 3.0])
    assert np.argmax(amounts(quiet, 0.0)) == 2
    assert np.argmax(amounts(quiet, 50.0)) == 0
    assert amounts(busy, 50.0)[2] / amounts(busy, 50.0)[0] == pytest.approx(3.0 / 130.0, rel=0.02)


def test_where_nobody_was_met_nothing_is_popular() -> None:
    assert amounts(table([0.0, 0.0, 0.0], [0.0, 0.0, 0.0]), 50.0) == [0.0, 0.0, 0.0]
    assert Trend(NeighbourTable(ItemTable()), ROWS[:0], 50.0).amounts(ROWS[:0]).tolist() == []
