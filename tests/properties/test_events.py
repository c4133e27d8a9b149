"""Laws of the codec: what is encoded comes back, and no bytes whatever break out of it."""

from __future__ import annotations

import contextlib
import json
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrec.errors import InvalidMessage
from streamrec.events import TOPICS, Message, decode, decode_many, encode
from streamrec.events import messages as m

NOW_MS = 1_767_225_600_000
SOONEST_MS, LATEST_MS = 946_684_800_000, NOW_MS + 300_000
MONEY = st.floats(0, 1e12)
QUANTITY = st.integers(0, 1_000_000_000)
TIMES = st.integers(SOONEST_MS, LATEST_MS)
WEIGHTS = st.floats(0, 1e12)


def _text(longest: int, shortest: int = 0) -> st.SearchStrategy[str]:
    return st.text(st.characters(codec="utf-8"), min_size=shortest, max_size=min(longest, 20))


IDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="{}"), min_size=1, max_size=128)
OPTIONAL_IDS = IDS | st.just("")
NAMES = _text(256)
LABELS = st.fixed_dictionaries({"placement": NAMES, "variant": NAMES})


def _many(of: st.SearchStrategy[Any], least: int = 0) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(of, min_size=least, max_size=5).map(tuple)


TARGETS = st.builds(m.Targets, items=_many(IDS), categories=_many(NAMES), brands=_many(NAMES), sellers=_many(NAMES))


@st.composite
def _campaigns(draw: st.DrawFn) -> m.Campaign:
    actions: list[Literal["boost", "bury", "pin", "exclude"]] = ["boost", "bury", "pin", "exclude"]
    action = draw(st.sampled_from(actions))
    slots = draw(_many(st.integers(1, 100), least=action == "pin"))
    targets = draw(TARGETS.filter(lambda found: action != "pin" or found.items))
    starts_at = draw(TIMES)
    return m.Campaign(
        action=action,
        targets=targets,
        starts_at=starts_at,
        ends_at=starts_at + draw(st.integers(1, 10**10)),
        ts=draw(TIMES),
        factor=draw(st.floats(0, 1000, exclude_min=True)),
        slots=slots,
        segment=draw(st.sampled_from(["all", "new", "returning", "buyers"])),
    )


@st.composite
def _vectors(draw: st.DrawFn) -> m.ItemVector:
    dim = draw(st.integers(1, 64))
    vector = draw(st.binary(min_size=2 * dim, max_size=2 * dim))
    return m.ItemVector(content_digest=draw(_text(64)), model_digest=draw(_text(64)), dim=dim, vector=vector, ts=draw(TIMES))


NEIGHBOURS = st.builds(m.Neighbour, item_id=IDS, together=WEIGHTS, bought=WEIGHTS)
LINES = st.builds(m.OrderLine, item_id=IDS, quantity=QUANTITY, price=st.none() | MONEY)

#: Any valid value of each topic.
CHOICES = st.builds(
    m.ModelChoice,
    settings=st.dictionaries(st.text(max_size=64), st.text(max_size=9) | st.booleans() | st.integers(0, 9999), max_size=4),
    digest=st.text("0123456789abcdef", min_size=1, max_size=64),
    dim=st.integers(1, 8192),
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "items.catalog": st.builds(
        m.CatalogItem,
        title=_text(1024, 1),
        ts=TIMES,
        description=_text(100),
        category=NAMES,
        brand=NAMES,
        attributes=st.dictionaries(NAMES, _text(100), max_size=4),
        image_url=_text(100),
        price=st.none() | MONEY,
        currency=_text(8).map(lambda text: text[:8]),
        quantity=st.none() | QUANTITY,
    ),
    "items.price": st.builds(m.Price, price=MONEY, ts=TIMES, list_price=st.none() | MONEY),
    "items.stock": st.builds(m.Stock, quantity=QUANTITY, ts=TIMES),
    "promo.campaigns": _campaigns(),
    "events.clicks": st.builds(m.Click, item_id=IDS, ts=TIMES, placement=NAMES, variant=NAMES, event_id=OPTIONAL_IDS),
    "events.carts": st.builds(
        m.Cart, item_id=IDS, op=st.sampled_from(["add", "remove"]), ts=TIMES, quantity=QUANTITY, event_id=OPTIONAL_IDS
    ),
    "events.orders": st.builds(m.Order, lines=_many(LINES, 1), ts=TIMES, event_id=OPTIONAL_IDS),
    "events.searches": st.builds(m.Search, query=_text(1024, 1), ts=TIMES, filters=st.dictionaries(NAMES, NAMES, max_size=4)),
    "events.impressions": st.builds(m.Impressions, item_ids=_many(IDS, 1), ts=TIMES, placement=NAMES, variant=NAMES),
    "item-vectors": _vectors(),
    "item-pairs": st.builds(
        m.ItemActivity,
        visitor=st.integers(-(2**63), 2**64 - 1),
        kind=st.sampled_from(["search", "click", "cart", "order"]),
        ts=TIMES,
        neighbours=_many(IDS),
        echo=st.booleans(),
    ),
    "item-neighbours": st.builds(
        m.ItemNeighbours, as_of=TIMES, popularity=WEIGHTS, neighbours=_many(NEIGHBOURS), state=st.binary(max_size=64)
    ),
    "model-plan": st.builds(
        m.ModelPlan,
        version=st.integers(1, 99),
        wanted=CHOICES,
        previous=st.none() | CHOICES,
        ts=TIMES,
        keep_until=st.integers(0, 2**50),
    ),
}
TOPIC_NAMES = sorted(VALUES)


