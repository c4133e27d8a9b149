"""Micro-batches hold every text once, with its own tokens, within their bounds."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streamrec.embedding.batching import batches, micro_batches


@given(st.lists(st.integers(0, 200), max_size=80), st.integers(1, 500), st.integers(0, 100))
def test_micro_batches_hold_every_text_once_within_the_budget(lengths: list[int], budget: int, enough: int) -> None:
    groups = list(micro_batches(lengths, budget, enough=enough))
    assert sorted(place for group in groups for place in group) == list(range(len(lengths)))
    for group in groups:
        assert len(group) == 1 or len(group) * max(lengths[place] for place in group) <= budget


@given(st.lists(st.integers(1, 200), min_size=1, max_size=80), st.integers(1, 100))
def test_what_is_tight_wastes_little_once_it_holds_enough(lengths: list[int], enough: int) -> None:
    for group in micro_batches(lengths, 10_000, enough=enough):
        longest = max(lengths[place] for place in group)
        filled = sum(lengths[place] for place in group[:-1])
        if filled >= enough:
            assert len(group) * longest - filled - longest <= 0.1 * len(group) * longest


@given(st.lists(st.lists(st.integers(1, 99), max_size=12), max_size=30), st.integers(1, 60), st.booleans())
def test_batches_give_back_the_tokens_of_every_text(tokens: list[list[int]], budget: int, tight: bool) -> None:
    found: dict[int, list[int]] = {}
    for batch in batches(tokens, budget, first=100, tight=tight):
        assert batch.ids.shape == batch.mask.shape == (len(batch.places), batch.ids.shape[1])
        assert not batch.ids[batch.mask == 0].any()
        for place, ids, mask in zip(batch.places.tolist(), batch.ids, batch.mask, strict=True):
            assert place not in found
            found[place] = ids[mask == 1].tolist()
            np.testing.assert_array_equal(mask, np.sort(mask)[::-1])
    assert found == {100 + place: ids for place, ids in enumerate(tokens)}
