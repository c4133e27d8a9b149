"""Laws of the item table."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streamrec.catalogue import Change, CodeBook, ItemTable
from streamrec.events import CatalogItem, Payload, Price, Stock
from streamrec.events.topics import CATALOG, PRICE, STOCK

T0 = 1_700_000_000_000


def listed(ts: int = T0, **fields: Any) -> CatalogItem:
    return CatalogItem(title=fields.pop("title", "Tea"), ts=ts, **fields)


def columns(table: ItemTable) -> list[tuple[object, ...]]:
    """Everything that is known, by id, free of row numbers."""
    known = []
    for row in range(len(table)):
        price = None if np.isnan(table.price[row]) else float(table.price[row])
        names = (
            table.categories.name(table.category[row]),
            table.brands.name(table.brand[row]),
            table.sellers.name(table.seller[row]),
        )
        flags = (bool(table.available[row]), bool(table.listed[row]))
        known.append(
            (table.id(row), table.title(row), *flags, price, int(table.quantity[row]), *names, int(table.first_seen_ms[row]))
        )
    return sorted(known)


def test_an_item_is_available_from_its_listing_until_it_is_sold_out_and_again_when_restocked() -> None:
    table = ItemTable()
    assert table.apply(CATALOG, "a", listed(), 0) == Change.BECAME_AVAILABLE | Change.FACTS
    assert table.apply(STOCK, "a", Stock(quantity=0, ts=T0 + 1), 0) == Change.BECAME_UNAVAILABLE
    assert table.apply(STOCK, "a", Stock(quantity=0, ts=T0 + 1), 0) == 0
    assert table.apply(STOCK, "a", Stock(quantity=3, ts=T0 + 2), 1) == Change.BECAME_AVAILABLE


def test_stock_alone_lists_nothing() -> None:
    table = ItemTable()
    assert table.apply(STOCK, "a", Stock(quantity=3, ts=T0), 0) == 0
    assert not table.available[table.find("a")]


def test_an_old_fact_never_resurrects() -> None:
    table = ItemTable()
    table.apply(CATALOG, "a", listed(), 0)
    table.apply(STOCK, "a", Stock(quantity=0, ts=T0 + 10), 5)
    assert table.apply(STOCK, "a", Stock(quantity=9, ts=T0 + 9), 6) == 0
    assert not table.available[0]


def test_equal_times_are_decided_by_the_order() -> None:
    table = ItemTable()
    table.apply(PRICE, "a", Price(price=1.0, ts=T0), 1)
    assert table.apply(PRICE, "a", Price(price=2.0, ts=T0), 0) == 0
    assert table.apply(PRICE, "a", Price(price=3.0, ts=T0), 2) == Change.PRICE


def test_price_and_quantity_in_a_catalogue_message_are_facts_of_its_time() -> None:
    table = ItemTable()
    table.apply(CATALOG, "a", listed(T0, price=5.0, quantity=0), 7)
    assert (table.price[0], table.quantity[0], bool(table.available[0])) == (5.0, 0, False)
    table.apply(PRICE, "a", Price(price=4.0, ts=T0, list_price=5.0), 0)
    assert (table.price[0], table.list_price[0]) == (4.0, 5.0)
    table.apply(CATALOG, "a", listed(T0 - 1, price=9.0, quantity=3), 8)
    assert (table.price[0], table.quantity[0]) == (4.0, 0)


def test_a_removal_holds_against_what_was_sent_before_and_yields_to_a_new_listing() -> None:
    table = ItemTable()
    table.apply(CATALOG, "a", listed(T0), 1)
    assert table.apply(CATALOG, "a", None, 2) == Change.BECAME_UNAVAILABLE | Change.FACTS
    assert table.apply(CATALOG, "a", listed(T0), 1) == 0
    assert table.apply(CATALOG, "a", listed(T0 - 5), 3) == 0
    assert table.apply(CATALOG, "a", listed(T0 + 5), 4) == Change.BECAME_AVAILABLE | Change.FACTS
    assert table.apply(CATALOG, "a", None, 2) == 0


def test_a_removed_item_that_returns_sold_out_stays_unavailable() -> None:
    table = ItemTable()
    table.apply(CATALOG, "a", listed(T0), 1)
    table.apply(CATALOG, "a", None, 2)
    table.apply(STOCK, "a", Stock(quantity=0, ts=T0 + 1), 0)
    assert table.apply(CATALOG, "a", listed(T0 + 5), 4) == Change.FACTS


def test_the_table_grows_and_stops_at_its_bound() -> None:
    table = ItemTable(max_items=3000)
    for i in range(4000):
        table.apply(CATALOG, f"i{i}", listed(category=f"c{i}"), i)
    assert len(table) == 3000
    assert table.refused == 1000
    assert table.find("i3999") == -1
    assert table.available.all()
    assert table.id(2999) == "i2999"
    assert table.apply(STOCK, "i7", Stock(quantity=0, ts=T0), 0) == Change.BECAME_UNAVAILABLE


def test_lookups_of_many_answer_as_lookups_of_one() -> None:
    table = ItemTable()
    for name in "abc":
        table.row(name)
    assert table.find_all(["c", "x", "a"]).tolist() == [2, -1, 0]
    assert table.ids(np.array([2, 0])) == ["c", "a"]
    assert "a" in table
    assert "x" not in table


def test_the_version_changes_with_what_campaigns_match_on_and_not_with_stock() -> None:
    table = ItemTable()
    table.apply(CATALOG, "a", listed(brand="B", attributes={"seller": "S"}), 0)
    version = table.version
    table.apply(STOCK, "a", Stock(quantity=2, ts=T0), 0)
    table.apply(PRICE, "a", Price(price=2.0, ts=T0), 0)
    assert table.version == version
    assert table.apply(CATALOG, "a", listed(T0 + 1, brand="C"), 1) == Change.FACTS
    assert table.version > version


def test_a_full_code_book_treats_new_names_as_no_name() -> None:
    book = CodeBook(max_names=2)
    assert [book.code(name) for name in ("a", "b", "c", "a", "")] == [1, 2, 0, 1, 0]
    assert book.find("c") == -1
    assert book.name(2) == "b"
    assert len(book) == 3


MOMENTS = st.integers(T0, T0 + 3)
FACTS = st.one_of(
    st.builds(
        lambda ts, price, quantity, brand: (CATALOG, listed(ts, price=price, quantity=quantity, brand=brand)),
        MOMENTS,
        st.none() | st.sampled_from([1.0, 2.0]),
        st.none() | st.integers(0, 2),
        st.sampled_from(["", "x", "y"]),
    ),
    st.just((CATALOG, None)),
    st.builds(lambda ts, price: (PRICE, Price(price=price, ts=ts)), MOMENTS, st.sampled_from([3.0, 4.0])),
    st.builds(lambda ts, quantity: (STOCK, Stock(quantity=quantity, ts=ts)), MOMENTS, st.integers(0, 2)),
)


@given(st.lists(st.tuples(st.sampled_from("ab"), FACTS), max_size=14), st.randoms(use_true_random=False))
def test_any_order_and_any_repeats_give_the_same_columns(
    facts: list[tuple[str, tuple[str, Payload | None]]], rng: random.Random
) -> None:
    stream = [(topic, item_id, payload, order) for order, (item_id, (topic, payload)) in enumerate(facts)]
    straight, muddled = ItemTable(), ItemTable()
    for fact in stream:
        straight.apply(*fact)
    twice = stream + stream
    rng.shuffle(twice)
    for fact in twice:
        muddled.apply(*fact)
    assert columns(straight) == columns(muddled)
