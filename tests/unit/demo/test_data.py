"""Data sets tell what happened in order, drop what is no event and say so."""

from __future__ import annotations

import gzip
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from streamrec.demo.data import CompleteJourney, JsonLines, OnlineRetail, Record, Yoochoose, open_data
from streamrec.demo.data.baskets import MAX_VISIT_MS, Basket, Line, visits
from streamrec.errors import DataError
from streamrec.events import Campaign, Cart, CatalogItem, Click, Order, Price, decode, encode
from streamrec.events.topics import CARTS, CATALOG, CLICKS, ORDERS, PRICE

HOUR_MS = 3_600_000


def kinds(records: list[Record]) -> Counter[str]:
    return Counter(record.topic for record in records)


def assert_ordered(records: list[Record]) -> None:
    assert all(before.at_ms <= after.at_ms for before, after in pairwise(records))


def test_a_basket_is_a_click_and_a_cart_addition_per_line_and_then_the_order() -> None:
    basket = Basket(10**12, "u", "b1", (Line("x", 2, 1.5), Line("y", 1, None)))
    records = list(visits([basket]))
    assert [type(record.value) for record in records] == [Click, Cart, Click, Cart, Order]
    assert [record.value.ts for record in records if record.value] == [record.at_ms for record in records]  # type: ignore[union-attr]
    assert records[-1].at_ms == 10**12
    assert 10**12 - MAX_VISIT_MS <= records[0].at_ms < 10**12
    order = records[-1].value
    assert isinstance(order, Order)
    assert [(line.item_id, line.quantity, line.price) for line in order.lines] == [("x", 2, 1.5), ("y", 1, None)]
    ids = [getattr(record.value, "event_id") for record in records]  # noqa: B009
    assert len(set(ids)) == len(ids)


def test_overlapping_visits_come_in_order_of_time() -> None:
    baskets = [
        Basket(10**12 + n * 30_000, f"u{n % 3}", f"b{n}", tuple(Line(f"i{m}", 1, 1.0) for m in range(n % 7 + 1))) for n in range(50)
    ]
    records = list(visits(baskets))
    assert_ordered(records)
    assert len(records) == sum(2 * len(basket.lines) + 1 for basket in baskets)


