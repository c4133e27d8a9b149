"""The laws of reading: by functions and by plain commands, the same guarded answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamrec.catalogue.redis_store import RedisFactStore
from streamrec.catalogue.store import Fact
from streamrec.client import Answer, Storefront
from streamrec.config import ProfileSettings
from streamrec.errors import StoreUnavailable
from streamrec.events import Cart, CatalogItem, Order, OrderLine, Stock
from streamrec.events.topics import CATALOG, STOCK
from streamrec.lists import keys
from streamrec.lists.item_lists import RedisListStore
from streamrec.lists.packing import ListItem, RankedList, pack
from streamrec.lists.pins import RedisPinStore, TimedPin
from streamrec.lists.redis_visitors import RedisVisitorStore
from streamrec.lists.visitors import VisitorUpdate
from streamrec.local import LocalRedis
from streamrec.profiles import Profile, apply

NOW = 1_767_225_600_000
#: Past every clock that reads here.
NEVER = 4_102_444_800_000


@pytest.fixture(params=["functions", "plain"])
def shop(request: pytest.FixtureRequest, redis_client: redis.Redis) -> Storefront:
    return Storefront(redis_client, cluster=request.param == "plain")


def _long(ids: list[str]) -> RankedList:
    """A list in which only the first items need to be decoded."""
    return _list(*ids, *(f"more-{n}" for n in range(12)), why='search:"},{"')


def _list(*ids: str, why: str = "content:z", made_at: int = NOW) -> RankedList:
    return RankedList(made_at, tuple(ListItem(item_id, round(1 - n / 100, 2), why) for n, item_id in enumerate(ids)), "a", "digest")


def _sell_out(client: redis.Redis, *item_ids: str, quantity: int = 0, ts: int = NOW) -> None:
    RedisFactStore(client).apply([Fact(STOCK, item_id, Stock(quantity=quantity, ts=ts), 0) for item_id in item_ids])


def _visit(client: redis.Redis, user_id: str, lists: dict[str, RankedList], profile: Profile | None = None) -> None:
    fresh = replace(profile or Profile(), revision=0)
    assert RedisVisitorStore(client).commit([VisitorUpdate(user_id, fresh, lists)]) == [True]


def _put(client: redis.Redis, **lists: RankedList) -> None:
    RedisListStore(client).put({keys.trending() if name == "trending" else name: ranked for name, ranked in lists.items()}, 100)


def test_a_visitor_gets_the_first_n_of_the_list_with_scores_and_reasons(shop: Storefront, redis_client: redis.Redis) -> None:
    _visit(redis_client, "u", {keys.HOME: _list("a", "b", "c")})
    assert shop.top("u", 2) == Answer(
        "list", NOW, "a", "digest", (ListItem("a", 1.0, "content:z"), ListItem("b", 0.99, "content:z"))
    )


def test_an_unknown_visitor_gets_what_is_trending_and_an_empty_shop_gives_nothing(
    shop: Storefront, redis_client: redis.Redis
) -> None:
    assert shop.top("nobody") == Answer("none", 0, "", "", ())
    _put(redis_client, trending=_list("t1", "t2", "t3", why="trending", made_at=NOW + 5))
    answer = shop.top("nobody", 2)
    assert (answer.source, answer.made_at, answer.ids()) == ("fallback", NOW + 5, ["t1", "t2"])
    assert answer.items[0].why == "trending"


def test_placements_have_lists_of_their_own(shop: Storefront, redis_client: redis.Redis) -> None:
    _visit(redis_client, "u", {keys.HOME: _list("a"), "cart": _list("b")})
    assert shop.top("u", 1).ids() == ["a"]
    assert shop.top("u", 1, placement="cart").ids() == ["b"]


def test_a_list_that_is_short_after_the_guard_is_filled(shop: Storefront, redis_client: redis.Redis) -> None:
    _visit(redis_client, "u", {keys.HOME: _list("a", "b", "c")})
    _put(redis_client, trending=_list("c", "t1", "a", "t2", "t3", why="trending"))
    _sell_out(redis_client, "a", "t1")
    answer = shop.top("u", 4)
    assert (answer.source, answer.ids()) == ("filled", ["b", "c", "t2", "t3"])
    assert answer.digest == "digest"


def test_what_was_bought_or_lies_in_the_cart_never_comes_from_the_fallback(shop: Storefront, redis_client: redis.Redis) -> None:
    profile, config = Profile(), ProfileSettings()
    apply(profile, Order(lines=(OrderLine(item_id="bought"),), ts=NOW), config)
    apply(profile, Cart(item_id="in-cart", op="add", ts=NOW), config)
    apply(profile, Cart(item_id="taken-out", op="add", ts=NOW), config)
    apply(profile, Cart(item_id="taken-out", op="remove", ts=NOW + 1), config)
    _put(redis_client, trending=_list("bought", "in-cart", "taken-out", "t"))
    _visit(redis_client, "u", {keys.HOME: _list("a")}, profile)
    _visit(redis_client, "no-list", {}, profile)
    assert shop.top("u", 9).ids() == ["a", "taken-out", "t"]
    assert shop.top("no-list", 9).ids() == ["taken-out", "t"]


_PATHS: dict[str, tuple[str, Callable[[Storefront], Answer]]] = {
    "the visitor's list": (keys.rec("u"), lambda shop: shop.top("u")),
    "a placement's list": (keys.rec("u", "detail"), lambda shop: shop.top("u", placement="detail")),
    "fallback of an unknown visitor": (keys.trending(), lambda shop: shop.top("nobody")),
    "fill of a short list": (keys.trending(), lambda shop: shop.top("short")),
    "similar": (keys.similar("x"), lambda shop: shop.similar("x")),
    "together": (keys.together("x"), lambda shop: shop.together("x")),
    "trending": (keys.trending(), lambda shop: shop.trending()),
    "trending of a category": (keys.trending("Shoes"), lambda shop: shop.trending("Shoes")),
    "new": (keys.new(), lambda shop: shop.new()),
    "new of a category": (keys.new("Shoes"), lambda shop: shop.new("Shoes")),
}


@pytest.mark.parametrize("path", _PATHS)
def test_a_sold_out_or_removed_item_leaks_on_no_path_and_comes_back_at_once(
    shop: Storefront, redis_client: redis.Redis, path: str
) -> None:
    """Sold-out items leak through fallbacks first, and restock must be as fast."""
    name, read = _PATHS[path]
    RedisListStore(redis_client).put({name: _list("a", "x", "b")}, 100)
    if "short" in path:
        _visit(redis_client, "short", {keys.HOME: _list("own")})
    before = read(shop).ids()
    assert [i for i in before if i != "own"] == ["a", "x", "b"]
    without = [i for i in before if i != "x"]
    _sell_out(redis_client, "x")
    assert read(shop).ids() == without
    _sell_out(redis_client, "x", quantity=2, ts=NOW + 1)
    assert read(shop).ids() == before
    facts = RedisFactStore(redis_client)
    listing = CatalogItem(title="t", ts=NOW)
    facts.apply([Fact(CATALOG, "x", listing, 1), Fact(CATALOG, "x", None, 2)])
    assert read(shop).ids() == without
    facts.apply([Fact(CATALOG, "x", listing, 3), Fact(CATALOG, "x", CatalogItem(title="t", ts=NOW + 1), 4)])
    assert read(shop).ids() == before


def test_a_forgotten_visitor_gets_what_an_unknown_one_gets(shop: Storefront, redis_client: redis.Redis) -> None:
    """Deleting a user deletes the cached lists too."""
    _put(redis_client, trending=_list("t"))
    _visit(redis_client, "u", {keys.HOME: _list("a"), "cart": _list("b")})
    RedisVisitorStore(redis_client).forget("u")
    for placement in (keys.HOME, "cart"):
        assert shop.top("u", placement=placement) == shop.top("nobody")


def test_a_list_of_another_version_or_damaged_counts_as_missing(shop: Storefront, redis_client: redis.Redis) -> None:
    _put(redis_client, trending=_list("t"))
    for value in (pack(_list("a")).replace(b'"v":1', b'"v":2'), b"{", b"[]", b"7", b""):
        redis_client.set(keys.rec("u"), value)
        assert shop.top("u").ids() == ["t"]
        redis_client.set(keys.similar("x"), value)
        assert shop.similar("x").source == "none"


def test_nothing_is_filled_in_for_a_visitor_whose_profile_cannot_be_read(shop: Storefront, redis_client: redis.Redis) -> None:
    """Better a short list than a bought item."""
    _put(redis_client, trending=_list("t"))
    redis_client.set(keys.rec("u"), pack(_list("a")))
    for damaged in (b"12345678", b"12345678\xc1", b"12345678\x81", b"x", b"12345678\x81\xa1b\x07"):
        redis_client.set(keys.profile("u"), damaged)
        assert (shop.top("u").source, shop.top("u").ids()) == ("list", ["a"])


def test_a_reason_that_looks_like_the_border_of_two_items_confuses_nobody(shop: Storefront, redis_client: redis.Redis) -> None:
    """Only the first items of a list are decoded, up to a border; a visitor's query may hold the same characters."""
    for why in ("search:},{", 'search:"},{"', "search:\\", 'search:\\"},{\\"id":"x', "}]}},{"):
        ranked = _list("a", "b", "c", "d", "e", "f", why=why)
        redis_client.set(keys.rec("u"), pack(ranked))
        for n in range(1, 7):
            assert shop.top("u", n).items == ranked.items[:n]
        _sell_out(redis_client, "a", "b", "c")
        assert shop.top("u", 2).items == ranked.items[3:5]
        redis_client.delete(keys.SOLDOUT, *(keys.item(i) for i in "abc"))


