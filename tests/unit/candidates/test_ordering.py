"""Fast helpers equal the slow ones of numpy."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streamrec.candidates.ordering import distinct, marks

ROWS = st.lists(st.integers(0, 30), max_size=20)


@given(ROWS)
def test_distinct_equals_unique(rows: list[int]) -> None:
    np.testing.assert_array_equal(distinct(np.array(rows, np.int32)), np.unique(np.array(rows, np.int32)))


@given(st.sets(st.integers(0, 30)), ROWS)
def test_marks_equal_isin(rows: set[int], wanted: list[int]) -> None:
    ascending = np.array(sorted(rows), np.int32)
    np.testing.assert_array_equal(marks(ascending, np.array(wanted, np.int32)), np.isin(ascending, wanted))
