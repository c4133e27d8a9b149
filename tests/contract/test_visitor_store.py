"""The laws of VisitorStore, on every implementation."""

from __future__ import annotations

from itertools import chain
from typing import Any

import msgspec
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamrec.config import ProfileSettings
from streamrec.errors import ProfileError
from streamrec.events import Click
from streamrec.lists import keys
from streamrec.lists.packing import ListItem, RankedList, unpack
from streamrec.lists.redis_visitors import RedisVisitorStore
from streamrec.lists.visitors import Amendment, Edit, MemoryVisitorStore, Replacement, VisitorStore, VisitorUpdate, amended
from streamrec.profiles import Profile, apply

NOW = 1_767_225_600_000


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest) -> VisitorStore:
    if request.param == "memory":
        return MemoryVisitorStore(100)
    return RedisVisitorStore(request.getfixturevalue("redis_client"))


def _click(profile: Profile, item_id: str, ts: int = NOW) -> Profile:
    assert apply(profile, Click(item_id=item_id, ts=ts), ProfileSettings())
    return profile


def _list(*ids: str, made_at: int = NOW) -> RankedList:
    return RankedList(made_at, tuple(ListItem(item_id, 0.5, "trending") for item_id in ids), "a", "d")


def _adopted(store: VisitorStore) -> dict[str, RankedList]:
    users = [user_id for block in store.adopt(lambda _: True) for user_id, _ in block]
    if isinstance(store, MemoryVisitorStore):
        return {user_id: store.lists(user_id)[keys.HOME] for user_id in users}
    assert isinstance(store, RedisVisitorStore)
    return {user_id: unpack(bytes(store._client.get(keys.rec(user_id)))) for user_id in users}  # type: ignore[arg-type]


def test_an_unknown_visitor_has_an_empty_profile(store: VisitorStore) -> None:
    assert store.load(["u", "v"]) == [Profile(), Profile()]
    assert store.load([]) == []


def test_what_is_committed_is_loaded_in_the_order_asked_for(store: VisitorStore) -> None:
    a, b = _click(Profile(), "x"), _click(Profile(), "y")
    assert store.commit([VisitorUpdate("a", a), VisitorUpdate("b", b)]) == [True, True]
    assert store.load(["b", "nobody", "a"]) == [b, Profile(), a]


def test_a_commit_gives_the_profile_its_new_revision_so_that_it_can_be_committed_again(store: VisitorStore) -> None:
    profile = _click(Profile(), "x")
    assert store.commit([VisitorUpdate("u", profile)]) == [True]
    first = profile.revision
    assert first > 0
    assert store.commit([VisitorUpdate("u", _click(profile, "y", NOW + 1))]) == [True]
    assert profile.revision > first
    assert store.load(["u"]) == [profile]


def test_of_two_who_loaded_the_same_profile_one_commits_and_the_other_changes_nothing(store: VisitorStore) -> None:
    """Profile and lists are written together or not at all."""
    store.commit([VisitorUpdate("u", _click(Profile(), "x"), {keys.HOME: _list("0")})])
    [mine], [theirs] = store.load(["u"]), store.load(["u"])
    assert store.commit([VisitorUpdate("u", _click(mine, "y"), {keys.HOME: _list("1")})]) == [True]
    assert store.commit([VisitorUpdate("u", _click(theirs, "z"), {keys.HOME: _list("2")})]) == [False]
    assert store.load(["u"]) == [mine]
    assert _adopted(store) == {"u": _list("1")}


def test_a_conflict_of_one_visitor_does_not_stop_the_others_of_the_batch(store: VisitorStore) -> None:
    store.commit([VisitorUpdate("u", _click(Profile(), "x"))])
    updates = [VisitorUpdate("u", _click(Profile(), "y")), VisitorUpdate("v", _click(Profile(), "y"))]
    assert store.commit(updates) == [False, True]


def test_a_repair_replaces_only_lists_that_stand(store: VisitorStore) -> None:
    store.commit([VisitorUpdate("u", _click(Profile(), "x"), {keys.HOME: _list("0"), "cart": _list("1")})])
    made_at = _list("0").made_at
    repairs = [
        Replacement("u", "cart", made_at, _list("2")),
        Replacement("u", "detail", made_at, _list("3")),
        Replacement("nobody", keys.HOME, made_at, _list("4")),
        Replacement("u", keys.HOME, made_at, _list("5")),
    ]
    assert store.replace_lists(repairs) == [True, False, False, True]
    assert _adopted(store) == {"u": _list("5")}


def test_a_repair_of_a_list_that_somebody_replaced_changes_nothing(store: VisitorStore) -> None:
    """Who holds an older list than the one that stands knows less than its writer."""
    held = _list("0")
    newer = msgspec.structs.replace(_list("1"), made_at=held.made_at + 1)
    store.commit([VisitorUpdate("u", _click(Profile(), "x"), {keys.HOME: held})])
    assert store.replace_lists([Replacement("u", keys.HOME, held.made_at, newer)]) == [True]
    assert store.replace_lists([Replacement("u", keys.HOME, held.made_at, _list("2"))]) == [False]
    assert _adopted(store) == {"u": newer}


