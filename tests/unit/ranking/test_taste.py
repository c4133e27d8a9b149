"""How much a query counts: fully when it was the visitor's last word, less with time and with each item met since."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from streamrec.catalogue import ItemTable
from streamrec.config import ProfileSettings, RankingSettings
from streamrec.events import Cart, Click, Event, Search
from streamrec.ranking.taste import taste_of
from tests.unit.ranking.worlds import T0, World, direction, visitor

MINUTE = 60_000
#: Time alone forgets next to nothing within these visits.
SLOW = RankingSettings(search_decay=0.5, search_half_life_s=1e9)


def search(ts: int = T0, query: str = "soap") -> Search:
    return Search(query=query, ts=ts)


def click(item_id: str, ts: int) -> Click:
    return Click(item_id=item_id, ts=ts)


def strength(*events: Event, settings: RankingSettings = SLOW) -> float:
    return taste_of(visitor(*events), ItemTable(), ProfileSettings(), settings).query_strength


def test_what_was_met_before_the_query_takes_nothing_from_it() -> None:
    assert strength(search()) == pytest.approx(1.0)
    assert strength(click("tea", T0), click("milk", T0 + 1), search(T0 + 2)) == pytest.approx(1.0)


def test_each_item_met_since_halves_it_once_however_often_it_is_met() -> None:
    assert strength(search(), click("tea", T0 + 1)) == pytest.approx(0.5)
    assert strength(search(), click("tea", T0 + 1), click("tea", T0 + 2)) == pytest.approx(0.5)
    assert strength(search(), click("tea", T0 + 1), Cart(item_id="milk", op="add", ts=T0 + 2)) == pytest.approx(0.25)


def test_the_order_of_arrival_is_not_seen() -> None:
    events: list[Event] = [search(), click("tea", T0 + 1), click("milk", T0 + 2)]
    assert strength(*events) == strength(*reversed(events))


def test_a_query_that_is_repeated_counts_fully_again() -> None:
    assert strength(search(), click("tea", T0 + 1), search(T0 + 2)) == pytest.approx(1.0)


def test_time_and_items_add_up() -> None:
    settings = RankingSettings(search_decay=0.5, search_half_life_s=60.0)
    assert strength(search(), click("tea", T0 + MINUTE), settings=settings) == pytest.approx(0.25)
    assert strength(settings=settings) == 0.0


def test_a_search_outweighs_the_clicks_before_it_and_a_click_after_it_brings_its_kind_back() -> None:
    """With the defaults; the query is as near to its items as words are, not as items are to each other."""

    def encode(queries: Sequence[str]) -> NDArray[np.float32]:
        return np.stack([direction(0, 0.5, 0.866) for _ in queries])

    world = World(RankingSettings(explore_every=0, weight_new=0), dim=3, encode=encode)
    for number in range(6):
        world.item(f"tea{number}", (1.0, 0.02 * number, 0))
        world.item(f"soap{number}", (0, 1.0, 0.02 * number))
    clicks = [click(f"tea{number}", T0 + number) for number in range(3)]
    assert all(item_id.startswith("tea") for item_id in world.ids(*clicks, k=4)[:1])
    after = world.ids(*clicks, search(T0 + 10), k=6)
    assert {item_id[:4] for item_id in after} == {"soap"}
    assert world.whys(*clicks, search(T0 + 10))["soap0"] == "search:soap"
    later: list[Event] = [*clicks, search(T0 + 10), *(click(f"tea{number}", T0 + 11 + number) for number in (3, 4))]
    assert any(item_id.startswith("tea") for item_id in world.ids(*later, k=4))
