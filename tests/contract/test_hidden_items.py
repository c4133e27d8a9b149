"""The laws of HiddenItems, on every implementation: no fact lets go what a campaign hides, no campaign shows what is sold out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamrec.catalogue.redis_store import RedisFactStore
from streamrec.catalogue.store import Fact, FactStore, MemoryFactStore
from streamrec.events import CatalogItem, Stock
from streamrec.events.topics import CATALOG, STOCK
from streamrec.lists import keys
from streamrec.lists.functions import ensure_functions
from streamrec.lists.hidden_items import HiddenItems, MemoryHiddenItems, RedisHiddenItems

T0 = 1_767_225_600_000


@dataclass
class Shop:
    """Facts, and two who may write what campaigns hide."""

    facts: FactStore
    hidden: HiddenItems
    another: Callable[[], HiddenItems]

    def stock(self, item_id: str, quantity: int, at: int) -> None:
        self.facts.apply([Fact(STOCK, item_id, Stock(quantity=quantity, ts=T0 + at), at)])

    def away(self, *item_ids: str) -> list[bool]:
        return self.facts.soldout(item_ids)


def _shop(kind: str, client: redis.Redis | None) -> Shop:
    if client is None:
        facts = MemoryFactStore(10_000)
        first = MemoryHiddenItems(facts)
        return Shop(facts, first, lambda: MemoryHiddenItems(facts, first))
    cluster = kind == "redis cluster"
    real = RedisFactStore(client, cluster=cluster)
    return Shop(real, RedisHiddenItems(client, cluster=cluster), lambda: RedisHiddenItems(client, cluster=cluster))


@pytest.fixture(params=["memory", "redis", "redis cluster"])
def shop(request: pytest.FixtureRequest) -> Shop:
    made = _shop(request.param, None if request.param == "memory" else request.getfixturevalue("redis_client"))
    assert made.hidden.take_over() == []
    return made


def test_what_is_hidden_is_away_at_once_and_back_at_once(shop: Shop) -> None:
    assert shop.hidden.change(["a", "b"], hide=True)
    assert shop.away("a", "b", "c") == [True, True, False]
    assert shop.hidden.shown(["a", "b", "c"]) == ["c"]
    assert shop.hidden.change(["a"], hide=False)
    assert shop.away("a", "b") == [False, True]
    assert shop.hidden.change([], hide=True)
    assert shop.hidden.shown([]) == []


def test_repeating_changes_nothing_and_says_the_same(shop: Shop) -> None:
    for hide in (True, True, False, False):
        assert shop.hidden.change(["a"], hide=hide)
        assert shop.away("a") == [hide]


def test_a_stock_event_does_not_let_go_what_a_campaign_hides_and_its_end_does_not_show_what_sold_out(shop: Shop) -> None:
    shop.hidden.change(["a", "b"], hide=True)
    shop.stock("a", 5, 1)
    shop.stock("b", 0, 1)
    assert shop.away("a", "b") == [True, True]
    shop.hidden.change(["a", "b"], hide=False)
    assert shop.away("a", "b") == [False, True]
    shop.stock("b", 3, 2)
    assert shop.away("b") == [False]


def test_who_takes_over_is_told_what_is_hidden_and_refuses_who_wrote_before(shop: Shop) -> None:
    shop.hidden.change(["a", "b"], hide=True)
    assert shop.hidden.holds()
    other = shop.another()
    assert sorted(other.take_over()) == ["a", "b"]
    assert (shop.hidden.holds(), other.holds()) == (False, True)
    assert not shop.hidden.change(["c"], hide=True)
    assert not shop.hidden.change(["a"], hide=False)
    assert shop.away("a", "b", "c") == [True, True, False]
    assert other.change(["a", "b"], hide=False)
    assert shop.away("a", "b") == [False, False]


def test_thousands_of_items_are_many_blocks_and_all_of_them_are_hidden(shop: Shop) -> None:
    ids = [f"i{n}" for n in range(6001)]
    assert shop.hidden.change(ids, hide=True)
    assert shop.hidden.shown(ids) == []
    assert shop.hidden.holds()
    assert shop.hidden.change(ids, hide=False)
    assert shop.hidden.shown(ids) == ids


@pytest.mark.parametrize("cluster", [False, True])
def test_who_wrote_into_a_redis_that_came_back_with_less_holds_it_no_more(redis_client: redis.Redis, cluster: bool) -> None:
    hidden = RedisHiddenItems(redis_client, cluster=cluster)
    hidden.take_over()
    hidden.change(["a"], hide=True)
    older = redis_client.get(keys.HIDDEN_BY)
    hidden.change(["b"], hide=True)
    assert isinstance(older, bytes)
    redis_client.set(keys.HIDDEN_BY, older)
    assert not hidden.holds()
    redis_client.flushdb()
    ensure_functions(redis_client)
    assert not hidden.holds()
    assert not hidden.change(["a"], hide=True)
    assert hidden.take_over() == []


_steps = st.lists(
    st.one_of(
        st.tuples(st.just("stock"), st.integers(0, 1), st.integers(0, 9)),
        st.tuples(st.just("list"), st.integers(0, 9)),
        st.tuples(st.just("remove"), st.integers(0, 9)),
        st.tuples(st.just("hide"), st.booleans()),
    ),
    max_size=10,
)


def _apply(shop: Shop, step: tuple[object, ...], order: int) -> None:
    kind, *told = step
    if kind == "stock":
        shop.stock("a", told[0], told[1])  # type: ignore[arg-type]
    elif kind == "list":
        shop.facts.apply([Fact(CATALOG, "a", CatalogItem(title="t", ts=T0 + told[0]), order)])  # type: ignore[operator]
    elif kind == "remove":
        shop.facts.apply([Fact(CATALOG, "a", None, order)])
    else:
        assert shop.hidden.change(["a"], hide=bool(told[0]))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_steps)
def test_facts_and_campaigns_in_any_order_hide_the_item_exactly_while_one_of_them_does(
    redis_client: redis.Redis, steps: list[tuple[object, ...]]
) -> None:
    """Without campaigns the facts say whether it is away; with them it is away also while the last word of campaigns is "hide"."""
    redis_client.flushdb()
    hiding = False
    plain, shops = MemoryFactStore(9), [_shop("memory", None), _shop("redis", redis_client)]
    for shop in shops:
        shop.hidden.take_over()
    for order, step in enumerate(steps):
        for shop in shops:
            _apply(shop, step, order)
        if step[0] == "hide":
            hiding = bool(step[1])
        else:
            _apply(Shop(plain, MemoryHiddenItems(plain), lambda: MemoryHiddenItems(plain)), step, order)
        assert [shop.away("a") for shop in shops] == [[hiding or plain.soldout(["a"]) == [True]]] * 2
