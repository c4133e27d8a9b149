"""Which lines hold an item, by blocks that are sorted now and then."""

from __future__ import annotations

import numpy as np
import pytest

from streamrec.lists import postings
from streamrec.lists.postings import Postings


def _walked(rows: np.ndarray, mask: np.ndarray) -> list[int]:
    return [line for line, items in enumerate(rows.tolist()) if any(item >= 0 and mask[item] for item in items)]


@pytest.mark.parametrize("changes", [0, 3, 40])
def test_what_is_found_is_what_a_walk_over_all_lines_finds(changes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """While lines come, change between looks, and blocks are sorted, one at each look."""
    monkeypatch.setattr(postings, "_LINES", 32)
    monkeypatch.setattr(postings, "_CHANGED", 4)
    rng = np.random.default_rng(changes)
    rows, found = rng.integers(-1, 50, (300, 5), dtype=np.int32), Postings()
    for n in (0, 10, 100, 300, 300, 300, 300, 300, 300, 300, 300, 300):
        mask = np.zeros(50, np.bool_)
        mask[rng.integers(0, 50, 6)] = True
        assert found.holding(rows[:n], mask).tolist() == _walked(rows[:n], mask)
        if n and changes:
            changed = rng.integers(0, n, changes)
            rows[changed] = rng.integers(-1, 50, (changes, 5), dtype=np.int32)
            found.changed(changed)
    assert bool(changes == 40) == bool(found._changed[:300].sum() > 100)  # a block at a time is sorted, the others are scanned


def test_a_block_is_sorted_once_while_its_lines_stay() -> None:
    rows, found = np.arange(40_000, dtype=np.int32).reshape(20_000, 2), Postings()
    mask = np.zeros(40_000, np.bool_)
    mask[[3, 39_999]] = True
    for changed in (3616, 0, 0):
        assert found.holding(rows, mask).tolist() == [1, 19_999]
        assert found._changed[:20_000].sum() == changed
    found.changed(np.array([1]))
    assert found._changed[:20_000].sum() == 1
    rows[1] = 5
    assert found.holding(rows, mask).tolist() == [19_999]
    assert found.nbytes > 2 * 40_000