@pytest.mark.parametrize("n", [0, -1, 201])
def test_a_number_of_items_out_of_bounds_is_refused(shop: Storefront, n: int) -> None:
    with pytest.raises(ValueError, match="ask for 1 to 200"):
        shop.top("u", n)
    with pytest.raises(ValueError, match="ask for 1 to 200"):
        shop.similar("u", n)


def test_a_redis_that_is_away_is_told_as_such_and_one_that_came_back_empty_works_again() -> None:
    with LocalRedis() as server, redis.Redis.from_url(server.url, retry=None) as client:
        shops = [Storefront(client), Storefront(client, cluster=True)]
        server.kill()
        for shop in shops:
            with pytest.raises(StoreUnavailable, match="try again"):
                shop.top("u")
        server.restart(keep_data=False)
        for shop in shops:
            assert shop.top("u").source == "none"


# -- pins ------------------------------------------------------------------------------------------------------------------


def _pin(slot: int, item_id: str, campaign: str = "c", *, starts_at: int = NOW - 9, ends_at: int = NEVER) -> TimedPin:
    return TimedPin(slot, item_id, campaign, starts_at, ends_at)


def _tell_pins(client: redis.Redis, *pins: TimedPin) -> None:
    RedisPinStore(client).put(pins)


def test_a_pin_stands_in_its_slot_of_the_home_list_alone_and_but_once(shop: Storefront, redis_client: redis.Redis) -> None:
    _visit(redis_client, "u", {keys.HOME: _list("a", "b", "c", "d"), "cart": _list("a", "b")})
    _tell_pins(redis_client, _pin(1, "x"), _pin(3, "d", "e"))
    answer = shop.top("u", 4)
    assert (answer.source, answer.ids()) == ("list", ["x", "a", "d", "b"])
    assert [(item.score, item.why) for item in answer.items if item.id in "xd"] == [(0, "campaign:c"), (0.97, "campaign:e")]
    assert shop.top("u", 2).items[0] == ListItem("x", 0, "campaign:c")
    assert shop.top("u", 4, placement="cart").ids() == ["a", "b"]


