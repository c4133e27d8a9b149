"""Keys of vectors name the item and its model's slot, and nothing else is mistaken for one."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrec.errors import InvalidMessage
from streamrec.events import Message, decode, decode_many, slot_key, split_slot
from streamrec.events.topics import CATALOG, VECTORS

NOW_MS = 1_767_225_600_000
SLOTS = st.text("0123456789abcdef", max_size=16)
IDS = st.text(min_size=1, max_size=20).filter(lambda text: text.isprintable() and not set(text) & set("{}"))


@given(IDS, SLOTS)
def test_a_key_gives_back_its_item_and_slot(item_id: str, slot: str) -> None:
    assert split_slot(slot_key(item_id, slot)) == (item_id, slot)
    assert decode(VECTORS, slot_key(item_id, slot).encode(), None, NOW_MS) == Message(slot_key(item_id, slot), None)


@pytest.mark.parametrize("key", ["{ab}", "a{}", "a{xyz}", "a}{ab}", "a{b{ab}", "a\n{ab}", "a{ab}b", "a" * 129 + "{ab}"])
def test_what_is_no_id_with_a_slot_is_refused(key: str) -> None:
    with pytest.raises(InvalidMessage, match="key"):
        decode(VECTORS, key.encode(), None, NOW_MS)


def test_only_vectors_have_slots() -> None:
    with pytest.raises(InvalidMessage, match="brace"):
        decode(CATALOG, b"a{ab}", None, NOW_MS)


@given(st.lists(st.tuples(IDS, SLOTS), min_size=1, max_size=5))
def test_keys_decoded_at_once_are_keys_decoded_one_by_one(told: list[tuple[str, str]]) -> None:
    value = msgspec.msgpack.encode(["c", "m", 4, b"\0" * 8, NOW_MS])
    keys = [slot_key(*one).encode() for one in told]
    found = decode_many(VECTORS, keys, [value] * len(keys), NOW_MS)
    assert found is not None
    assert found[0] == [decode(VECTORS, key, value, NOW_MS).key for key in keys]
