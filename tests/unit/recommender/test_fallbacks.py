"""Lists of the shop, of categories and of items: who pushes them, when, and what is never on them."""

from __future__ import annotations

import pytest

from streamrec.errors import StoreUnavailable
from streamrec.events import CatalogItem, ItemNeighbours, Neighbour
from streamrec.events.topics import CATALOG
from streamrec.lists import keys
from streamrec.recommender.share import Whole
from tests.unit.recommender.rooms import COLOURS, T0, Nothing, Room


class Follower(Nothing):
    """Owns every second item and does not lead."""

    def has_item(self, item_id: str) -> bool:
        return int(item_id[1:]) % 2 == 0


class Alternating(Whole):
    """Leads while ``leading``."""

    leading = True

    def leads(self) -> bool:
        return self.leading


def _ids(room: Room, key: str) -> list[str]:
    [ranked] = room.lists.get([key])
    assert ranked is not None, key
    return ranked.ids()


def _all(room: Room) -> dict[str, list[str]]:
    return {key: _ids(room, key) for key in room.lists._values}


def _popular(room: Room, item_id: str, popularity: float, *met: str) -> None:
    neighbours = tuple(Neighbour(item_id=other, together=3.0, bought=0.0) for other in met)
    room.knowledge.take_neighbours([(item_id, ItemNeighbours(as_of=T0, popularity=popularity, neighbours=neighbours))])


def test_the_shop_and_every_category_have_trending_and_new_lists() -> None:
    room = Room()
    _popular(room, "i4", 9.0)
    room.tick()
    assert _ids(room, keys.trending())[0] == "i4"
    assert _ids(room, keys.new())[0] == "i11"
    for colour in COLOURS:
        of_colour = {f"i{n}" for n in range(12) if COLOURS[n % 3] == colour}
        for key in (keys.trending(colour), keys.new(colour)):
            assert set(_ids(room, key)) <= of_colour
            assert len(_ids(room, key)) == 4


def test_lists_have_their_own_sizes_and_not_that_of_visitors_lists() -> None:
    room = Room(30)
    _popular(room, "i4", 9.0)
    room.tick()
    sizes = {len(_ids(room, key)) for key in (keys.trending(), keys.new())}
    assert sizes == {room.settings.lists.fallback_size}
    assert len(_ids(room, keys.similar("i4"))) == room.settings.lists.item_list_size
    assert room.settings.ranking.list_size not in sizes


def test_who_does_not_lead_pushes_no_list_of_the_shop() -> None:
    room = Room(share=Follower())
    room.tick()
    assert all(key.startswith(("similar:", "together:")) for key in room.lists._values)


def test_what_did_not_change_is_not_pushed_again() -> None:
    room = Room()
    room.tick()
    pushed = room.pushed("fallback")
    room.at(60_000)
    assert room.pushed("fallback") == pushed
    _popular(room, "i4", 9.0)
    room.at(120_000)
    assert room.pushed("fallback") == pushed + 2  # of the shop and of its category
    assert room.pushed("fallback") == sum(1 for put in room.lists.puts for key in put if key.startswith(("trending:", "new:")))


