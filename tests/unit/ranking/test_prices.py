"""A visitor's price level weighs on candidates by what was met, within bounds, and not at all where it is switched off."""

from __future__ import annotations

import numpy as np
import pytest

from streamrec.config import ProfileSettings, RankingSettings
from streamrec.events import Click
from streamrec.ranking.prices import affinity, level
from streamrec.ranking.taste import taste_of
from tests.unit.ranking.worlds import T0, World, visitor

PRICES = (10.0, 14.0, 20.0, 40.0, 80.0)


def shop(**ranking: float) -> World:
    world = World(RankingSettings(explore_every=0, weight_new=0.0, weight_trending=1.0, **ranking))
    for kind, vector in (("tea", (1, 0, 0, 0)), ("cup", (0, 1, 0, 0))):
        for n, price in enumerate(PRICES):
            world.item(f"{kind}{n}", vector, category=kind, price=price * (3 if kind == "cup" else 1))
            world.met(f"{kind}{n}", 10.0)
    return world


def click(item_id: str, at: int = 0) -> Click:
    return Click(item_id=item_id, ts=T0 + at)


def cups(world: World, *events: Click) -> list[str]:
    return [item_id for item_id in world.ids(*events) if item_id.startswith("cup")]


def test_who_looks_at_dear_tea_is_shown_dear_cups_first_and_who_looks_at_cheap_tea_cheap_ones() -> None:
    world = shop(weight_price=1.0)
    assert cups(world, click("tea4"), click("tea3", 1)) == [f"cup{n}" for n in (4, 3, 2, 1, 0)]
    assert cups(world, click("tea0"), click("tea1", 1)) == [f"cup{n}" for n in (0, 1, 2, 3, 4)]


def test_without_weight_prices_change_no_score() -> None:
    world, other = shop(), shop(weight_price=1.0)
    priced = world.rank(click("tea4"))
    for item_id in list(world.items.ids(priced.rows)):
        world.item(item_id, category=item_id[:3], price=25.0, ts=T0 + 1)
    assert world.rank(click("tea4")).scores.tolist() == priced.scores.tolist()
    assert other.rank(click("tea4")).scores.tolist() != priced.scores.tolist()


def test_a_level_is_drawn_to_the_middle_and_the_more_so_the_less_is_known() -> None:
    world = shop()
    levels = world.items.price_levels

    def told(doubt: float, *events: Click) -> float:
        taste = taste_of(visitor(*events), world.items, ProfileSettings(), world.settings)
        return level(taste, levels, doubt)

    one, two = told(1.0, click("tea4")), told(1.0, click("tea4"), click("cup4", 1))
    assert 0 < one < two < told(0.01, click("tea4"), click("cup4", 1))
    assert told(1.0) == 0.0


@pytest.mark.parametrize("wanted", [-2.5, -0.3, 0.4, 2.5])
def test_a_factor_is_between_a_half_and_two_and_one_where_no_price_is_known(wanted: float) -> None:
    world = shop()
    world.item("free", category="tea")
    rows = world.items.find_all([*(f"tea{n}" for n in range(5)), "free"])
    factors = affinity(rows, wanted, world.items.price_levels, 4.0)
    assert ((factors >= 0.5) & (factors <= 2.0)).all()
    assert factors[-1] == 1.0
    assert (np.diff(factors[:5]) * np.sign(wanted) >= 0).all()
