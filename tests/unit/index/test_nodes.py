"""Laws of the table of nodes, against a dictionary."""

from __future__ import annotations

import numpy as np
import pytest

from streamrec.index.nodes import NodeMap, digests


def test_finds_what_a_dictionary_finds_through_all_growth() -> None:
    """Crowded: keys that fall on few slots are found as well as others."""
    rng, nodes = np.random.default_rng(1), NodeMap()
    truth: dict[int, int] = {}
    for step in range(60):
        keys = rng.integers(0, 2**63, rng.integers(1, 400), dtype=np.uint64)
        keys = np.unique(keys << np.uint64(8 if step % 3 else 0))
        keys = keys[[int(key) not in truth for key in keys]]
        nodes.add(keys)
        truth |= {int(key): len(truth) + i for i, key in enumerate(keys)}
        asked = np.concatenate([np.array(list(truth)[:: step + 1], np.uint64), rng.integers(0, 2**63, 20, dtype=np.uint64)])
        assert nodes.find(asked).tolist() == [truth.get(int(key), -1) for key in asked]
    assert nodes.count == len(truth)
    assert nodes.find(nodes.digests).tolist() == list(range(len(truth)))


@pytest.mark.parametrize("dtype", [np.int8, np.float16, np.float32])
@pytest.mark.parametrize("width", [3, 8, 61])
def test_rows_have_one_digest_exactly_where_their_bytes_are_one(dtype: type[np.generic], width: int) -> None:
    """Also rows that differ in one sign, or have the same numbers in other places; alone as in a batch."""
    rng = np.random.default_rng(2)
    rows = rng.integers(-3, 4, (3000, width)).astype(dtype)
    rows[1000:1500] = rows[:500]
    rows[1500:2000] = rows[:500, ::-1]
    rows[2000:2500] = rows[:500]
    rows[2000:2500, 0] *= -1
    found = digests(rows)
    assert len(np.unique(found)) == len({row.tobytes() for row in rows})
    assert found[7] == digests(rows[7:8])[0]
    assert (found[1000:1500] == found[:500]).all()
