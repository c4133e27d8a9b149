"""Items keep their places in a list's text, shown or blank: after any edits the text is the list of just what is shown."""

from __future__ import annotations

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from streamrec.lists.edits import edits_between
from streamrec.lists.layout import Layout, lay_out, measure
from streamrec.lists.packing import ListItem, RankedList, encode_scores, encode_value, pack, unpack

NOW = 1_767_225_600_000
#: What an id or a query may hold that looks like the text around it.
HOSTILE = (
    *("a", "ab", '"', "\\", '","', '\\"', "{", "},", "[", "]", "id", "é", "\u2028", "/", "'", "  ", " ,"),
    *('{"id":"a",', '},{"id":"a","score":1', ',"why":"', '"items":[', "]}"),
)
SCORE, WHY = st.sampled_from([0.0, 0.5, -2.5e-8, 12346.0]), st.sampled_from(HOSTILE).map("search:{}".format)
ITEM = st.builds(ListItem, st.sampled_from(HOSTILE), SCORE, WHY)
ITEMS = st.lists(ITEM, min_size=1, max_size=8, unique_by=lambda item: item.id)


def _list(items: list[ListItem]) -> RankedList:
    return RankedList(NOW, tuple(items), "a", "d")


def _edited(value: bytes, layout: Layout, items: list[ListItem], shown: NDArray[np.bool_]) -> tuple[bytes, Layout]:
    """Do to the text what leads to the places that are to be shown; ``items`` are those of the places, blanks included."""
    edits = edits_between(
        np.array([7]), layout.shown[None], shown[None], np.array([layout.head]), layout.sizes[None].astype(np.uint16)
    )
    assert set(edits.length.tolist()) <= {len(value)}
    text = bytearray(value)
    columns = edits.places, edits.offsets, edits.sizes, edits.comes, edits.comma
    for place, offset, size, comes, comma in zip(*(column.tolist() for column in columns), strict=True):
        item = msgspec.json.encode(items[place]) if comes else b""
        text[offset : offset + size] = item + (b"," if comma else b" " * (size - len(item)))
    return bytes(text), Layout(layout.head, layout.sizes, shown)


@given(items=ITEMS, data=st.data())
def test_after_any_edits_the_text_is_the_list_of_what_is_shown(items: list[ListItem], data: st.DataObject) -> None:
    """A list is laid out with some items hidden, edited twice, and each time a stranger can measure it and edit on."""
    masks = st.lists(st.booleans(), min_size=len(items), max_size=len(items)).map(lambda mask: np.array(mask, np.bool_))
    first = data.draw(masks)
    value, layout = lay_out(_list(items), first)
    for mask in (first, data.draw(masks), data.draw(masks)):
        value, layout = _edited(value, layout, items, mask)
        shown = [item for item, stands in zip(items, mask.tolist(), strict=True) if stands]
        assert unpack(value) == _list(shown)
        assert len(value) == len(pack(_list(items)))
        measured = measure(value)
        if not shown:
            assert measured is None
            continue
        assert measured is not None
        assert measured.head == layout.head
        kept = data.draw(st.lists(st.booleans(), min_size=len(shown), max_size=len(shown)))
        there = measured.shown.copy()
        there[measured.shown] = kept
        strange, _ = _edited(value, measured, [], there)
        assert unpack(strange) == _list([item for item, stays in zip(shown, kept, strict=True) if stays])


@given(items=ITEMS)
def test_a_list_that_shows_all_is_laid_out_as_it_is_packed(items: list[ListItem]) -> None:
    laid = lay_out(_list(items))
    assert laid.value == pack(_list(items))
    assert laid.layout.shown.all()
    measured = measure(laid.value)
    assert measured is not None
    assert measured.sizes.tolist() == laid.layout.sizes.tolist() == [len(msgspec.json.encode(item)) for item in items]


def test_a_list_of_nothing_has_no_places() -> None:
    laid = lay_out(_list([]))
    assert unpack(laid.value) == _list([])
    assert len(laid.layout.sizes) == 0
    assert measure(laid.value) is None


def test_a_list_that_somebody_else_laid_out_is_not_measured() -> None:
    value = pack(_list([ListItem("a", 0.5, "new"), ListItem("b", 0.5, "new")]))
    for strange in (
        value.replace(b"},{", b"} ,{"),
        value.replace(b"},{", b"}, {"),
        value.replace(b'"items":[', b'"items": ['),
        value.replace(b'"items":[', b'"items":[ '),
        value.replace(b"]}", b" ]}"),
        value.replace(b"]}", b'],"more":1}'),
    ):
        assert measure(strange) is None, strange


def test_scores_and_words_are_encoded_as_within_a_list() -> None:
    scores = np.array([0.12345678, -2.5e-8, 1.0, 12346.0], np.float32)
    items = [ListItem("x", float(score), "new") for score in np.array([0.12346, -2.5e-8, 1.0, 12346.0])]
    texts = [b'{"id":' + encode_value("x") + b',"score":' + score + b',"why":"new"}' for score in encode_scores(scores)]
    assert texts == [msgspec.json.encode(item) for item in items]
    assert encode_scores(scores[:0]) == []