class TestCompleteJourney:
    def test_every_product_is_an_item_with_text_from_what_is_known_of_it(self, grocer: Path) -> None:
        items = dict(CompleteJourney(grocer).items())
        assert items["1"].title == "APPLE SAUCE, 50 OZ"
        assert (items["1"].category, items["1"].brand, items["1"].attributes["department"]) == ("FRUIT", "National", "GROCERY")
        assert items["3"].title == "FRUIT"
        assert (items["4"].title, items["4"].category) == ("MISC", "MISC")

    def test_an_item_has_the_price_in_force_and_none_before_its_first_sale(self, grocer: Path) -> None:
        data = CompleteJourney(grocer)
        assert all(item.price is None for _, item in data.items())
        first_order = next(record.at_ms for record in data.timeline() if record.topic == ORDERS)
        later = dict(data.items(first_order + 30 * HOUR_MS))
        assert (later["1"].price, later["2"].price, later["3"].price) == (1.5, 3.0, None)

    def test_prices_are_told_when_they_change_at_most_once_a_day(self, grocer: Path) -> None:
        prices = [
            (r.key, r.value.price, r.value.list_price) for r in CompleteJourney(grocer).timeline() if isinstance(r.value, Price)
        ]
        assert sorted(prices) == [("1", 1.5, 2.0), ("1", 2.0, 2.0), ("2", 3.0, 3.5)]

    def test_lines_that_are_no_sale_are_dropped_and_counted(self, grocer: Path) -> None:
        data = CompleteJourney(grocer)
        records = list(data.timeline())
        assert_ordered(records)
        assert kinds(records)[ORDERS] == 3
        assert kinds(records)[CLICKS] == kinds(records)[CARTS] == 4
        notes = " ".join(data.notes())
        assert "purchases only" in notes
        assert "1 lines without quantity" in notes
        assert "1 lines of unknown products" in notes

    def test_campaigns_boost_the_products_of_their_coupons_from_start_to_end(self, grocer: Path) -> None:
        found = {r.key: r.value for r in CompleteJourney(grocer).timeline() if isinstance(r.value, Campaign)}
        assert set(found["coupons-1"].targets.items) == {"1", "3"}
        assert found["coupons-1"].targets.items[0] == "1", "what sells most comes first, so that a cap keeps it"
        assert all(campaign.action == "boost" and campaign.starts_at < campaign.ends_at for campaign in found.values())

    def test_from_a_moment_on_the_campaigns_in_force_come_first_and_those_that_ended_not_at_all(self, grocer: Path) -> None:
        data = CompleteJourney(grocer)
        start = next(record.at_ms for record in data.timeline() if record.topic == CLICKS)
        assert [record.key for record in data.timeline(start) if isinstance(record.value, Campaign)] == ["coupons-1", "coupons-2"]
        records = list(data.timeline(start + 20 * HOUR_MS))
        assert all(record.at_ms >= start + 20 * HOUR_MS for record in records)
        assert isinstance(records[0].value, Campaign)

    def test_the_installed_package_is_the_default(self) -> None:
        data = open_data()
        assert isinstance(data, CompleteJourney)
        items = dict(data.items(data.start_ms))
        assert len(items) == 92_331
        first = [record for record, _ in zip(data.timeline(data.start_ms), range(3000), strict=False)]
        assert_ordered(first)
        assert {CLICKS, CARTS, ORDERS, PRICE} <= kinds(first).keys()
        assert all(len(record.value.targets.items) <= 10_000 for record in first if isinstance(record.value, Campaign))

    def test_a_broken_file_is_named_with_what_to_do(self, grocer: Path) -> None:
        (grocer / "products.parquet").write_bytes(b"no parquet")
        with pytest.raises(DataError, match=r"products\.parquet.*reinstall"):
            list(CompleteJourney(grocer).items(0))


class TestOnlineRetail:
    def test_every_kind_of_dirt_is_dropped_and_counted(self, gift_shop: Path) -> None:
        data = open_data(gift_shop)
        assert isinstance(data, OnlineRetail)
        records = list(data.timeline())
        assert_ordered(records)
        assert kinds(records)[ORDERS] == 2
        notes = " ".join(data.notes())
        for reason in ("1 cancellations", "1 lines with non-product codes", "1 lines without price", "1 lines without quantity"):
            assert reason in notes
        assert "1 visits' lines without a customer" in notes

    def test_a_changed_description_is_a_catalogue_update(self, gift_shop: Path) -> None:
        titles = [r.value.title for r in open_data(gift_shop).timeline() if isinstance(r.value, CatalogItem) and r.key == "71053"]
        assert titles == ["RED MUG", "RED MUG LARGE"]

    def test_codes_in_either_case_are_one_item_and_lines_of_one_item_one_line(self, gift_shop: Path) -> None:
        order = next(record.value for record in open_data(gift_shop).timeline() if isinstance(record.value, Order))
        assert [(line.item_id, line.quantity) for line in order.lines] == [("85123A", 7), ("71053", 2)]

    def test_items_are_those_known_at_the_moment_as_they_were_then(self, gift_shop: Path) -> None:
        data = open_data(gift_shop)
        assert list(data.items()) == []
        end = max(record.at_ms for record in data.timeline())
        before = dict(data.items(end))
        assert (before["71053"].title, before["71053"].price) == ("RED MUG", 3.39)
        after = dict(data.items(end + 1))
        assert (after["71053"].title, after["71053"].price) == ("RED MUG LARGE", 4.2)

    def test_a_damaged_line_is_named(self, gift_shop: Path) -> None:
        with gzip.open(gift_shop / "events.csv.gz", "at", encoding="utf-8") as file:
            file.write("9,71053,MUG,three,2010-12-03 10:00:00,1.0,1,France\n")
        with pytest.raises(DataError, match=r"line 11.*columns"):
            list(open_data(gift_shop).timeline())