def _json(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def nest(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4)

    return st.recursive(leaves, nest, max_leaves=10)


REAL_JSON = _json(st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=10))
#: With NaN, Infinity and endless integers, which Python's own encoder writes though JSON has none of them.
ANY_JSON = _json(REAL_JSON | st.floats() | st.integers())


def _survives(topic: str, key: bytes | None, value: bytes | None) -> None:
    """Either a message or InvalidMessage comes out; anything else would stop a stream."""
    with contextlib.suppress(InvalidMessage):
        assert isinstance(decode(topic, key, value, NOW_MS), Message)


def test_every_topic_with_a_struct_is_covered() -> None:
    assert VALUES.keys() == {name for name, topic in TOPICS.items() if topic.payload is not None}


@pytest.mark.parametrize("topic", TOPIC_NAMES)
@given(data=st.data())
def test_decoding_what_was_encoded_gives_it_back(topic: str, data: st.DataObject) -> None:
    value, key = data.draw(VALUES[topic]), data.draw(IDS)
    assert decode(topic, key.encode(), encode(value, topic), NOW_MS) == Message(key, value)


@pytest.mark.parametrize("topic", TOPIC_NAMES)
@given(key=st.none() | st.binary(max_size=600), value=st.none() | st.binary(max_size=300))
def test_no_bytes_break_out_of_the_decoder(topic: str, key: bytes | None, value: bytes | None) -> None:
    _survives(topic, key, value)
    _survives(topic, b"k", value)


@pytest.mark.parametrize("topic", TOPIC_NAMES)
@given(data=st.data())
def test_a_valid_message_with_some_bytes_changed_does_not_break_out_either(topic: str, data: st.DataObject) -> None:
    """Truncated, overwritten and extended: nearer to the truth than random bytes, so deeper inside the decoder."""
    raw = bytearray(encode(data.draw(VALUES[topic]), topic))
    for place, byte in data.draw(st.lists(st.tuples(st.integers(0, len(raw) - 1), st.integers(0, 255)), max_size=4)):
        raw[place] = byte
    _survives(topic, b"k", bytes(raw[: data.draw(st.integers(0, len(raw)))]))
    _survives(topic, b"k", bytes(raw) + data.draw(st.binary(max_size=4)))


@pytest.mark.parametrize("topic", [name for name in TOPIC_NAMES if TOPICS[name].encoding == "json"])
@given(data=st.data())
def test_a_message_with_any_field_of_any_type_is_valid_or_refused(topic: str, data: st.DataObject) -> None:
    fields = msgspec.to_builtins(data.draw(VALUES[topic]))
    name = data.draw(st.sampled_from(sorted(fields)))
    fields[name] = data.draw(ANY_JSON)
    _survives(topic, b"k", json.dumps(fields).encode(errors="surrogatepass"))


@pytest.mark.parametrize("topic", [name for name in TOPIC_NAMES if TOPICS[name].encoding == "json"])
@given(data=st.data())
def test_fields_of_a_newer_producer_are_ignored(topic: str, data: st.DataObject) -> None:
    value = data.draw(VALUES[topic])
    newer = msgspec.json.decode(encode(value, topic)) | {"a_field_of_tomorrow": data.draw(REAL_JSON)}
    assert decode(topic, b"k", msgspec.json.encode(newer), NOW_MS).value == value


