"""Price levels depend on the facts alone: not on their order, and the whole at once gives what one after the other gives."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from streamrec.catalogue.price_levels import PriceLevels
from streamrec.catalogue.table import ItemTable
from streamrec.events import CatalogItem, Price
from streamrec.events.topics import CATALOG, PRICE

T0 = 1_700_000_000_000


def rows(*numbers: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.array(numbers, np.int32)


def test_a_level_is_the_distance_to_the_category_in_standard_deviations_of_the_logarithm() -> None:
    levels = PriceLevels()
    for row, price in enumerate((10.0, 20.0, 40.0)):
        levels.put(row, 1, price)
    told, known = levels.of(rows(0, 1, 2))
    assert known.all()
    assert told == pytest.approx([-1.2247, 0.0, 1.2247], abs=1e-2)


def test_what_is_dear_in_one_category_may_be_cheap_in_another() -> None:
    levels = PriceLevels()
    for row, (category, price) in enumerate([(1, 1.0), (1, 2.0), (1, 8.0), (2, 8.0), (2, 30.0), (2, 90.0)]):
        levels.put(row, category, price)
    told, _ = levels.of(rows(2, 3))
    assert told[0] > 1 > -1 > told[1]


@pytest.mark.parametrize("prices", [(5.0, 50.0), (5.0, 5.1, 5.2, 5.0)], ids=["few", "hardly differ"])
def test_where_prices_tell_nothing_no_level_is_known(prices: tuple[float, ...]) -> None:
    levels = PriceLevels()
    for row, price in enumerate(prices):
        levels.put(row, 3, price)
    told, known = levels.of(np.arange(len(prices), dtype=np.int32))
    assert not known.any()
    assert not told.any()


def test_items_without_a_price_and_rows_never_heard_of_have_none() -> None:
    levels = PriceLevels()
    for row, price in enumerate((1.0, 10.0, 100.0, float("nan"), 0.0)):
        levels.put(row, 0, price)
    _, known = levels.of(rows(0, 3, 4, 5, 100_000))
    assert known.tolist() == [True, False, False, False, False]


def test_the_order_of_facts_cannot_be_seen_and_a_restored_table_knows_the_same() -> None:
    rng = Random(3)
    items = [(f"i{n}", f"c{n % 7}", round(rng.lognormvariate(3, 1), 2)) for n in range(200)]
    facts = [(CATALOG, i, CatalogItem(title=i, category=c, ts=T0)) for i, c, _ in items]
    facts += [(PRICE, i, Price(price=p * 2, ts=T0 + 1)) for i, _, p in items]  # type: ignore[misc]
    facts += [(PRICE, i, Price(price=p, ts=T0 + 2)) for i, _, p in items]  # type: ignore[misc]
    found = []
    for seed in (1, 2):
        table = ItemTable()
        for order, (topic, item_id, fact) in enumerate(Random(seed).sample(facts, len(facts))):
            table.apply(topic, item_id, fact, order)
        found.append(table.price_levels.of(table.find_all([i for i, _, _ in items])))
    (first, known), (second, _) = found
    assert known.all()
    assert first.tolist() == second.tolist()
    restored = ItemTable()
    restored.restore(table.state())
    assert restored.price_levels.of(table.find_all([i for i, _, _ in items]))[0].tolist() == first.tolist()


def test_an_item_that_changes_its_category_leaves_the_old_one() -> None:
    levels = PriceLevels()
    for row, price in enumerate((1.0, 2.0, 4.0, 1000.0)):
        levels.put(row, 1, price)
    alone = PriceLevels()
    for row, price in enumerate((1.0, 2.0, 4.0)):
        alone.put(row, 1, price)
    levels.put(3, 2, 1000.0)
    assert levels.of(rows(0, 1, 2))[0].tolist() == alone.of(rows(0, 1, 2))[0].tolist()