#: What an id or a query may hold that looks like the text around it.
HOSTILE = (
    *("a", "ab", '"', "\\", '","', '\\"', "{", "},", "[", "]", "id", "é", "\u2028", "/", "'"),
    *('{"id":"a",', '},{"id":"a","score":1', ',"why":"'),
)
IDS = st.sampled_from(HOSTILE)
COIN = st.booleans()
ITEM = st.builds(ListItem, IDS, st.sampled_from([0.0, 0.5, -2.5e-8, 12346.0]), st.sampled_from(HOSTILE).map("search:{}".format))
POOL = st.lists(ITEM, max_size=8, unique_by=lambda item: item.id)


@st.composite
def _edits(draw: st.DrawFn) -> tuple[tuple[ListItem, ...], list[Edit]]:
    """Draw a list and edits of it in its order, as the store asks for them."""
    pool = draw(POOL)
    n = draw(st.integers(0, len(pool)))
    items, others = pool[:n], pool[n:]
    edits: list[Edit] = []
    for item in items:
        if draw(COIN):
            edits.append(Edit(item.id))
            continue
        while len(others) > 0 and draw(COIN):
            edits.append(Edit(item.id, others.pop()))
    edits += [Edit("", other) for other in others if draw(COIN)]
    return tuple(items), edits


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_edits())
def test_an_amended_list_is_the_one_that_decoding_editing_and_encoding_it_gives(
    store: VisitorStore, drawn: tuple[tuple[ListItem, ...], list[Edit]]
) -> None:
    """Whatever ids and reasons hold: braces, quotes, commas, text that looks like an item."""
    items, edits = drawn
    before = RankedList(NOW, items, "a", "d")
    [profile] = store.load(["u"])
    store.commit([VisitorUpdate("u", _click(profile, "x", profile.latest_ts + NOW), {keys.HOME: before})])
    assert store.amend_lists([Amendment("u", NOW, edits)], NOW + 1) == [True]
    assert store.home_lists(["u"]) == [amended(before, edits, NOW + 1)]


def test_many_lists_are_amended_at_once_and_only_those_that_are_meant(store: VisitorStore) -> None:
    """Who holds an older list than the one that stands, or one that is gone, changes nothing."""
    users = [f"u{n}" for n in range(90)]
    store.commit(
        [
            VisitorUpdate(u, _click(Profile(), "x"), {keys.HOME: _list("0", "1", "2", made_at=NOW + n % 2)})
            for n, u in enumerate(users)
        ]
    )
    edits = [Edit("1"), Edit("", ListItem("3", 0.25, "new"))]
    amendments = [*(Amendment(u, NOW, edits) for u in users), Amendment("nobody", NOW, edits)]
    assert store.amend_lists(iter(amendments), NOW + 5) == [n % 2 == 0 for n in range(90)] + [False]
    lists = store.home_lists([*users, "nobody"])
    assert [ranked and ranked.ids() for ranked in lists] == [["0", "2", "3"], ["0", "1", "2"]] * 45 + [None]
    assert {ranked.made_at for ranked in lists if ranked} == {NOW + 1, NOW + 5}
    assert store.amend_lists([], NOW) == []


def test_edits_that_meet_another_list_than_they_speak_of_leave_a_list(store: VisitorStore) -> None:
    store.commit([VisitorUpdate("u", _click(Profile(), "x"), {keys.HOME: _list("0", "1")})])
    edits = [Edit("7"), Edit("8", ListItem("9", 0.25, "new")), Edit("", ListItem("10", 0.125, "new"))]
    assert store.amend_lists([Amendment("u", NOW, edits)], NOW) == [True]
    [ranked] = store.home_lists(["u"])
    assert ranked is not None
    assert ranked.ids() == ["0", "1", "9", "10"]


def test_an_amended_list_keeps_its_time_to_live(redis_client: redis.Redis) -> None:
    store = RedisVisitorStore(redis_client, ttl_s=1000)
    store.commit([VisitorUpdate("u", _click(Profile(), "x"), {keys.HOME: _list("0")})])
    redis_client.expire(keys.rec("u"), 500)
    store.amend_lists([Amendment("u", NOW, [Edit("0")])], NOW)
    assert 400 < redis_client.ttl(keys.rec("u")) <= 500


def test_a_redis_that_lost_its_functions_gets_them_again_amid_amendments(redis_client: redis.Redis) -> None:
    store = RedisVisitorStore(redis_client)
    store.commit([VisitorUpdate(f"u{n}", _click(Profile(), "x"), {keys.HOME: _list("0", "1")}) for n in range(300)])
    redis_client.function_flush()
    assert store.amend_lists((Amendment(f"u{n}", NOW, [Edit("0")]) for n in range(300)), NOW) == [True] * 300
    assert {ranked.ids()[0] for ranked in store.home_lists([f"u{n}" for n in range(300)]) if ranked} == {"1"}


