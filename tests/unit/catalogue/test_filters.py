"""Laws of filters and of the masks that are kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrec.catalogue import Filter, ItemTable, Masks
from streamrec.catalogue.filters import ANY
from streamrec.events import CatalogItem, Price, Stock
from streamrec.events.topics import CATALOG, PRICE, STOCK

T0 = 1_700_000_000_000


class Shop:
    """An item table that is written to by id, each fact later than the one before."""

    def __init__(self) -> None:
        self.items, self.now = ItemTable(), T0

    def item(self, item_id: str, seller: str = "", **facts: object) -> None:
        self.now += 1
        told = CatalogItem(title="t", ts=self.now, attributes={"seller": seller} if seller else {}, **facts)  # type: ignore[arg-type]
        self.items.apply(CATALOG, item_id, told, self.now)

    def price(self, item_id: str, price: float) -> None:
        self.now += 1
        self.items.apply(PRICE, item_id, Price(price=price, ts=self.now), self.now)

    def stock(self, item_id: str, quantity: int) -> None:
        self.now += 1
        self.items.apply(STOCK, item_id, Stock(quantity=quantity, ts=self.now), self.now)

    def passing(self, wanted: Filter, masks: Masks | None = None) -> list[str]:
        mask = (masks or Masks(self.items)).get(wanted)
        return self.items.ids(np.flatnonzero(mask))


def shop() -> Shop:
    shop = Shop()
    shop.item("a", category="tea", brand="Acme", price=5.0, quantity=3, seller="Ann")
    shop.item("b", category="tea", brand="Best", price=9.0)
    shop.item("c", category="soap", brand="Acme", price=20.0, quantity=1, seller="Bob")
    shop.item("d", category="soap")
    shop.item("gone", category="tea", brand="Acme", price=5.0, quantity=0)
    return shop


def some(*names: str) -> frozenset[str]:
    return frozenset(names)


@pytest.mark.parametrize(
    ("wanted", "passing"),
    [
        (ANY, "abcd"),
        (Filter(categories=some("tea")), "ab"),
        (Filter(categories=some("tea", "soap")), "abcd"),
        (Filter(categories=some("unheard of")), ""),
        (Filter(categories=some("tea", "unheard of")), "ab"),
        (Filter(categories=some("soap"), brands=some("Acme")), "c"),
        (Filter(sellers=some("Ann", "Bob")), "ac"),
        (Filter(price_min=5.0, price_max=9.0), "ab"),
        (Filter(price_min=9.1), "c"),
        (Filter(price_max=5.0), "a"),
        (Filter(price_min=0.0), "abc"),
        (Filter(quantity_min=2), "a"),
        (Filter(exclude=some("a", "unheard of")), "bcd"),
    ],
)
def test_an_item_passes_when_it_may_be_shown_and_fulfils_every_rule(wanted: Filter, passing: str) -> None:
    assert shop().passing(wanted) == list(passing)


def test_more_names_than_are_compared_one_by_one_make_no_difference() -> None:
    assert shop().passing(Filter(categories=some("tea", *(f"c{n}" for n in range(100))))) == ["a", "b"]
    world = shop()
    for number in range(100):
        world.item(f"n{number}", category=f"c{number}")
    assert len(world.passing(Filter(categories=some("tea", *(f"c{n}" for n in range(100)))))) == 102


def test_a_price_band_follows_the_price_and_stock_the_stock() -> None:
    world, masks = shop(), None
    masks = Masks(world.items)
    cheap, many = Filter(price_max=6.0), Filter(quantity_min=3)
    assert (world.passing(cheap, masks), world.passing(many, masks)) == (["a"], ["a"])
    world.price("a", 7.0)
    world.price("b", 6.0)
    world.price("d", 1.0)
    assert world.passing(cheap, masks) == ["b", "d"]
    world.stock("d", 0)
    world.stock("gone", 9)
    assert world.passing(cheap, masks) == ["b", "gone"]
    assert world.passing(many, masks) == ["a", "gone"]


def test_what_did_not_change_is_not_computed_again() -> None:
    world = shop()
    masks = Masks(world.items)
    wanted = Filter(categories=some("tea"), price_max=9.0)
    first = masks.get(wanted)
    assert masks.get(Filter(categories=some("tea"), price_max=9.0)) is first
    assert not first.flags.writeable
    world.price("a", 6.0)
    parts = {key: id(mask) for key, (_, mask) in masks._kept.items()}
    assert masks.get(wanted) is not first
    again = {key: id(mask) for key, (_, mask) in masks._kept.items()}
    assert [key for key in parts if parts[key] != again[key]] == [("price", None, 9.0), wanted]


def test_the_number_of_masks_is_bounded_and_what_is_left_is_right() -> None:
    world = shop()
    masks = Masks(world.items, max_masks=5)
    for number in range(100):
        assert world.passing(Filter(price_max=float(number)), masks) == world.passing(Filter(price_max=float(number)))
        assert len(masks._kept) <= 5


NAMES = st.sampled_from(["", "x", "y"])
CHANGES = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.sampled_from(["item", "price", "stock"]), NAMES, NAMES, st.integers(0, 3)), max_size=25
)
FILTERS = st.builds(
    Filter,
    categories=st.frozensets(st.sampled_from("xyz")),
    brands=st.frozensets(st.sampled_from("xyz")),
    price_min=st.none() | st.floats(0, 3),
    price_max=st.none() | st.floats(0, 3),
    quantity_min=st.integers(1, 3),
    exclude=st.frozensets(st.sampled_from("abz")),
)


@given(CHANGES, st.lists(FILTERS, min_size=1, max_size=3), st.integers(1, 8))
def test_masks_that_are_kept_over_changes_equal_those_made_anew(
    changes: list[tuple[str, str, str, str, int]], filters: list[Filter], max_masks: int
) -> None:
    world = Shop()
    masks = Masks(world.items, max_masks)
    for item_id, kind, category, brand, number in changes:
        if kind == "item":
            world.item(item_id, category=category, brand=brand, price=float(number), quantity=number)
        else:
            (world.price if kind == "price" else world.stock)(item_id, number)
        for wanted in filters:
            np.testing.assert_array_equal(masks.get(wanted), Masks(world.items).get(wanted))
            assert masks.get(wanted).shape == (len(world.items),)


def test_a_search_events_filters_are_read_and_what_says_nothing_is_passed_over() -> None:
    told = {"category": "tea", "brand": "", "price_min": "1.5", "price_max": "cheap", "colour": "red"}
    assert Filter.of_search(told) == Filter(categories=some("tea"), price_min=1.5)
    assert Filter.of_search({}) == ANY