def test_a_pin_runs_from_its_start_until_just_before_its_end(shop: Storefront, redis_client: redis.Redis) -> None:
    _visit(redis_client, "u", {keys.HOME: _list("a", "b")})
    _tell_pins(redis_client, _pin(1, "over", ends_at=NOW), _pin(1, "to-come", starts_at=NEVER - 1), _pin(2, "now"))
    assert shop.top("u", 2).ids() == ["a", "now"]
    _tell_pins(redis_client, _pin(1, "to-come", starts_at=NEVER - 1))
    assert shop.top("u", 2).ids() == ["a", "b"]


def test_a_pin_that_is_sold_out_or_owned_leaves_its_slot_to_the_next(shop: Storefront, redis_client: redis.Redis) -> None:
    profile, config = Profile(), ProfileSettings()
    apply(profile, Order(lines=(OrderLine(item_id="bought"),), ts=NOW), config)
    apply(profile, Cart(item_id="in-cart", op="add", ts=NOW), config)
    _visit(redis_client, "u", {keys.HOME: _list("a", "b")}, profile)
    _sell_out(redis_client, "gone")
    _tell_pins(redis_client, *(_pin(1, item_id) for item_id in ("gone", "bought", "in-cart", "good", "better")))
    assert shop.top("u", 3).ids() == ["good", "a", "b"]
    _sell_out(redis_client, "good", "better")
    assert shop.top("u", 3).ids() == ["a", "b"]