def test_in_a_cluster_each_list_is_amended_by_a_call_of_its_own(redis_client: redis.Redis) -> None:
    store = RedisVisitorStore(redis_client, cluster=True)
    store.commit([VisitorUpdate(f"u{n}", _click(Profile(), "x"), {keys.HOME: _list("0", "1")}) for n in range(100)])
    redis_client.config_resetstat()
    assert store.amend_lists((Amendment(f"u{n}", NOW, [Edit("0")]) for n in range(100)), NOW) == [True] * 100
    stats: Any = redis_client.info("commandstats")
    assert stats["cmdstat_fcall"]["calls"] == 100


def test_forgetting_deletes_the_profile_and_the_lists_of_every_placement_and_nothing_of_others(store: VisitorStore) -> None:
    """Cached lists are deleted too."""
    lists = {keys.HOME: _list("0"), "cart": _list("1"), "detail-page": _list("2")}
    for user_id in ("u", "u2", "xu", "u*", "[u]", "u:cart"):
        store.commit([VisitorUpdate(user_id, _click(Profile(), "x"), lists)])
    for user_id in ("u", "u*", "[u]"):
        proof = store.forget(user_id)
        mine = {keys.profile(user_id), keys.rec(user_id), keys.rec(user_id, "cart"), keys.rec(user_id, "detail-page")}
        assert set(proof.deleted) == mine
        assert all(size > 10 for size in proof.deleted.values())
        assert proof.remaining == ()
        assert store.forget(user_id).deleted == {}
        assert store.load([user_id]) == [Profile()]
        assert store.replace_lists([Replacement(user_id, keys.HOME, _list("9").made_at, _list("9"))]) == [False]
    assert set(_adopted(store)) == {"u2", "xu", "u:cart"}


def test_who_held_a_forgotten_profile_cannot_bring_it_back_even_after_the_visitor_returned(store: VisitorStore) -> None:
    store.commit([VisitorUpdate("u", _click(Profile(), "x"))])
    [held] = store.load(["u"])
    store.forget("u")
    assert store.commit([VisitorUpdate("u", _click(held, "secret"))]) == [False]
    [fresh] = store.load(["u"])
    assert store.commit([VisitorUpdate("u", _click(fresh, "new"))]) == [True]
    assert store.commit([VisitorUpdate("u", held)]) == [False]
    assert [i.item_id for i in store.load(["u"])[0].recent] == ["new"]


def test_adopting_yields_when_the_home_lists_of_the_wanted_visitors_were_made(store: VisitorStore) -> None:
    for n in range(20):
        lists = {keys.HOME: _list(str(n), made_at=NOW + n)} if n % 2 else {"cart": _list(str(n))}
        store.commit([VisitorUpdate(f"u{n}", _click(Profile(), "x"), lists)])
    assert dict(chain.from_iterable(store.adopt(lambda user_id: user_id < "u2"))) == {
        f"u{n}": NOW + n for n in range(1, 20, 2) if f"u{n}" < "u2"
    }
    assert store.made_at(["u3", "u2", "nobody"]) == [NOW + 3, 0, 0]


def test_the_memory_store_keeps_the_visitors_written_last_up_to_its_bound() -> None:
    store = MemoryVisitorStore(3)
    for n in range(30):
        store.commit([VisitorUpdate(f"u{n}", _click(Profile(), "x"), {keys.HOME: _list(str(n))})])
    assert set(_adopted(store)) == {"u27", "u28", "u29"}
    assert store.load(["u0"]) == [Profile()]


def test_profiles_and_lists_expire_together_and_a_repair_does_not_prolong_them(redis_client: redis.Redis) -> None:
    store = RedisVisitorStore(redis_client, ttl_s=1000)
    store.commit([VisitorUpdate("u", _click(Profile(), "x"), {keys.HOME: _list("0"), "cart": _list("1")})])
    names = [keys.profile("u"), keys.rec("u"), keys.rec("u", "cart")]
    assert all(990 < redis_client.ttl(name) <= 1000 for name in names)
    redis_client.expire(keys.rec("u"), 500)
    store.replace_lists([Replacement("u", keys.HOME, _list("0").made_at, _list("9"))])
    assert redis_client.ttl(keys.rec("u")) <= 500


def test_a_redis_that_came_back_empty_gets_its_functions_again(redis_client: redis.Redis) -> None:
    store = RedisVisitorStore(redis_client)
    assert store.commit([VisitorUpdate("u", _click(Profile(), "x"))]) == [True]
    redis_client.flushall()
    redis_client.function_flush()
    updates = [VisitorUpdate(f"u{n}", _click(Profile(), "x")) for n in range(3)]
    assert store.commit(updates) == [True] * 3
    assert len([p for p in store.load(["u0", "u1", "u2"]) if p.recent]) == 3


def test_a_damaged_profile_is_an_error_that_names_the_visitor(redis_client: redis.Redis) -> None:
    redis_client.set(keys.profile("u"), b"12345678\xc1")
    with pytest.raises(ProfileError, match="visitor u:"):
        RedisVisitorStore(redis_client).load(["u"])
