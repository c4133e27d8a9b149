"""Laws of the campaign book."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streamrec.campaigns import CampaignBook
from streamrec.catalogue import ItemTable
from streamrec.events import Campaign, CatalogItem, Targets
from streamrec.events.topics import CATALOG

T0 = 1_700_000_000_000


def campaign(
    action: str = "boost", *, items: tuple[str, ...] = ("a",), start: int = T0, end: int = T0 + 1000, **fields: Any
) -> Campaign:
    targets = fields.pop("targets", Targets(items=items))
    return Campaign(action=action, targets=targets, starts_at=start, ends_at=end, ts=fields.pop("ts", T0), **fields)  # type: ignore[arg-type]


def shop() -> ItemTable:
    table = ItemTable()
    facts = {"a": ("tea", "B", "s1"), "b": ("tea", "C", "s2"), "c": ("milk", "C", "s1"), "d": ("", "", "")}
    for order, (item_id, (category, brand, seller)) in enumerate(facts.items()):
        item = CatalogItem(title=item_id, ts=T0, category=category, brand=brand, attributes={"seller": seller})
        table.apply(CATALOG, item_id, item, order)
    return table


def test_a_campaign_runs_from_its_start_until_just_before_its_end() -> None:
    book = CampaignBook()
    book.update("k", campaign(start=T0, end=T0 + 10), 0)
    assert [bool(book.active(now)) for now in (T0 - 1, T0, T0 + 9, T0 + 10)] == [False, True, True, False]
    assert [book.next_change_ms(now) for now in (T0 - 1, T0, T0 + 10)] == [T0, T0 + 10, None]


def test_only_newer_messages_count_and_a_null_cancels() -> None:
    book = CampaignBook()
    assert book.update("k", campaign(factor=2.0, ts=T0 + 1), 1)
    assert not book.update("k", campaign(factor=3.0, ts=T0), 2)
    assert book.update("k", campaign(factor=4.0, ts=T0 + 1), 3)
    assert book.update("k", None, 4)
    assert not book.update("k", campaign(factor=4.0, ts=T0 + 1), 3)
    assert not book.update("k", None, 4)
    assert len(book) == 0
    assert book.update("k", campaign(ts=T0 + 2), 5)
    assert not book.update("k", None, 4)


def test_targets_match_by_item_category_brand_or_seller() -> None:
    items, book = shop(), CampaignBook()
    wanted = {
        "i": (Targets(items=("a", "unknown")), "a"),
        "c": (Targets(categories=("tea", "unknown")), "ab"),
        "b": (Targets(brands=("C",)), "bc"),
        "s": (Targets(sellers=("s1",), items=("d",)), "acd"),
    }
    for name, (targets, matching) in wanted.items():
        book = CampaignBook()
        book.update(name, campaign("exclude", targets=targets), 0)
        assert "".join(items.ids(np.flatnonzero(book.effects(T0, items).excluded))) == matching


def test_factors_multiply_and_burying_divides() -> None:
    items, book = shop(), CampaignBook()
    book.update("up", campaign("boost", factor=3.0), 0)
    book.update("more", campaign("boost", factor=4.0, items=("a", "b")), 1)
    book.update("down", campaign("bury", factor=2.0, items=("a", "c")), 2)
    effects = book.effects(T0, items)
    assert effects.multiplier.tolist() == [6.0, 4.0, 0.5, 1.0]
    assert [book.name(number) for number in effects.boosted_by] == ["more", "more", "", ""]
    assert effects.boosted_rows.tolist() == [0, 1]


def test_pins_take_the_slots_in_the_order_of_their_items_and_spare_items_stand_by() -> None:
    items, book = shop(), CampaignBook()
    book.update("p", campaign("pin", items=("b", "a", "c"), slots=(4, 2)), 0)
    pins = [(pin.slot, items.id(pin.row)) for pin in book.effects(T0, items).pins]
    assert pins == [(2, "b"), (2, "c"), (4, "a"), (4, "c")]


def test_a_segment_sees_its_own_campaigns_and_everybodys() -> None:
    items, book = shop(), CampaignBook()
    book.update("all", campaign("boost", factor=2.0), 0)
    book.update("buyers", campaign("boost", factor=5.0, segment="buyers"), 1)
    assert book.effects(T0, items).multiplier[0] == 2.0
    assert book.effects(T0, items, {"new"}).multiplier[0] == 2.0
    assert book.effects(T0, items, {"buyers", "new"}).multiplier[0] == 10.0


def test_effects_follow_new_items_changed_items_and_changed_campaigns() -> None:
    items, book = shop(), CampaignBook()
    book.update("k", campaign("exclude", targets=Targets(brands=("C",))), 0)
    first = book.effects(T0, items)
    assert book.effects(T0 + 1, items) is first
    items.apply(CATALOG, "e", CatalogItem(title="e", ts=T0, brand="C"), 9)
    items.apply(CATALOG, "c", CatalogItem(title="c", ts=T0 + 1, brand="B"), 10)
    assert items.ids(np.flatnonzero(book.effects(T0, items).excluded)) == ["b", "e"]
    book.update("k", None, 1)
    assert not book.effects(T0, items).excluded.any()


def test_what_ended_is_dropped_and_cannot_come_back_by_an_old_message() -> None:
    book = CampaignBook()
    book.update("k", campaign(end=T0 + 10, ts=T0 + 1), 1)
    assert book.drop_ended(T0 + 9) == 0
    assert book.drop_ended(T0 + 10) == 1
    assert not book.update("k", campaign(end=T0 + 9999, ts=T0), 0)
    assert book.update("k", campaign(end=T0 + 9999, ts=T0 + 2), 2)


def test_the_book_is_bounded_over_a_long_stream() -> None:
    book = CampaignBook(max_campaigns=10)
    for i in range(500):
        book.update(f"k{i}", campaign(end=T0 + 1 + i), i)
        book.update(f"gone{i}", None, i)
    assert len(book) == 10
    assert sorted(book.active(T0)) == sorted(f"k{i}" for i in range(490, 500))
    kept = [book.effects(T0, shop()).boosted_by[0]]
    assert [book.name(number) for number in kept] == ["k490"]
    assert sum(len(part) for part in (book._names, book._numbers, book._cancelled, book._past)) <= 80


MESSAGE = st.none() | st.builds(
    lambda ts, factor, end: campaign(factor=factor, ts=ts, end=end),
    st.integers(T0, T0 + 3),
    st.sampled_from([2.0, 3.0]),
    st.integers(T0 + 1, T0 + 4),
)


@given(st.lists(st.tuples(st.sampled_from("kl"), MESSAGE), max_size=12), st.randoms(use_true_random=False))
def test_any_order_and_any_repeats_give_the_same_book(messages: list[tuple[str, Campaign | None]], rng: random.Random) -> None:
    stream = [(name, message, order) for order, (name, message) in enumerate(messages)]
    straight, muddled = CampaignBook(), CampaignBook()
    for update in stream:
        straight.update(*update)
    twice = stream + stream[: len(stream) // 2]
    rng.shuffle(twice)
    for update in twice:
        muddled.update(*update)
    for now in range(T0, T0 + 5):
        assert straight.active(now) == muddled.active(now)
        assert (straight.effects(now, shop()).multiplier == muddled.effects(now, shop()).multiplier).all()