def test_a_list_that_was_ranked_with_the_pin_is_read_as_it_stands(shop: Storefront, redis_client: redis.Redis) -> None:
    ranked = RankedList(
        NOW, (ListItem("a", 0.5, "new"), ListItem("x", 0.125, "campaign:c"), ListItem("b", 0.25, "new")), "a", "digest"
    )
    _visit(redis_client, "u", {keys.HOME: ranked})
    _tell_pins(redis_client, _pin(2, "x"))
    assert shop.top("u", 3).items == ranked.items


def test_where_the_items_end_pins_follow_and_without_any_there_is_nothing(shop: Storefront, redis_client: redis.Redis) -> None:
    _tell_pins(redis_client, _pin(5, "x"), _pin(7, "y"), _pin(1, "z"))
    assert shop.top("u").source == "none"
    _put(redis_client, trending=_list("t"))
    assert (shop.top("u").source, shop.top("u").ids()) == ("fallback", ["z", "t", "y", "x"])
    _visit(redis_client, "u", {keys.HOME: _list("x")})
    assert (shop.top("u").source, shop.top("u").ids()) == ("fallback", ["z", "t", "y", "x"])
    redis_client.delete(keys.trending())
    assert (shop.top("u").source, shop.top("u").ids()) == ("list", ["z", "y", "x"])


def test_pins_of_another_version_or_damaged_count_as_none(shop: Storefront, redis_client: redis.Redis) -> None:
    _visit(redis_client, "u", {keys.HOME: _list("a")})
    for value in (
        '{"v":2,"from":0,"pins":[]}',
        "{",
        "",
        '{"v":1,"from":0,"pins":7}',
        '{"v":1,"from":0,"pins":[{"slot":1}]}',
        '{"v":1,"from":0,',
    ):
        redis_client.set(keys.PINS, value)
        assert shop.top("u").ids() == ["a"]


def test_a_storefront_without_the_right_to_read_pins_reads_lists_as_they_stand(redis_client: redis.Redis) -> None:
    """Rights that were given before there were pins go on working."""
    _visit(redis_client, "u", {keys.HOME: _list("a")})
    _tell_pins(redis_client, _pin(1, "x"))
    rights = ("on", "nopass", "resetkeys", "-@all", "+fcall_ro", "+get", "+smismember")
    admin: Any = redis_client  # not typed by its authors
    admin.execute_command("ACL SETUSER", "old", *rights, "%R~rec:*", "%R~profile:*", "%R~trending:*", "%R~soldout")
    try:
        at = redis_client.connection_pool.connection_kwargs
        with redis.Redis(host=at["host"], port=at["port"], username="old", password="any") as old:
            assert Storefront(old).top("u").ids() == ["a"]
    finally:
        admin.execute_command("ACL DELUSER", "old")