def test_an_unchanged_list_is_written_again_long_before_it_expires() -> None:
    room = Room()
    room.tick()
    pushed = room.pushed("fallback")
    room.at(keys.FALLBACK_TTL_S * 1000 // 2)
    assert room.pushed("fallback") == 2 * pushed


def test_who_leads_again_does_not_trust_what_it_pushed_before_another_led() -> None:
    share = Alternating()
    room = Room(share=share)
    room.tick()
    pushed = room.pushed("fallback")
    share.leading = False
    room.at(10_000)
    assert room.pushed("fallback") == pushed
    share.leading = True
    room.at(20_000)
    assert room.pushed("fallback") == 2 * pushed


@pytest.mark.parametrize("how", ["sold out", "removed", "excluded"])
def test_what_may_not_be_shown_is_on_no_list_and_returns_when_it_may(how: str) -> None:
    room = Room()
    _popular(room, "i4", 9.0, "i1", "i2")
    _popular(room, "i1", 5.0, "i4")
    room.tick()
    before = _all(room)
    assert sum("i4" in ids for ids in before.values()) > 4
    if how == "sold out":
        room.stock("i4", 0)
    elif how == "removed":
        room.fact("items.catalog", "i4", None)
    else:
        room.campaign("c", "exclude", "i4")
    room.fallbacks.items_changed(room.knowledge.items.find_all([f"i{n}" for n in range(12)]))
    room.at(5000)
    assert [key for key, ids in _all(room).items() if "i4" in ids] == []
    if how == "sold out":
        room.stock("i4", 1)
    elif how == "removed":
        room.items(["i4"], ts=T0 + 1)
    else:
        room.tell("c", None)
    room.fallbacks.items_changed(room.knowledge.items.find_all([f"i{n}" for n in range(12)]))
    room.at(10_000)
    after = _all(room)
    assert {key: set(ids) for key, ids in after.items()} == {key: set(ids) for key, ids in before.items()}


def test_what_the_shops_lists_show_leaves_them_at_once_and_what_they_do_not_show_has_time() -> None:
    room = Room(30)
    _popular(room, "i4", 9.0)
    room.tick()
    unseen = next(f"i{n}" for n in range(30) if f"i{n}" not in {*_ids(room, keys.trending()), *_ids(room, keys.new())})
    puts = len(room.lists.puts)
    room.stock(unseen, 0)
    room.fallbacks.tick(1.0)
    assert len(room.lists.puts) == puts
    room.stock("i4", 0)
    room.fallbacks.tick(1.0)
    assert "i4" not in _ids(room, keys.trending())


def test_a_changed_item_gets_its_lists_the_newest_change_first() -> None:
    room = Room(40)
    room.tick()
    room.lists.puts.clear()
    room.fallbacks.items_changed(room.knowledge.items.find_all([f"i{n}" for n in range(40)]))
    room.fallbacks.items_changed(room.knowledge.items.find_all(["i3"]))
    assert room.fallbacks.backlog == 40
    room.fallbacks.tick(60.0)
    order = [key for put in room.lists.puts for key in put if key.startswith("similar:")]
    assert order == [keys.similar(f"i{n}") for n in (3, *(n for n in range(39, -1, -1) if n != 3))]
    assert room.fallbacks.backlog == 0


def test_items_are_alternatives_and_companions_of_each_other() -> None:
    room = Room()
    _popular(room, "i1", 3.0, "i5")
    room.tick()
    assert "i1" not in _ids(room, keys.similar("i1"))
    assert _ids(room, keys.together("i1")) == ["i5"]


def test_a_worker_pushes_the_lists_of_its_own_items_only() -> None:
    room = Room(share=Follower())
    room.tick()
    assert set(room.lists._values) == {f(f"i{n}") for n in range(0, 12, 2) for f in (keys.similar, keys.together)}
    assert room.fallbacks.backlog == 0


def test_an_outage_keeps_the_items_that_are_due_and_their_order() -> None:
    room, calm = Room(40), Room(40)
    for one in (room, calm):
        one.tick()
        one.lists.puts.clear()
        one.fallbacks.items_changed(one.knowledge.items.find_all([f"i{n}" for n in range(40)]))
    room.outage.begin("put", times=2)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            room.fallbacks.tick(60.0)
        assert room.fallbacks.backlog == 40
    room.fallbacks.tick(60.0)
    calm.fallbacks.tick(60.0)
    assert [list(put) for put in room.lists.puts] == [list(put) for put in calm.lists.puts]


def test_an_outage_while_the_shops_lists_are_pushed_delays_them_only() -> None:
    room = Room()
    room.outage.begin("put")
    with pytest.raises(StoreUnavailable):
        room.tick()
    room.tick()
    assert _ids(room, keys.trending())
    assert room.fallbacks.backlog == 0


def test_every_category_has_its_turn() -> None:
    room = Room()
    for n in range(12):
        room.items([f"i{n}"], category=f"category {n}", ts=T0)
    for round_ in range(4):
        room.at(round_ * 3000)
    assert {keys.trending(f"category {n}") for n in range(12)} <= set(room.lists._values)


def test_a_category_with_the_name_of_the_whole_shop_does_not_take_its_list() -> None:
    room = Room()
    room.items(["i3"], category=keys.ALL, ts=T0)
    room.tick()
    assert len(_ids(room, keys.trending())) == 12


def test_the_items_that_are_due_are_bounded_and_the_newest_changes_are_kept() -> None:
    room = Room(40, max_backlog=10)
    assert room.fallbacks.backlog == 10
    room.tick()
    assert {key for key in room.lists._values if key.startswith("similar:")} == {keys.similar(f"i{n}") for n in range(30, 40)}


def test_after_a_loss_every_list_is_pushed_again_though_nothing_changed() -> None:
    room = Room(30)
    for n in range(30):
        room.fact(CATALOG, f"i{n}", CatalogItem(ts=T0 + n, title=f"thing {n}", category=f"c{n}"))
    for step in range(10):
        room.at(step * 10_000)
    before = _all(room)
    assert len(before) == 2 * 34 + 2 * 30  # every category, among them those that are empty by now, and the shop; every item
    room.lists.delete(list(before))
    room.at(110_000)
    assert not room.lists.get([keys.similar("i0")])[0]
    room.fallbacks.lost()
    for _ in range(9):  # no time passes: it is not waited for each category's turn
        room.tick()
    assert _all(room) == before


def test_a_loss_that_meets_an_outage_is_made_good_later() -> None:
    room = Room()
    room.tick()
    before = _all(room)
    room.lists.delete(list(before))
    room.fallbacks.lost()
    room.outage.begin("put")
    with pytest.raises(StoreUnavailable):
        room.tick()
    for _ in range(3):
        room.tick()
    assert _all(room) == before
