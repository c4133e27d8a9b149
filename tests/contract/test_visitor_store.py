"""The laws of VisitorStore, on every implementation."""

from __future__ import annotations

from itertools import chain
from typing import Any

import msgspec
import numpy as np
import pytest
import redis

from streamrec.config import ProfileSettings
from streamrec.errors import ProfileError
from streamrec.events import Click
from streamrec.lists import keys
from streamrec.lists.layout import lay_out
from streamrec.lists.packing import ListItem, RankedList, unpack, unpack_or_none
from streamrec.lists.redis_visitors import RedisVisitorStore
from streamrec.lists.visitors import ListPatches, MemoryVisitorStore, Replacement, VisitorStore, VisitorUpdate
from streamrec.profiles import Profile, apply

NOW = 1_767_225_600_000


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest) -> VisitorStore:
    if request.param == "memory":
        return MemoryVisitorStore(1000)
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


def _home(store: VisitorStore, *users: str) -> list[RankedList | None]:
    return [unpack_or_none(value) for value in store.home_values(users)]


def _without_the_first(*users: str, ranked: RankedList) -> ListPatches:
    """Blank the first item of these visitors' lists, and its comma."""
    laid, n = lay_out(ranked), len(users)
    return ListPatches(
        users,
        made_at=np.full(n, ranked.made_at),
        length=np.full(n, len(laid.value)),
        counts=np.ones(n, np.intp),
        offsets=np.full(n, laid.layout.head),
        sizes=np.full(n, int(laid.layout.sizes[0]) + 1),
        text_of=np.full(n, -1),
        texts=[],
    )


def _patched(store: VisitorStore, *patches: ListPatches) -> list[bool]:
    return [done for answers in store.patch_lists(iter(patches)) for done in answers.tolist()]


def test_many_lists_are_patched_at_once_and_only_those_that_are_meant(store: VisitorStore) -> None:
    """Who holds an older list than the one that stands, or one that is gone, changes nothing."""
    users, listed = [f"u{n}" for n in range(300)], _list("0", "1", "2", made_at=NOW)
    lists = [listed, _list("0", "1", "2", made_at=NOW + 1), _list("0", "1", "2", made_at=1000)]
    store.commit([VisitorUpdate(u, _click(Profile(), "x"), {keys.HOME: lists[n % 3]}) for n, u in enumerate(users)])
    parts = [users[:150], users[150:], ["nobody"]]
    done = _patched(store, *(_without_the_first(*part, ranked=listed) for part in parts))
    assert done == [True, False, False] * 100 + [False]
    found = _home(store, *users, "nobody")
    assert [ranked and ranked.ids() for ranked in found] == [["1", "2"], ["0", "1", "2"], ["0", "1", "2"]] * 100 + [None]
    assert [ranked.made_at for ranked in found[:3] if ranked] == [NOW, NOW + 1, 1000]
    assert _patched(store) == []
    assert _patched(store, _without_the_first(*users, ranked=listed)) == done[:300]  # repeated


def test_a_list_of_the_same_moment_and_another_length_is_never_left_broken(store: VisitorStore) -> None:
    store.commit([VisitorUpdate("u", _click(Profile(), "x"), {keys.HOME: _list("0", "22", made_at=NOW)})])
    assert _patched(store, _without_the_first("u", ranked=_list("0", "1", made_at=NOW))) == [False]
    assert _home(store, "u") in ([None], [_list("0", "22", made_at=NOW)])


def test_patches_of_a_list_are_written_where_they_belong(store: VisitorStore) -> None:
    listed = [_list("0", "1", made_at=NOW), _list("longer", "1", made_at=NOW)]
    store.commit([VisitorUpdate(f"u{n}", _click(Profile(), "x"), {keys.HOME: one}) for n, one in enumerate(listed)])
    laid = [lay_out(one) for one in listed]
    heads, first = [one.layout.head for one in laid], [int(one.layout.sizes[0]) for one in laid]
    patches = ListPatches(
        ["u0", "u1"],
        np.array([NOW, NOW]),
        np.array([len(one.value) for one in laid]),
        counts=np.array([2, 1]),
        offsets=np.array([11, heads[0] + first[0], heads[1]]),
        sizes=np.array([13, int(laid[0].layout.sizes[1]) + 1, first[1] + 1]),
        text_of=np.array([0, -1, 1]),
        texts=[b"%d" % (NOW + 7), b" " * (first[1] + 1)],
    )
    assert _patched(store, patches) == [True, True]
    [one, other] = _home(store, "u0", "u1")
    assert (one and (one.made_at, one.ids()), other and (other.made_at, other.ids())) == ((NOW + 7, ["0"]), (NOW, ["1"]))


def test_a_patched_list_keeps_its_time_to_live(redis_client: redis.Redis) -> None:
    store = RedisVisitorStore(redis_client, ttl_s=1000)
    store.commit([VisitorUpdate("u", _click(Profile(), "x"), {keys.HOME: _list("0", "1")})])
    redis_client.expire(keys.rec("u"), 500)
    assert _patched(store, _without_the_first("u", ranked=_list("0", "1"))) == [True]
    assert 400 < redis_client.ttl(keys.rec("u")) <= 500


def test_a_redis_that_lost_its_functions_gets_them_again_amid_patches(redis_client: redis.Redis) -> None:
    store, users = RedisVisitorStore(redis_client), [f"u{n}" for n in range(300)]
    store.commit([VisitorUpdate(u, _click(Profile(), "x"), {keys.HOME: _list("0", "1")}) for u in users])
    redis_client.function_flush()
    assert _patched(store, _without_the_first(*users, ranked=_list("0", "1"))) == [True] * 300
    assert {tuple(ranked.ids()) for ranked in _home(store, *users) if ranked} == {("1",)}


def test_in_a_cluster_each_list_is_patched_by_a_call_of_its_own(redis_client: redis.Redis) -> None:
    store, users = RedisVisitorStore(redis_client, cluster=True), [f"u{n}" for n in range(100)]
    store.commit([VisitorUpdate(u, _click(Profile(), "x"), {keys.HOME: _list("0", "1")}) for u in users])
    redis_client.config_resetstat()
    assert _patched(store, _without_the_first(*users, ranked=_list("0", "1"))) == [True] * 100
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