class TestYoochoose:
    def test_sessions_are_visitors_and_clicks_come_in_order(self, clicks: Path) -> None:
        data = open_data(clicks)
        assert isinstance(data, Yoochoose)
        assert [record.key for record in data.timeline()] == ["session-1", "session-2", "session-1"]
        assert [item_id for item_id, _ in data.items()] == ["10", "30", "20"]
        assert "no text" in data.description
        assert [record.key for record in data.timeline(1396314150000)] == ["session-2", "session-1"]


class TestJsonLines:
    def test_lines_are_told_in_the_order_of_the_file(self, shop_files: Path) -> None:
        data = open_data(shop_files)
        assert isinstance(data, JsonLines)
        assert [(record.topic, record.key, record.value is None) for record in data.timeline()] == [
            ("events.clicks", "u1", False),
            ("items.stock", "b", False),
            ("items.catalog", "a", True),
        ]

    def test_an_item_without_a_time_has_that_of_the_first_event(self, shop_files: Path) -> None:
        items = dict(open_data(shop_files).items())
        assert items["b"].ts == 1_767_225_601_000
        assert items["b"].category == "mugs"

    def test_an_events_file_alone_is_a_data_set(self, shop_files: Path) -> None:
        data = open_data(shop_files / "events.jsonl")
        assert list(data.items()) == []
        assert len(list(data.timeline())) == 3

    @pytest.mark.parametrize(
        ("line", "problem"),
        [
            ('{"topic": "events.clicks", "key": "u", "value": {"ts": 1}}', "line 4.*value"),
            ('{"topic": "item-vectors", "key": "u", "value": null}', "line 4.*topic"),
            ('{"topic": "events.clicks", "value": {}}', "line 4.*key"),
            ("{", "line 4"),
        ],
    )
    def test_a_bad_line_is_named_with_its_number(self, shop_files: Path, line: str, problem: str) -> None:
        with (shop_files / "events.jsonl").open("r+") as file:
            lines = file.read().strip().splitlines()
            file.seek(0)
            file.write("\n".join([*lines, line]))
        with pytest.raises(DataError, match=problem):
            list(open_data(shop_files).timeline())


@pytest.mark.parametrize("content", [{}, {"events.csv.gz": b"nothing zipped"}, {"readme.txt": b"hello"}])
def test_an_unknown_folder_is_refused_with_what_is_expected(tmp_path: Path, content: dict[str, bytes]) -> None:
    for name, data in content.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=r"catalogue\.jsonl and events\.jsonl"):
        open_data(tmp_path)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        open_data(tmp_path / "nowhere")


@pytest.mark.parametrize("fixture", ["grocer", "gift_shop", "clicks", "shop_files"])
def test_reading_twice_gives_the_same_twice(fixture: str, request: pytest.FixtureRequest) -> None:
    data = open_data(request.getfixturevalue(fixture))
    assert list(data.timeline()) == list(data.timeline())
    assert list(data.items(10**13)) == list(data.items(10**13))


@pytest.mark.parametrize("fixture", ["grocer", "gift_shop", "clicks", "shop_files"])
def test_every_message_is_valid_for_its_topic(fixture: str, request: pytest.FixtureRequest) -> None:
    data = open_data(request.getfixturevalue(fixture))
    messages = [(CATALOG, item_id, item) for item_id, item in data.items(1_400_000_000_000)]
    for topic, key, value in [*messages, *((r.topic, r.key, r.value) for r in data.timeline())]:
        assert decode(topic, key.encode(), None if value is None else encode(value, topic), 10**13).value == value


@pytest.mark.shared_data
@pytest.mark.parametrize(("folder", "orders", "items"), [("online_retail", 18_402, 3_277), ("yoochoose100k", 0, 2_933)])
def test_the_real_files_are_read_to_their_ends(shared_data: Path, folder: str, orders: int, items: int) -> None:
    data = open_data(shared_data / folder)
    records = list(data.timeline())
    assert_ordered(records)
    assert kinds(records)[ORDERS] == orders
    assert len(list(data.items(data.start_ms))) == items