@pytest.mark.parametrize("topic", [name for name in TOPIC_NAMES if name != "item-neighbours"])
@given(data=st.data(), ahead_ms=st.integers(300_001, 10**12))
def test_the_future_is_refused_on_every_topic(topic: str, data: st.DataObject, ahead_ms: int) -> None:
    value = msgspec.structs.replace(data.draw(VALUES[topic]), ts=NOW_MS + ahead_ms)
    with pytest.raises(InvalidMessage, match="in the future"):
        decode(topic, b"k", encode(value, topic), NOW_MS)


def _one_by_one(topic: str, keys: list[bytes | None], values: list[bytes | None]) -> tuple[list[str], list[Any]] | None:
    """Return what decoding at once must say: None where a record is refused or a tombstone."""
    try:
        messages = [decode(topic, key, value, NOW_MS) for key, value in zip(keys, values, strict=True)]
    except InvalidMessage:
        return None
    return None if None in values else ([one.key for one in messages], [one.value for one in messages])


@pytest.mark.parametrize("topic", TOPIC_NAMES)
@given(data=st.data())
def test_decoding_at_once_equals_decoding_one_by_one(topic: str, data: st.DataObject) -> None:
    """With keys and values that are nearly all valid, so that both answers are met."""
    good = st.tuples(IDS.map(str.encode), VALUES[topic].map(lambda value: encode(value, topic)))
    any_key = (
        st.none() | st.binary(max_size=20) | st.sampled_from([b"", b"a\nb", b"a\n", b"\n", b"{", b"\xc3", b"\xa9", b"x" * 600])
    )
    late = VALUES[topic].map(lambda value: encode(_later(value), topic))
    odd = st.tuples(any_key | IDS.map(str.encode), st.none() | st.binary(max_size=20) | late | good.map(lambda pair: pair[1]))
    pairs = data.draw(st.lists(good, min_size=1, max_size=4)) + data.draw(st.lists(odd, max_size=1))
    keys, values = map(list, zip(*data.draw(st.permutations(pairs)), strict=True))
    assert decode_many(topic, keys, values, NOW_MS) == _one_by_one(topic, keys, values)


def _later(value: Any) -> Any:
    return msgspec.structs.replace(value, ts=LATEST_MS + 1) if hasattr(value, "ts") else value


@pytest.mark.parametrize("topic", TOPIC_NAMES)
@pytest.mark.parametrize("poison", ["{", "a}", "\x7f", "a\n", "\x00"])
@given(data=st.data())
def test_no_id_of_a_value_holds_a_brace_or_a_control_character(topic: str, poison: str, data: st.DataObject) -> None:
    """Whichever id of the value it is: the schema says where ids are."""
    value = data.draw(VALUES[topic])
    schemas = msgspec.json.schema_components([type(value)])[1]
    for name, spoilt in _spoilt(value, schemas, poison):
        with pytest.raises(InvalidMessage, match="an id holds"):
            decode(topic, b"k", encode(spoilt, topic), NOW_MS)
        assert decode_many(topic, [b"k"], [encode(spoilt, topic)], NOW_MS) is None, name


def _spoilt(value: Any, schemas: dict[str, Any], poison: str) -> list[tuple[str, Any]]:
    """Return the value with each of its ids spoilt, one at a time."""
    found: list[tuple[str, Any]] = []
    schema = schemas[type(value).__name__]
    parts = (
        schema["properties"] if "properties" in schema else dict(zip(value.__struct_fields__, schema["prefixItems"], strict=True))
    )
    for name, part in parts.items():
        inner = getattr(value, name)
        if "pattern" in part:
            found.append((name, msgspec.structs.replace(value, **{name: poison})))
        elif "pattern" in part.get("items", {}) and inner:
            found.append((name, msgspec.structs.replace(value, **{name: (*inner[1:], poison)})))
        elif isinstance(inner, msgspec.Struct):
            found += [
                (f"{name}.{of}", msgspec.structs.replace(value, **{name: bad})) for of, bad in _spoilt(inner, schemas, poison)
            ]
        elif isinstance(inner, tuple) and inner and isinstance(inner[0], msgspec.Struct):
            spoilt = _spoilt(inner[0], schemas, poison)
            found += [(f"{name}.{of}", msgspec.structs.replace(value, **{name: (bad, *inner[1:])})) for of, bad in spoilt]
    return found


def test_ids_are_looked_for_in_every_struct_that_holds_any() -> None:
    holding = {
        name
        for name, topic in TOPICS.items()
        if topic.payload is not None and '"pattern"' in json.dumps(msgspec.json.schema(topic.payload))
    }
    assert holding == {name for name, topic in TOPICS.items() if topic.payload in m.IDS}
