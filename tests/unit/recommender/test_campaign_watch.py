"""What a campaign changes is noticed when its moment comes, and nothing is looked at before."""

from __future__ import annotations

from typing import Any

import pytest

from streamrec.campaigns import CampaignBook
from streamrec.catalogue import ItemTable
from streamrec.events import Campaign, CatalogItem, Targets
from streamrec.events.topics import CATALOG
from streamrec.recommender.campaign_watch import CampaignWatch, Shift
from tests.unit.recommender.rooms import T0

Seen = tuple[list[int], list[int], bool]


class Scene:
    """Five items and a watch that has looked once."""

    def __init__(self) -> None:
        self.items, self.book = ItemTable(), CampaignBook()
        for n in range(5):
            self.item(n)
        self.watch = CampaignWatch(self.book, self.items)
        assert self.look(0) == ([], [], False)
        self._order = 0

    def item(self, n: int, category: str = "c") -> None:
        self.items.apply(CATALOG, f"i{n}", CatalogItem(title="t", category=category, ts=T0 + len(self.items)), n)

    def campaign(self, name: str, action: Any, *rows: int, starts: int = 10, ends: int = 20, **fields: Any) -> None:
        self._order += 1
        targets = fields.pop("targets", Targets(items=tuple(f"i{row}" for row in rows)))
        told = Campaign(action=action, targets=targets, starts_at=T0 + starts, ends_at=T0 + ends, ts=T0 + self._order, **fields)
        assert self.book.update(name, told, self._order)
        self.watch.edited()
        self.look(0)

    def look(self, ms: int) -> Seen | None:
        shift = self.watch.look(T0 + ms)
        return None if shift is None else _seen(shift)


def _seen(shift: Shift) -> Seen:
    return shift.hidden.tolist(), sorted({*shift.withdrawn.tolist(), *shift.lowered.tolist()}), shift.raised


def test_nothing_is_looked_at_before_a_moment_has_come() -> None:
    scene = Scene()
    assert scene.look(5) is None
    scene.campaign("c", "boost", 1)
    assert scene.look(9) is None
    assert scene.look(10) is not None
    assert scene.look(19) is None
    assert scene.look(20) is not None
    assert scene.look(10_000) is None


@pytest.mark.parametrize(
    ("action", "fields", "starting", "ending"),
    [
        ("boost", {}, ([], [], True), ([], [1, 2], False)),
        ("bury", {}, ([], [1, 2], False), ([], [], True)),
        ("pin", {"slots": (1, 3)}, ([], [], True), ([], [1, 2], False)),
        ("exclude", {}, ([1, 2], [], False), ([1, 2], [], False)),
        ("boost", {"segment": "new"}, ([], [], True), ([], [1, 2], False)),
        ("bury", {"segment": "buyers"}, ([], [1, 2], False), ([], [], True)),
        ("pin", {"segment": "returning", "slots": (1, 3)}, ([], [], True), ([], [1, 2], False)),
        ("exclude", {"segment": "buyers"}, ([], [1, 2], False), ([], [], True)),
    ],
)
def test_start_and_end_of_every_action_are_opposites(action: str, fields: dict[str, Any], starting: Seen, ending: Seen) -> None:
    scene = Scene()
    scene.campaign("c", action, 1, 2, **fields)
    assert scene.look(10) == starting
    assert scene.look(20) == ending


@pytest.mark.parametrize(
    ("action", "fields", "ms", "withdrawn"),
    [
        ("boost", {}, 20, False),
        ("bury", {}, 10, False),
        ("pin", {"slots": (1, 3)}, 20, True),
        ("exclude", {"segment": "buyers"}, 10, True),
    ],
)
def test_what_must_go_is_told_apart_from_what_only_weighs_less(
    action: str, fields: dict[str, Any], ms: int, withdrawn: bool
) -> None:
    scene = Scene()
    scene.campaign("c", action, 1, 2, **fields)
    shift = scene.watch.look(T0 + 10)
    shift = shift if ms == 10 else scene.watch.look(T0 + ms)
    assert shift is not None
    assert (shift.withdrawn.tolist(), shift.lowered.tolist()) == (([1, 2], []) if withdrawn else ([], [1, 2]))


def test_what_one_segment_wins_and_another_loses_does_not_cancel_out() -> None:
    scene = Scene()
    scene.campaign("a", "boost", 1, segment="new", factor=2.0)
    scene.campaign("b", "bury", 1, segment="returning", factor=2.0)
    assert scene.look(10) == ([], [1], True)
    assert scene.look(20) == ([], [1], True)


def test_an_edited_campaign_is_compared_at_the_next_look() -> None:
    scene = Scene()
    scene.campaign("c", "boost", 1, starts=0, ends=100, factor=4.0)
    scene._order += 1
    milder = Campaign(action="boost", targets=Targets(items=("i1", "i2")), starts_at=T0, ends_at=T0 + 100, ts=T0 + 50, factor=2.0)
    assert scene.book.update("c", milder, scene._order)
    assert scene.look(50) is None
    scene.watch.edited()
    assert scene.look(50) == ([], [1], True)


def test_of_two_campaigns_that_overlap_the_end_of_one_leaves_the_other() -> None:
    scene = Scene()
    scene.campaign("a", "exclude", 1, 2, starts=10, ends=20)
    scene.campaign("b", "exclude", 2, 3, starts=15, ends=30)
    assert scene.look(10) == ([1, 2], [], False)
    assert scene.look(15) == ([3], [], False)
    assert scene.look(20) == ([1], [], False)
    assert scene.look(30) == ([2, 3], [], False)


def test_what_is_kept_from_everybody_no_more_but_from_a_segment_still_leaves_the_lists_of_that_segment() -> None:
    scene = Scene()
    scene.campaign("a", "exclude", 1, starts=10, ends=20)
    scene.campaign("b", "exclude", 1, segment="buyers", starts=10, ends=30)
    assert scene.look(10) == ([1], [], False)
    assert scene.look(20) == ([1], [1], False)
    assert scene.look(30) == ([], [], True)


def test_items_that_enter_or_leave_an_excluded_category_are_noticed_within_a_second() -> None:
    scene = Scene()
    scene.campaign("c", "exclude", targets=Targets(categories=("outlet",)), starts=0, ends=100_000)
    scene.items.apply(CATALOG, "i2", CatalogItem(title="t", category="outlet", ts=T0 + 100), 100)
    assert scene.look(999) is None
    assert scene.look(1000) == ([2], [], False)
    assert scene.look(5000) is None
    scene.items.apply(CATALOG, "i2", CatalogItem(title="t", category="c", ts=T0 + 200), 200)
    assert scene.look(6000) == ([2], [], False)


def test_items_that_came_since_the_last_look_count_as_untouched_before() -> None:
    scene = Scene()
    scene.campaign("c", "boost", 5, 6)
    scene.item(5)
    scene.item(6)
    assert scene.look(10) == ([], [], True)
    assert scene.look(20) == ([], [5, 6], False)
