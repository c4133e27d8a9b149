"""The laws of FactStore, on every implementation."""

from __future__ import annotations

import random

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamrec.catalogue.redis_store import RedisFactStore
from streamrec.catalogue.store import Applied, Fact, FactStore, MemoryFactStore
from streamrec.catalogue.table import ItemTable
from streamrec.events import CatalogItem, Price, Stock
from streamrec.events.topics import CATALOG, PRICE, STOCK
from streamrec.lists import keys

T0 = 1_767_225_600_000


@pytest.fixture(params=["memory", "redis", "redis cluster"])
def store(request: pytest.FixtureRequest) -> FactStore:
    if request.param == "memory":
        return MemoryFactStore(1000)
    return RedisFactStore(request.getfixturevalue("redis_client"), cluster=request.param == "redis cluster")


def _stock(quantity: int, at: int, order: int = 0, item: str = "a") -> Fact:
    return Fact(STOCK, item, Stock(quantity=quantity, ts=T0 + at), order)


def _price(price: float, at: int, order: int = 0, list_price: float | None = None) -> Fact:
    return Fact(PRICE, "a", Price(price=price, list_price=list_price, ts=T0 + at), order)


def _listing(at: int, order: int = 0, *, title: str = "A shoe", price: float | None = None, quantity: int | None = None) -> Fact:
    item = CatalogItem(
        title=title, ts=T0 + at, price=price, quantity=quantity, currency="EUR", brand="b", category="c", image_url="http://i"
    )
    return Fact(CATALOG, "a", item, order)


def _removal(order: int) -> Fact:
    return Fact(CATALOG, "a", None, order)


def _one(store: FactStore, fact: Fact) -> Applied:
    [applied] = store.apply([fact])
    return applied


def _hidden(store: FactStore) -> bool:
    return store.soldout(["a"]) == [True]


NOTHING = Applied(applied=False)
CHANGED = Applied(applied=True)
SOLD_OUT = Applied(applied=True, became_soldout=True)
BACK = Applied(applied=True, became_available=True)


def test_nothing_is_known_of_an_unknown_item_and_it_may_be_shown(store: FactStore) -> None:
    assert store.read(["a"]) == [{}]
    assert store.soldout(["a", "b"]) == [False, False]
    assert not store.soldout([])
    assert not store.apply([])
    assert not store.read([])


def test_sold_out_hides_and_restock_shows_at_once(store: FactStore) -> None:
    """Restock is as fast as sold-out: one fact each, answered in the same call."""
    assert _one(store, _stock(5, 0)) == CHANGED
    assert _one(store, _stock(0, 1)) == SOLD_OUT
    assert _hidden(store)
    assert _one(store, _stock(3, 2)) == BACK
    assert not _hidden(store)
    assert store.read(["a"])[0]["quantity"] == "3"


def test_old_or_repeated_facts_change_nothing(store: FactStore) -> None:
    store.apply([_stock(5, 10, 7), _stock(0, 20, 8), _price(9.5, 20, 3, 12.0)])
    before = store.read(["a"])
    for old in (_stock(5, 10, 7), _stock(0, 20, 8), _stock(9, 19, 99), _price(1.0, 19, 99), _price(9.5, 20, 3, 12.0)):
        assert _one(store, old) == NOTHING
    assert store.read(["a"]) == before
    assert _hidden(store)


def test_at_equal_times_the_later_order_wins(store: FactStore) -> None:
    assert _one(store, _stock(0, 0, 5)) == SOLD_OUT
    assert _one(store, _stock(1, 0, 4)) == NOTHING
    assert _one(store, _stock(1, 0, 6)) == BACK


def test_facts_are_readable_as_a_storefront_needs_them(store: FactStore) -> None:
    store.apply([_listing(0, 1), _price(12.50, 1, 2, 20.0), _stock(3, 2, 9)])
    [fields] = store.read(["a"])
    shown = {name: value for name, value in fields.items() if not name.endswith("_order")}
    assert shown == {
        "title": "A shoe",
        "image_url": "http://i",
        "category": "c",
        "brand": "b",
        "currency": "EUR",
        "price": "12.5",
        "list_price": "20",
        "quantity": "3",
        "catalog_ts": str(T0),
        "price_ts": str(T0 + 1),
        "stock_ts": str(T0 + 2),
    }


def test_a_newer_price_without_list_price_ends_the_reduction(store: FactStore) -> None:
    store.apply([_price(12.5, 1, 0, 20.0), _price(20.0, 2, 0)])
    [fields] = store.read(["a"])
    assert fields["price"] == "20"
    assert "list_price" not in fields


def test_price_and_quantity_in_a_listing_are_facts_of_its_time(store: FactStore) -> None:
    assert _one(store, _listing(5, 1, price=3.0, quantity=0)) == SOLD_OUT
    assert _one(store, _price(2.0, 4, 99)) == NOTHING
    assert _one(store, _stock(7, 4, 99)) == NOTHING
    assert _one(store, _stock(7, 6, 0)) == BACK
    # The listing is newer, its quantity older than the stock message.
    assert _one(store, _listing(6, 2, price=4.0, quantity=0)) == CHANGED
    assert not _hidden(store)
    assert store.read(["a"])[0]["price"] == "4"


