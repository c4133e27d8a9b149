"""Laws of laying out a list."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streamrec.ranking.select import Limits, Selection, keep_places, select

ORDERS = st.permutations(range(8))
CODES = st.lists(st.integers(0, 2), min_size=8, max_size=8)
LIMITS = st.builds(Limits, st.integers(1, 10), st.integers(1, 3), st.integers(1, 3), st.integers(0, 4))
PINS = st.dictionaries(st.integers(1, 12), st.integers(0, 7), max_size=2).filter(lambda pins: len(set(pins.values())) == len(pins))


def lay_out(order: list[int], categories: list[int], brands: list[int], limits: Limits, pins: dict[int, int]) -> Selection:
    new = [position for position in order if position % 3 == 0]
    return select(order, new, pins, categories=categories, brands=brands, limits=limits)


@given(ORDERS, CODES, CODES, LIMITS, PINS)
def test_nothing_twice_and_no_slot_left_empty(
    order: list[int], categories: list[int], brands: list[int], limits: Limits, pins: dict[int, int]
) -> None:
    selection = lay_out(order, categories, brands, limits, pins)
    assert len(set(selection.chosen)) == len(selection.chosen) == min(limits.size, 8)
    assert len(selection.how) == len(selection.chosen)


@given(ORDERS, CODES, CODES, LIMITS, PINS)
def test_caps_are_broken_only_by_pins_and_where_the_list_would_be_short(
    order: list[int], categories: list[int], brands: list[int], limits: Limits, pins: dict[int, int]
) -> None:
    selection = lay_out(order, categories, brands, limits, pins)
    for place, (position, how) in enumerate(zip(selection.chosen, selection.how, strict=True)):
        before = selection.chosen[:place]
        full = categories[position] and sum(categories[p] == categories[position] for p in before) >= limits.per_category
        full = full or (brands[position] and sum(brands[p] == brands[position] for p in before) >= limits.per_brand)
        assert not full or how in {"pin", "overflow"}
        if how == "overflow":
            assert all(h in {"overflow", "pin"} for h in selection.how[place:])


@given(ORDERS, CODES, CODES, LIMITS, PINS)
def test_a_pin_within_the_list_has_its_slot(
    order: list[int], categories: list[int], brands: list[int], limits: Limits, pins: dict[int, int]
) -> None:
    selection = lay_out(order, categories, brands, limits, pins)
    for slot, position in pins.items():
        if slot <= len(selection.chosen) and slot <= limits.size:
            assert selection.chosen[slot - 1] == position


@given(ORDERS, CODES, CODES, LIMITS, PINS, st.integers(0, 7), st.integers(0, 7))
def test_raising_a_candidate_never_lowers_its_slot(
    order: list[int], categories: list[int], brands: list[int], limits: Limits, pins: dict[int, int], raised: int, to: int
) -> None:
    before = lay_out(order, categories, brands, limits, pins).chosen
    others = [position for position in order if position != raised]
    place = min(to, order.index(raised))
    after = lay_out([*others[:place], raised, *others[place:]], categories, brands, limits, pins).chosen
    if raised in before:
        assert after.index(raised) <= before.index(raised)


def slowly(order: list[int], categories: list[int], brands: list[int], limits: Limits, pins: dict[int, int]) -> list[int]:
    """Look at every candidate again for every slot."""
    new = [position for position in order if position % 3 == 0]
    reserved = {position for slot, position in pins.items() if slot <= limits.size}
    chosen: list[int] = []

    def free(position: int) -> bool:
        full = any(
            codes[position] and sum(codes[p] == codes[position] for p in chosen) >= cap
            for codes, cap in ((categories, limits.per_category), (brands, limits.per_brand))
        )
        return position not in chosen and position not in reserved and not full

    while len(chosen) < limits.size:
        slot = len(chosen) + 1
        explored = new if limits.explore_every and slot % limits.explore_every == 0 else []
        left = [p for p in order if p not in chosen and p not in reserved]
        late = [p for s, p in sorted(pins.items(), reverse=True) if s <= limits.size and p not in chosen]
        pinned = [pins[slot]] if slot in pins and pins[slot] not in chosen else []
        wanted = [*pinned, *filter(free, explored), *filter(free, order), *left, *late]
        if not wanted:
            break
        chosen.append(wanted[0])
    return chosen


@given(ORDERS, CODES, CODES, LIMITS, PINS)
def test_looking_at_each_candidate_once_chooses_what_looking_again_and_again_would(
    order: list[int], categories: list[int], brands: list[int], limits: Limits, pins: dict[int, int]
) -> None:
    assert lay_out(order, categories, brands, limits, pins).chosen == slowly(order, categories, brands, limits, pins)


@given(ORDERS, CODES, CODES, LIMITS, PINS, st.lists(st.sampled_from(range(8, 12)), unique=True))
def test_kept_places_take_only_the_end_of_what_is_seen(
    order: list[int], categories: list[int], brands: list[int], limits: Limits, pins: dict[int, int], absent: list[int]
) -> None:
    scores = np.zeros(12)
    scores[order] = np.arange(8, 0, -1)
    scores[8:] = [9.0, 6.5, 3.5, 0.0]
    before = lay_out(order, categories, brands, limits, pins).chosen
    selection = lay_out(order, categories, brands, limits, pins)
    keep_places(selection, sorted(absent), scores, limits.size, {10: 2})
    seen = [position for position in selection.chosen if position < 8]
    assert seen == before[: len(seen)]
    assert len(selection.chosen) == len(selection.how) <= limits.size
    assert [p for p in selection.chosen if p >= 8] == [
        p for p, how in zip(selection.chosen, selection.how, strict=True) if how == "absent"
    ]
    if 10 in absent and max(absent) == 10 and limits.size > 1:
        assert selection.chosen.index(10) == 1