_ids = st.sampled_from(["a", "b", "c", 'q"uote', "back\\slash", "slash/é", "☃", "1", "-", "e\u2028"])
_lists = st.none() | st.lists(_ids, max_size=7).map(lambda ids: _list(*ids)) | st.lists(_ids, max_size=7).map(_long)
_ts = st.integers(NOW, NOW + 3)
_profiles = st.none() | st.builds(
    Profile,
    bought=st.dictionaries(_ids, _ts, max_size=3),
    cart=st.dictionaries(_ids, st.tuples(st.integers(0, 2), _ts), max_size=4),
    bought_floor=st.sampled_from([0, NOW + 1]),
)


_pins = st.lists(
    st.builds(
        _pin,
        st.integers(1, 9),
        _ids,
        st.sampled_from(["c", 'q"},{"id":"x', "☃"]),
        starts_at=st.sampled_from([0, NOW, NEVER - 5]),
        ends_at=st.sampled_from([NOW + 1, NEVER, NEVER]),
    ),
    max_size=5,
).map(lambda pins: sorted(pins, key=lambda pin: pin.slot))


def _oracle(
    ranked: RankedList | None,
    profile: Profile | None,
    fallback: RankedList | None,
    soldout: set[str],
    n: int,
    pins: Sequence[TimedPin] = (),
) -> list[str]:
    """The guard said in one breath: the list, then the fallback without what is owned; never sold out, never twice; n at most.

    Pins are put in from the first slot on; what has no slot of its own keeps its order.
    """
    owned = set(profile.bought) | set(profile.in_cart()) if profile else set()
    mine = ranked.ids() if ranked else []
    theirs = [i for i in (fallback.ids() if fallback else []) if i not in owned]
    ids = [i for i in dict.fromkeys(mine + theirs) if i not in soldout]
    slots: dict[int, str] = {}
    for pin in pins:
        if pin.ends_at == NEVER and pin.starts_at <= NOW and pin.id not in owned | soldout | set(slots.values()):
            slots.setdefault(pin.slot, pin.id)
    if not ranked and not fallback:
        return []
    ids = [i for i in ids if i not in slots.values()]
    for slot in sorted(slots):
        if slot <= len(ids) + 1:
            ids.insert(slot - 1, slots.pop(slot))
    # Slots past the end: the last first, but each that has its own place by then keeps it.
    while slots:
        slot = len(ids) + 1 if len(ids) + 1 in slots else max(slots)
        ids.append(slots.pop(slot))
    return ids[:n]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ranked=_lists, profile=_profiles, fallback=_lists, soldout=st.sets(_ids, max_size=5), n=st.integers(1, 20), pins=_pins)
def test_functions_and_plain_commands_and_the_oracle_agree_on_any_world(
    redis_client: redis.Redis,
    ranked: RankedList | None,
    profile: Profile | None,
    fallback: RankedList | None,
    soldout: set[str],
    n: int,
    pins: list[TimedPin],
) -> None:
    redis_client.flushdb()
    if soldout:
        redis_client.sadd(keys.SOLDOUT, *soldout)
    if ranked:
        redis_client.mset({keys.rec("u"): pack(ranked), keys.similar("x"): pack(ranked)})
    if profile:
        redis_client.set(keys.profile("u"), profile.pack())
    if fallback:
        redis_client.set(keys.trending(), pack(fallback))
    _tell_pins(redis_client, *pins)
    by_function, by_commands = Storefront(redis_client), Storefront(redis_client, cluster=True)
    answer = by_function.top("u", n)
    assert answer == by_commands.top("u", n)
    assert answer.ids() == _oracle(ranked, profile, fallback, soldout, n, pins)
    assert (answer.source == "none") == (not answer.items)
    assert by_function.similar("x", n) == by_commands.similar("x", n)
    assert by_function.similar("x", n).ids() == _oracle(ranked, None, None, soldout, n)