def test_a_stock_message_outranks_a_listing_of_the_same_time_in_any_order(store: FactStore) -> None:
    store.apply([_stock(0, 0, 1), _listing(0, 50, quantity=9)])
    assert _hidden(store)
    assert _one(store, _listing(0, 51, quantity=9)) == CHANGED
    assert _hidden(store)


def test_a_removed_item_is_hidden_until_it_is_listed_again(store: FactStore) -> None:
    store.apply([_listing(0, 1), _stock(5, 0)])
    assert _one(store, _removal(2)) == SOLD_OUT
    assert _one(store, _removal(2)) == NOTHING
    assert _one(store, _listing(0, 1)) == NOTHING
    assert _one(store, _stock(8, 9)) == CHANGED
    assert _hidden(store)
    assert _one(store, _listing(5, 3)) == BACK


def test_a_removed_item_that_returns_sold_out_stays_hidden(store: FactStore) -> None:
    store.apply([_listing(0, 1), _removal(2), _stock(0, 3)])
    assert _one(store, _listing(5, 4)) == CHANGED
    assert _hidden(store)
    assert _one(store, _stock(1, 6)) == BACK


def test_null_has_no_meaning_on_stock_and_price(store: FactStore) -> None:
    store.apply([_stock(1, 0)])
    assert store.apply([Fact(STOCK, "a", None, 9), Fact(PRICE, "a", None, 9), _stock(0, 1)]) == [NOTHING, NOTHING, SOLD_OUT]


def test_a_batch_gives_one_answer_per_fact_in_order(store: FactStore) -> None:
    facts = [_stock(0, 0, item="a"), _stock(1, 0, item="b"), _stock(1, 1, item="a"), _stock(0, 1, item="b"), _stock(0, 1, item="b")]
    assert store.apply(facts) == [SOLD_OUT, CHANGED, BACK, SOLD_OUT, NOTHING]
    assert store.soldout(["b", "a"]) == [True, False]


def test_a_repeat_repairs_a_guard_set_that_was_lost(redis_client: redis.Redis) -> None:
    """Applying all facts again rebuilds ``soldout`` even where the item hashes survived."""
    for cluster in (False, True):
        store = RedisFactStore(redis_client, cluster=cluster)
        store.apply([_stock(0, 0)])
        redis_client.delete(keys.SOLDOUT)
        assert _one(store, _stock(0, 0)) == Applied(applied=False, became_soldout=True)
        assert _hidden(store)


def test_the_memory_store_refuses_items_beyond_its_bound() -> None:
    store = MemoryFactStore(1)
    assert store.apply([_stock(0, 0, item="a"), _stock(0, 0, item="b"), _stock(1, 1, item="a")]) == [SOLD_OUT, NOTHING, BACK]
    assert store.soldout(["b"]) == [False]


_times, _orders, _quantities = st.integers(0, 3), st.integers(0, 5), st.integers(0, 2)
_prices = st.sampled_from([1.0, 2.5, 0.1, 1e12, 12345678.99])
_facts = st.lists(
    st.one_of(
        st.builds(_stock, _quantities, _times, _orders),
        st.builds(_price, _prices, _times, _orders, st.none() | _prices),
        st.builds(
            _listing,
            _times,
            _orders,
            title=st.sampled_from(["x", "ü ☃ \x00"]),
            price=st.none() | _prices,
            quantity=st.none() | _quantities,
        ),
        st.builds(_removal, _orders),
    ),
    min_size=1,
    max_size=12,
    # One offset of one topic is one message.
    unique_by=lambda fact: (fact.topic, fact.order),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(facts=_facts, seed=st.integers(0, 1000))
def test_facts_in_any_order_and_repeated_end_in_one_state_in_memory_in_redis_and_in_the_item_table(
    redis_client: redis.Redis, facts: list[Fact], seed: int
) -> None:
    """Old or repeated messages never resurrect; every implementation gives the same answers."""
    redis_client.flushdb()
    shuffled = facts + facts[::2]
    random.Random(seed).shuffle(shuffled)
    straight, memory, real, table = MemoryFactStore(9), MemoryFactStore(9), RedisFactStore(redis_client), ItemTable()
    straight.apply(facts)
    assert memory.apply(shuffled) == real.apply(shuffled)
    assert memory.read(["a"]) == real.read(["a"]) == straight.read(["a"])
    assert memory.soldout(["a"]) == real.soldout(["a"]) == straight.soldout(["a"])
    redis_client.flushdb()
    across = RedisFactStore(redis_client, cluster=True)
    assert across.apply(shuffled) == MemoryFactStore(9).apply(shuffled)
    assert (across.read(["a"]), across.soldout(["a"])) == (straight.read(["a"]), straight.soldout(["a"]))
    for fact in shuffled:
        table.apply(fact.topic, fact.item_id, fact.payload, fact.order)
    row = table.find("a")
    if table.listed[row] or any(fact.payload is None for fact in facts):
        assert bool(table.available[row]) is not _hidden(across)
