"""Streams are read in event-time order, and nothing is known of an item before its time."""

from __future__ import annotations

import gzip
import json
from itertools import pairwise
from pathlib import Path

import pytest

from streamrec.demo.data import GoogleMerch, open_data
from streamrec.demo.data.port import Record
from streamrec.errors import DataError
from streamrec.evaluate.streams import Step, Stream, open_streams, read_stream
from streamrec.events import Cart, CatalogItem, Click, Order, OrderLine, Price
from streamrec.events.topics import CARTS, CATALOG, CLICKS, ORDERS
from tests.unit.evaluate.toys import MINUTE_MS, T0, click, stream

HITS = """fullVisitorId,visitId,time,productSKU,v2ProductName,v2ProductCategory,productPrice,eCommerceAction_type
1E+18,1470000000,0,mug,Red Mug,Home/Drinkware/,5000000,0
1E+18,1470000000,9000,cap,Cap,(not set),0,2
1E+18,1470000000,9500,cap,Cap,Home/Apparel/,0,3
2E+18,1470000005,1000,mug,Red Mug,Home/Drinkware/,5000000,6
2E+18,1470000005,2000,mug,Red Mug,Home/Drinkware/,5000000,5
2E+18,1470200000,0,mug,Red Mug XL,Home/Shop by Brand/,6000000,4
"""


@pytest.fixture
def merchandise(tmp_path: Path) -> Path:
    folder = tmp_path / "google"
    folder.mkdir()
    with gzip.open(folder / "all_sessions.csv.gz", "wt", encoding="utf-8") as file:
        file.write(HITS)
    return folder


def known_before(steps: list[Step]) -> dict[str, int]:
    """Return item → events that name it before the catalogue does."""
    known: set[str] = set()
    early: dict[str, int] = {}
    for step in steps:
        if isinstance(step.record.value, CatalogItem):
            known.add(step.record.key)
        for item_id in step.items:
            early[item_id] = early.get(item_id, 0) + (item_id not in known)
    return early


def test_hits_become_clicks_carts_and_orders_of_visits(merchandise: Path) -> None:
    data = open_data(merchandise)
    assert isinstance(data, GoogleMerch)
    records = list(data.timeline())
    assert all(before.at_ms <= after.at_ms for before, after in pairwise(records))
    events = [record for record in records if record.topic.startswith("events.")]
    kinds = [(type(record.value), record.at_ms - 1_470_000_000_000) for record in events]
    assert kinds == [(Click, 0), (Order, 6_000), (Click, 9_000), (Cart, 9_500), (Cart, 200_000_000)]
    assert len({record.key for record in events}) == 3
    titles = [(r.value.title, r.value.category, r.value.price) for r in records if isinstance(r.value, CatalogItem)]
    assert titles == [("Red Mug", "Drinkware", 5.0), ("Cap", "", None), ("Red Mug XL", "Drinkware", 5.0)]
    assert [r.value.price for r in records if isinstance(r.value, Price)] == [6.0]
    assert "1 hits of a checkout" in data.notes()[0]
    assert dict(data.items(1_470_000_001_000)).keys() == {"mug"}


def test_a_file_without_the_columns_is_named(merchandise: Path) -> None:
    with gzip.open(merchandise / "all_sessions.csv.gz", "wt", encoding="utf-8") as file:
        file.write(HITS.replace("1470200000", "then"))
    with pytest.raises(DataError, match=r"all_sessions\.csv\.gz, line 7.*columns"):
        list(open_data(merchandise).timeline())


def test_a_cart_and_an_order_that_follow_a_click_are_no_interactions_of_their_own() -> None:
    add = Cart(item_id="a", op="add", ts=T0 + 2)
    order = Order(lines=(OrderLine(item_id="a"), OrderLine(item_id="b")), ts=T0 + 3)
    out = Cart(item_id="a", op="remove", ts=T0 + 4)
    values = [Record(T0 + 2, CARTS, "v", add), Record(T0 + 3, ORDERS, "v", order), Record(T0 + 4, CARTS, "v", out)]
    toy = stream([click("v", "a", T0 + 1), *values, click("v", "a", T0 + 5)])
    assert [step.items for step in toy.steps] == [("a",), (), ("b",), (), ("a",)]
    assert toy.interactions == {"a": 2, "b": 1}


def test_a_session_ends_after_an_hour_of_silence() -> None:
    moments = [0, 30, 89, 150, 211]
    toy = stream([*(click("v", f"i{m}", T0 + m * MINUTE_MS) for m in moments), click("w", "x", T0 + 31 * MINUTE_MS)])
    assert list(toy.sessions.values()) == [["i0", "i30", "i89"], ["x"], ["i150"], ["i211"]]


def test_the_head_is_the_most_popular_fifth() -> None:
    records = [click(f"v{n}", f"i{i}", T0 + n) for i in range(10) for n in range(10 - i)]
    assert stream(records).head == {"i0", "i1"}


def test_an_item_enters_the_catalogue_behind_the_first_event_that_names_it(tmp_path: Path, merchandise: Path) -> None:
    folder = tmp_path / "clicks"
    folder.mkdir()
    rows = ["time,session_id,item_id,split", *(f"{1396314141 + n}.0,{n % 2},{n % 3},train" for n in range(9))]
    with gzip.open(folder / "clicks.csv.gz", "wt", encoding="utf-8") as file:
        file.write("\n".join(rows) + "\n")
    read: list[Stream] = [read_stream(data) for data in open_streams(tmp_path)]
    assert [one.name for one in read] == ["yoochoose100k", "google_merch"]
    assert [one.has_text for one in read] == [False, True]
    for one in read:
        assert set(known_before(one.steps).values()) == {1}
        assert all(before.at_ms <= after.at_ms for before, after in pairwise(one.steps))
    later = [s.record.value.title for s in read[1].steps if isinstance(s.record.value, CatalogItem) and s.record.key == "mug"]
    assert later == ["Red Mug", "Red Mug XL"]


def test_a_shops_own_catalogue_is_known_from_the_start_and_the_limit_counts_events(tmp_path: Path) -> None:
    items = [{"item_id": name, "title": f"thing {name}", "ts": T0} for name in "ab"]
    events = [{"topic": CLICKS, "key": "v", "value": {"item_id": "a", "ts": T0 + n}} for n in range(5)]
    (tmp_path / "catalogue.jsonl").write_text("\n".join(map(json.dumps, items)))
    (tmp_path / "events.jsonl").write_text("\n".join(map(json.dumps, events)))
    [data] = open_streams(tmp_path)
    read = read_stream(data, limit=3)
    assert [step.record.topic for step in read.steps] == [CATALOG, CATALOG, CLICKS, CLICKS, CLICKS]


def test_a_folder_without_streams_and_an_unknown_name_say_what_to_do(tmp_path: Path, merchandise: Path) -> None:
    with pytest.raises(DataError, match="tea is not there; it holds google_merch: correct --data or --stream"):
        open_streams(tmp_path, ["tea"])
    empty = tmp_path / "google" / "none"
    empty.mkdir()
    with pytest.raises(DataError, match="correct --data"):
        open_streams(empty)
    with pytest.raises(DataError, match="there is no such file"):
        open_streams(tmp_path / "nowhere")
