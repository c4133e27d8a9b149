"""Each way in which a message can be bad is refused with a reason that names it."""

from __future__ import annotations

import msgspec
import pytest

from streamrec.errors import InvalidMessage
from streamrec.events import TOPICS, decode
from streamrec.events import messages as m

NOW_MS = 1_767_225_600_000
JSON_TOPICS = sorted(name for name, topic in TOPICS.items() if topic.encoding == "json")


def _reason(topic: str, key: bytes | None, value: bytes | None) -> str:
    with pytest.raises(InvalidMessage) as refused:
        decode(topic, key, value, NOW_MS)
    return refused.value.reason


@pytest.mark.parametrize(
    ("key", "part"),
    [
        (None, "key: missing"),
        (b"", "key: missing"),
        (b"\xff\xfe", "key: 'utf-8'"),
        (b"x" * 129, "129 characters, at most 128"),
        (b"x" * 513, "513 bytes, at most 512"),
        (b"a{b}", "brace or a control character"),
        (b"a\nb", "brace or a control character"),
        (b"a\n", "brace or a control character"),
        (b"a\x00", "brace or a control character"),
    ],
)
def test_a_bad_key_is_refused(key: bytes | None, part: str) -> None:
    assert part in _reason("items.stock", key, b'{"quantity":1,"ts":1767225600000}')


def test_a_key_of_128_characters_of_four_bytes_is_accepted() -> None:
    key = "🫖" * 128
    assert decode("items.stock", key.encode(), b'{"quantity":1,"ts":1767225600000}', NOW_MS).key == key


@pytest.mark.parametrize(
    ("topic", "value", "part"),
    [
        ("items.stock", b'{"quantity":-1,"ts":1767225600000}', "$.quantity"),
        ("items.stock", b'{"quantity":1.5,"ts":1767225600000}', "$.quantity"),
        ("items.stock", b'{"quantity":true,"ts":1767225600000}', "$.quantity"),
        ("items.stock", b'{"quantity":"1","ts":1767225600000}', "$.quantity"),
        ("items.stock", b'{"ts":1767225600000}', "quantity"),
        ("items.stock", b'{"quantity":1}', "ts"),
        ("items.stock", b'{"quantity":1,"ts":1767225600}', "$.ts"),  # seconds instead of milliseconds
        ("items.price", b'{"price":NaN,"ts":1767225600000}', "malformed"),
        ("items.price", b'{"price":Infinity,"ts":1767225600000}', "malformed"),
        ("items.price", b'{"price":1e999,"ts":1767225600000}', "out of range"),
        ("items.price", b'{"price":-0.01,"ts":1767225600000}', "$.price"),
        ("items.catalog", b'{"title":"","ts":1767225600000}', "$.title"),
        ("items.catalog", b'{"title":"\xff","ts":1767225600000}', "utf-8"),
        ("items.catalog", b'{"x":' + b"[" * 30_000 + b"]" * 30_000 + b"}", "recursion"),
        ("items.catalog", b"", "truncated"),
        ("items.catalog", b"null", "Expected `object`, got `null`"),
        (
            "promo.campaigns",
            b'{"action":"pin","targets":{},"starts_at":1767225600000,"ends_at":1767225600001,"ts":1767225600000}',
            "slots",
        ),
        (
            "promo.campaigns",
            b'{"action":"boost","targets":{},"starts_at":1767225600000,"ends_at":1767225600000,"ts":1767225600000}',
            "ends_at",
        ),
        ("promo.campaigns", b'{"action":"boost","factor":0,"targets":{},"starts_at":1,"ends_at":2,"ts":3}', "$.factor"),
    ],
)
def test_a_bad_value_is_refused(topic: str, value: bytes, part: str) -> None:
    assert part in _reason(topic, b"k", value)


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), -1.0])
def test_a_weight_that_is_no_number_is_refused(weight: float) -> None:
    record = m.ItemNeighbours(as_of=NOW_MS, popularity=1.0, neighbours=(m.Neighbour(item_id="a", together=weight, bought=0.0),))
    assert "float" in _reason("item-neighbours", b"k", msgspec.msgpack.encode(record))


def test_a_vector_whose_bytes_are_not_its_dimension_is_refused() -> None:
    assert "needs 8" in _reason("item-vectors", b"k", msgspec.msgpack.encode(["c", "m", 4, b"\0" * 6, NOW_MS]))


@pytest.mark.parametrize("topic", sorted(TOPICS))
def test_a_null_value_is_a_tombstone_or_refused(topic: str) -> None:
    if TOPICS[topic].nullable:
        assert decode(topic, b"k", None, NOW_MS).value is None
    else:
        assert "null has no meaning" in _reason(topic, b"k", None)


@pytest.mark.parametrize("topic", JSON_TOPICS)
def test_an_oversized_value_is_refused_before_it_is_parsed(topic: str) -> None:
    size = TOPICS[topic].max_value_bytes
    assert _reason(topic, b"k", b" " * (size + 1)) == f"value: {size + 1} bytes, at most {size} on {topic}"


def test_a_message_from_the_future_is_refused_and_one_within_the_tolerance_is_not() -> None:
    late = b'{"quantity":1,"ts":%d}' % (NOW_MS + 300_001)
    assert "in the future, at most 300 s" in _reason("items.stock", b"k", late)
    assert decode("items.stock", b"k", late, NOW_MS + 1).value == m.Stock(quantity=1, ts=NOW_MS + 300_001)


def test_the_tolerance_for_clocks_is_an_argument() -> None:
    with pytest.raises(InvalidMessage, match="at most 1 s"):
        decode("items.stock", b"k", b'{"quantity":1,"ts":%d}' % (NOW_MS + 1_001), NOW_MS, max_future_ms=1_000)
