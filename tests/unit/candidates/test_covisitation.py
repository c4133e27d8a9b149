"""Laws of the replica of item-neighbours."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from streamrec.candidates import NeighbourTable, from_seeds, transitions
from streamrec.catalogue import ItemTable
from streamrec.events import ItemNeighbours, Neighbour

T0 = 1_700_000_000_000
DAY = 86_400_000


def record(popularity: float = 1.0, as_of: int = T0, **together: float) -> ItemNeighbours:
    pairs = tuple(Neighbour(item_id=name, together=weight, bought=0.0) for name, weight in together.items())
    return ItemNeighbours(as_of=as_of, popularity=popularity, neighbours=pairs)


def table(*names: str) -> tuple[ItemTable, NeighbourTable]:
    items = ItemTable()
    for name in names:
        items.row(name)
    return items, NeighbourTable(items, together_half_life_s=DAY / 1000, popularity_half_life_s=DAY / 1000)


def strengths(items: ItemTable, neighbours: NeighbourTable, *seeds: str) -> dict[str, float]:
    related = from_seeds(neighbours, items.find_all(seeds), np.ones(len(seeds)))
    return dict(zip(items.ids(related.rows), related.strengths.tolist(), strict=True))


def test_what_everybody_meets_is_a_weaker_companion_than_what_few_meet_together() -> None:
    items, neighbours = table("a", "rare", "common")
    neighbours.update("a", record(rare=5, common=5))
    neighbours.update("rare", record(a=5))
    neighbours.update("common", record(a=5, **{f"x{i}": 50 for i in range(20)}))
    found = strengths(items, neighbours, "a")
    assert 0 < found["common"] < found["rare"] <= 1


def test_few_witnesses_count_less_than_many() -> None:
    items, neighbours = table("a", "b", "c", "d")
    neighbours.update("a", record(b=1))
    neighbours.update("c", record(d=100))
    assert strengths(items, neighbours, "a")["b"] < strengths(items, neighbours, "c")["d"]


def test_two_seeds_that_agree_say_more_than_one_and_the_stronger_is_the_reason() -> None:
    items, neighbours = table("a", "b", "both", "one")
    neighbours.update("a", record(both=5, one=5))
    neighbours.update("b", record(both=9))
    found = strengths(items, neighbours, "a", "b")
    assert found["one"] < found["both"]
    related = from_seeds(neighbours, items.find_all(("a", "b")), np.ones(2))
    because = dict(zip(items.ids(related.rows), items.ids(related.because), strict=True))
    assert because == {"both": "b", "one": "a"}


def test_records_made_at_different_times_are_brought_to_one_time() -> None:
    _, neighbours = table("a", "b", "c")
    neighbours.update("a", record(8.0, as_of=T0))
    neighbours.update("b", record(5.0, as_of=T0 + DAY))
    logs = neighbours.log_popularity()
    assert 2 ** (logs[0] - logs[1]) == pytest.approx(8 / 5 / 2)
    assert logs[2] == -np.inf


def test_moving_all_times_changes_no_strength() -> None:
    def at(shift: int) -> dict[str, float]:
        items, neighbours = table("a", "b", "c")
        neighbours.update("a", record(as_of=T0 + shift, b=3, c=2))
        neighbours.update("b", record(as_of=T0 + shift + DAY, a=4))
        return strengths(items, neighbours, "a")

    assert at(0) == pytest.approx(at(1000 * DAY), rel=1e-6)


def test_the_bound_forgets_what_was_updated_longest_ago() -> None:
    items = ItemTable()
    neighbours = NeighbourTable(items, max_items=3)
    for i in range(30):
        if i % 2:
            items.row(f"i{i}")
        neighbours.update(f"i{i}", record(1.0, b=1))
    assert len(neighbours) == 3
    for i in range(30):
        items.row(f"i{i}")
    alive = np.flatnonzero(neighbours.log_popularity() > -np.inf)
    assert sorted(items.ids(alive)) == ["i27", "i28", "i29"]


def test_an_item_is_never_its_own_companion() -> None:
    items, neighbours = table("a", "b")
    neighbours.update("a", record(a=9, b=1))
    assert list(strengths(items, neighbours, "a")) == ["b"]


def next_of(items: ItemTable, neighbours: NeighbourTable, weights: dict[str, float], smoothing: float = 2.0) -> dict[str, float]:
    found = transitions(neighbours, items.find_all(tuple(weights)), np.array(list(weights.values())), smoothing)
    return dict(zip(items.ids(found.related.rows), found.related.strengths.tolist(), strict=True)) | {"": found.unexplained}


def test_the_probability_of_the_next_item_is_its_share_of_what_was_met_beside_the_seed() -> None:
    items, neighbours = table("a", "b", "c", "d")
    neighbours.update("a", record(b=6, c=2))
    assert next_of(items, neighbours, {"a": 1.0}) == pytest.approx({"b": 0.6, "c": 0.2, "": 0.2})
    # What found no room in the record is explained all the same, by nothing that may be listed.
    neighbours.update("a", msgspec.structs.replace(record(b=6, c=2), total=18.0))
    assert next_of(items, neighbours, {"a": 1.0}) == pytest.approx({"b": 0.3, "c": 0.1, "": 0.1})
    assert next_of(items, neighbours, {"d": 1.0}) == {"": 1.0}
    assert next_of(items, neighbours, {}) == {"": 1.0}


def test_seeds_are_mixed_by_their_weights_and_the_strongest_is_the_reason() -> None:
    items, neighbours = table("a", "b", "both", "one")
    neighbours.update("a", record(both=2, one=6))
    neighbours.update("b", record(both=8))
    found = next_of(items, neighbours, {"a": 1.0, "b": 0.5})
    assert found == pytest.approx({"both": 2 / 3 * 0.2 + 1 / 3 * 0.8, "one": 2 / 3 * 0.6, "": 0.2})
    related = transitions(neighbours, items.find_all(("a", "b")), np.array([1.0, 0.5]), 2.0).related
    assert dict(zip(items.ids(related.rows), items.ids(related.because), strict=True)) == {"both": "b", "one": "a"}


def test_the_share_that_meets_an_item_again_is_drawn_to_that_of_the_shop() -> None:
    items, neighbours = table("a", "b", "new")
    kept = record(1.0)
    for name, visitors, again in (("a", 30.0, 0.5), ("b", 10.0, 0.1), ("a", 10.0, 0.5), ("gone", 99.0, 1.0), ("gone", 99.0, 1.0)):
        neighbours.update(name, msgspec.structs.replace(kept, visitors=visitors, again=again))
    neighbours.update("gone", None)
    # The shop's: (10 * 0.5 + 10 * 0.1) / 20.
    shares = neighbours.again(items.find_all(("a", "b", "new")), 5.0)
    assert shares.tolist() == pytest.approx([(5 + 5 * 0.3) / 15, (1 + 5 * 0.3) / 15, 0.3], abs=1e-5)
    empty = NeighbourTable(items)
    assert empty.again(items.find_all(("a",)), 5.0).tolist() == [0.0]


def test_visitors_over_weeks_are_brought_to_one_time_like_popularity() -> None:
    _, neighbours = table("a", "b", "c")
    neighbours.update("a", msgspec.structs.replace(record(as_of=T0), visitors=8.0))
    neighbours.update("b", msgspec.structs.replace(record(as_of=T0 + DAY), visitors=5.0))
    logs = neighbours.log_visitors()
    assert 2 ** (logs[0] - logs[1]) == pytest.approx(8 / 5 / 2)
    assert logs[2] == -np.inf
