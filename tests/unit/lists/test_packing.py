"""Lists as JSON."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrec.errors import InvalidMessage
from streamrec.lists.packing import ListItem, RankedList, pack, round_scores, unpack, unpack_or_none

GOLDEN_V1 = b'{"made_at":1767225600000,"v":1,"variant":"b","digest":"d","items":[{"id":"a","score":0.9,"why":"trending"}]}'
GOLDEN_LIST = RankedList(1_767_225_600_000, (ListItem("a", 0.9, "trending"),), "b", "d")


def test_version_1_is_read_and_written_as_it_always_was() -> None:
    assert unpack(GOLDEN_V1) == GOLDEN_LIST
    assert pack(GOLDEN_LIST) == GOLDEN_V1


def test_a_list_has_exactly_the_fields_of_the_contract() -> None:
    value = json.loads(pack(GOLDEN_LIST))
    assert set(value) == {"v", "made_at", "variant", "digest", "items"}
    assert set(value["items"][0]) == {"id", "score", "why"}


@given(
    st.builds(
        RankedList,
        st.integers(0, 2**53),
        st.lists(st.builds(ListItem, st.text(), st.floats(allow_nan=False, allow_infinity=False), st.text())).map(tuple),
        st.text(),
        st.text(),
    )
)
def test_packing_gives_the_same_list_back(ranked: RankedList) -> None:
    assert unpack(pack(ranked)) == ranked


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b"{}", GOLDEN_V1.replace(b'"v":1', b'"v":2')])
def test_what_is_no_list_of_this_version_is_refused_with_advice_or_counts_as_missing(value: bytes) -> None:
    with pytest.raises(InvalidMessage, match="delete its key"):
        unpack(value)
    assert unpack_or_none(value) is None


def test_no_value_is_no_list() -> None:
    assert unpack_or_none(None) is None


@given(st.lists(st.floats(-1e6, 1e6, width=32), max_size=60))
def test_scores_are_rounded_to_five_digits_and_keep_their_order(scores: list[float]) -> None:
    values = np.array(scores, np.float32)
    rounded = round_scores(values)
    for exact, short in zip(values.tolist(), rounded, strict=True):
        assert abs(short - exact) <= max(abs(exact) * 6e-5, 1e-22)
        if 1e-15 < abs(exact) < 1e5:
            assert short == float(f"{short:.5g}")
    ordered = sorted(range(len(scores)), key=lambda n: scores[n])
    assert all(rounded[a] <= rounded[b] or abs(rounded[a]) < 1e-15 for a, b in pairwise(ordered))
