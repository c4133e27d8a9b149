"""What publish sends is valid, and what is not valid is not sent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streamrec.events import decode
from streamrec.events import messages as m
from tests.unit.cli.fakes import NOW_MS, FakeParts, run


@pytest.mark.parametrize(
    ("arguments", "topic", "key", "value"),
    [
        (
            "item sku-1 --title Cups --category kitchen --brand Lavo --attribute seller=house --price 9.5 --quantity 0",
            "items.catalog",
            "sku-1",
            m.CatalogItem(
                title="Cups", category="kitchen", brand="Lavo", attributes={"seller": "house"}, price=9.5, quantity=0, ts=NOW_MS
            ),
        ),
        ("item sku-1 --remove", "items.catalog", "sku-1", None),
        ("stock sku-1 0", "items.stock", "sku-1", m.Stock(quantity=0, ts=NOW_MS)),
        ("stock sku-1 3 --ts -1s", "items.stock", "sku-1", m.Stock(quantity=3, ts=NOW_MS - 1000)),
        ("price sku-1 0 --list-price 2", "items.price", "sku-1", m.Price(price=0.0, list_price=2.0, ts=NOW_MS)),
        (
            "campaign spring boost --brand Lavo --brand Mira --factor 3 --ends +2h",
            "promo.campaigns",
            "spring",
            m.Campaign(
                action="boost",
                targets=m.Targets(brands=("Lavo", "Mira")),
                factor=3.0,
                starts_at=NOW_MS,
                ends_at=NOW_MS + 7_200_000,
                ts=NOW_MS,
            ),
        ),
        (
            "campaign top pin --item sku-1 --slot 1 --slot 3 --segment new",
            "promo.campaigns",
            "top",
            m.Campaign(
                action="pin",
                targets=m.Targets(items=("sku-1",)),
                slots=(1, 3),
                segment="new",
                starts_at=NOW_MS,
                ends_at=NOW_MS + 86_400_000,
                ts=NOW_MS,
            ),
        ),
        ("campaign spring --cancel", "promo.campaigns", "spring", None),
        ("click v-1 sku-1 --placement home", "events.clicks", "v-1", m.Click(item_id="sku-1", placement="home", ts=NOW_MS)),
        ("cart v-1 sku-1 --quantity 2", "events.carts", "v-1", m.Cart(item_id="sku-1", op="add", quantity=2, ts=NOW_MS)),
        (
            "cart v-1 sku-1 --remove --event-id e",
            "events.carts",
            "v-1",
            m.Cart(item_id="sku-1", op="remove", event_id="e", ts=NOW_MS),
        ),
        (
            "order v-1 sku-1 --line sku-2 3 1.5",
            "events.orders",
            "v-1",
            m.Order(lines=(m.OrderLine(item_id="sku-1"), m.OrderLine(item_id="sku-2", quantity=3, price=1.5)), ts=NOW_MS),
        ),
        (
            "search v-1 cups --filter brand=Lavo",
            "events.searches",
            "v-1",
            m.Search(query="cups", filters={"brand": "Lavo"}, ts=NOW_MS),
        ),
        ("impressions v-1 sku-1 sku-2", "events.impressions", "v-1", m.Impressions(item_ids=("sku-1", "sku-2"), ts=NOW_MS)),
    ],
)
def test_flags_become_the_message_that_they_describe(
    parts: FakeParts, arguments: str, topic: str, key: str, value: m.Payload | None
) -> None:
    result = run(parts, "publish", *arguments.split(), "--json")
    assert result.exit_code == 0, result.stderr
    [(sent_topic, sent_key, sent)] = parts.memory_broker.sent
    assert (sent_topic, sent_key) == (topic, key)
    assert decode(topic, key.encode(), sent, NOW_MS).value == value
    assert json.loads(result.stdout)["value"] == (None if sent is None else json.loads(sent))


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["stock", "sku-1", "--", "-1"], "$.quantity"),
        (["stock", "a{b}", "1"], "key:"),
        (["stock", "sku-1", "1", "--ts", "+1h"], "in the future"),
        (["price", "sku-1", "nan"], "price"),
        (["price", "sku-1", "inf"], "price"),
        (["item", "sku-1"], "--title is needed"),
        (["campaign", "c"], "an action is needed"),
        (["campaign", "c", "pin", "--item", "a"], "slots"),
        (["campaign", "c", "boost", "--ends", "-1h"], "ends_at"),
        (["order", "v-1"], "at least one ITEM"),
        (["search", "v-1", "cups", "--filter", "brand"], "NAME=VALUE"),
        (["click", "v-1", "x" * 129], "length <= 128"),
    ],
)
def test_what_a_worker_would_refuse_is_not_sent(parts: FakeParts, arguments: list[str], part: str) -> None:
    result = run(parts, "publish", *arguments)
    assert result.exit_code == 2
    assert part in result.stderr
    assert parts.memory_broker.sent == []


def test_a_message_that_was_not_acknowledged_is_an_error(parts: FakeParts) -> None:
    parts.memory_broker.refuses_messages = True
    result = run(parts, "publish", "stock", "sku-1", "0")
    assert result.exit_code == 2
    assert "not acknowledged" in result.stderr
    assert "sent to" not in result.stdout


LINES = b"""\
{"topic": "items.stock", "key": "sku-1", "value": {"quantity": 0, "ts": 1767225600000}}

{"topic": "items.stock", "key": "sku-2", "value": {"quantity": -1, "ts": 1767225600000}}
not json
{"topic": "item-vectors", "key": "sku-2", "value": {}}
{"topic": "items.stock", "key": "sku-2"}
{"topic": "items.stock", "key": "sku-2", "value": {"quantity": 1, "ts": 1767225600000}, "headers": {}}
{"topic": "items.catalog", "key": "sku-3", "value": null}
{"topic": "events.searches", "key": "\xff", "value": {}}
{"topic":"events.clicks","key":"v-1","value":{ "item_id": "sku-1",  "ts": 1767225600000, "a_field_of_tomorrow": 1 }}"""


def test_lines_are_sent_as_they_stand_and_bad_ones_are_told_with_their_number(parts: FakeParts) -> None:
    result = run(parts, "publish", "events", "-", "--json", stdin=LINES)
    assert result.exit_code == 1
    assert [line.partition(":")[0] for line in result.stderr.splitlines()] == [f"line {n}" for n in (3, 4, 5, 6, 7, 9)]
    assert json.loads(result.stdout) == {
        "sent": 3,
        "refused": 6,
        "topics": {"items.stock": 1, "items.catalog": 1, "events.clicks": 1},
    }
    assert parts.memory_broker.sent == [
        ("items.stock", "sku-1", b'{"quantity": 0, "ts": 1767225600000}'),
        ("items.catalog", "sku-3", None),
        ("events.clicks", "v-1", b'{ "item_id": "sku-1",  "ts": 1767225600000, "a_field_of_tomorrow": 1 }'),
    ]


def test_a_file_of_good_lines_is_sent_and_a_dry_run_sends_nothing(parts: FakeParts, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(LINES.splitlines()[0] + b"\n")
    assert run(parts, "publish", "events", str(file), "--dry-run").stdout == "valid: 1, refused: 0\n"
    assert parts.memory_broker.sent == []
    assert run(parts, "publish", "events", str(file)).stdout == "sent: 1, refused: 0\n"
    assert len(parts.memory_broker.sent) == 1
