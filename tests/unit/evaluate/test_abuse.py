"""Click fraud changes little of what others see: on a toy shop, and on real streams where they are at hand."""

from __future__ import annotations

import os
from math import expm1
from pathlib import Path
from random import Random
from typing import Any

import pytest

from streamrec.config import Settings
from streamrec.errors import DataError
from streamrec.evaluate.abuse import Fraud, _lists, measure_fraud, set_the_scene
from streamrec.evaluate.methods.shop import Shop
from streamrec.evaluate.streams import Stream, open_streams, read_stream
from streamrec.evaluate.tables import FRAUD_COLUMNS, fraud_rows
from tests.unit.evaluate.toys import MINUTE_MS, visits

EXACT = Settings.model_validate({"index": {"kind": "exact"}})
#: As in the full measure, with fewer clicks of the one.
SMALL = {"one": Fraud(1, 1000), "crowd": Fraud(300, 5)}


@pytest.fixture(scope="module")
def shop() -> Stream:
    """Five hundred visitors of 300 items: each walks among neighbours on a shelf, some items more popular than others."""
    rng = Random(5)
    letters = [chr(0x4E00 + n) for n in range(300)]
    walks = []
    for _ in range(500):
        at = int(300 * rng.random() ** 2)
        walks.append("".join(letters[(at + rng.randrange(4)) % 300] for _ in range(rng.randrange(2, 7))))
    return visits(*walks, gap_ms=3 * MINUTE_MS)


@pytest.fixture(scope="module")
def measured(shop: Stream) -> dict[str, Any]:
    return measure_fraud(shop, None, EXACT, audience=60, frauds=SMALL)


def test_a_crowd_that_all_does_the_same_changes_little_and_without_the_bound_much(measured: dict[str, Any]) -> None:
    crowd = measured["frauds"]["crowd"]
    assert crowd["defended"]["overlap"] >= 0.97
    assert crowd["undefended"]["overlap"] < crowd["defended"]["overlap"]
    before, after = crowd["defended"]["pushed"]
    assert after - before <= 0.2 * measured["audience"]
    assert crowd["undefended"]["pushed"][1] > after
    assert crowd["undefended"]["trend"][1] <= 5


def test_fraud_changes_less_than_a_hundred_honest_interactions(measured: dict[str, Any]) -> None:
    for sides in measured["frauds"].values():
        assert sides["defended"]["overlap"] >= measured["calm"]["overlap"]


def test_whoever_clicks_weights_move_by_the_drift_of_an_hour_at_most_and_without_the_bound_by_more(
    measured: dict[str, Any],
) -> None:
    most = expm1(EXACT.learning.drift)
    for sides in measured["frauds"].values():
        assert 0 <= sides["defended"]["weights"] <= most
    crowd = measured["frauds"]["crowd"]
    assert crowd["undefended"]["weights"] > 2 * crowd["defended"]["weights"]


def test_a_branch_goes_on_as_the_shop_itself_does_and_leaves_it_as_it_was(shop: Stream, tmp_path: Path) -> None:
    scene = set_the_scene(shop, audience=20, seed=1)
    trunk = Shop(EXACT, None)
    for step in scene.before:
        trunk.learn(step)
    trunk.save(tmp_path)
    before = _lists(scene, trunk)
    branch = trunk.branch(tmp_path)
    assert _lists(scene, branch) == before
    steps = list(Fraud(30, 5).steps(scene))
    for step in steps:
        branch.learn(step)
    assert _lists(scene, trunk) == before
    for step in steps:
        trunk.learn(step)
    assert _lists(scene, branch) == _lists(scene, trunk) != before


def test_one_visitor_changes_next_to_nothing(measured: dict[str, Any]) -> None:
    one = measured["frauds"]["one"]["defended"]
    assert one["overlap"] >= 0.97
    assert one["pushed"][1] - one["pushed"][0] <= 0.2 * measured["audience"]


def test_the_table_has_a_row_for_each_fraud_without_and_with_the_bounds(measured: dict[str, Any]) -> None:
    rows = fraud_rows(measured)
    sides = [["one", "without"], ["one", "with"], ["crowd", "without"], ["crowd", "with"]]
    assert [row[:2] for row in rows] == [*sides, ["none, 100 interactions", "with"]]
    assert all(len(row) == len(FRAUD_COLUMNS) for row in rows)
    assert rows[3][2:] == [
        *(measured["frauds"]["crowd"]["defended"][key] for key in ("overlap", "least", "cold")),
        *(value for key in ("pushed", "trend") for value in reversed(measured["frauds"]["crowd"]["defended"][key])),
        measured["frauds"]["crowd"]["defended"]["weights"],
    ]


def test_the_scene_is_of_the_stream_before_the_fraud_and_pushes_what_hardly_anybody_knows(shop: Stream) -> None:
    scene = set_the_scene(shop, audience=10, seed=1)
    counts = {item_id: sum(step.items.count(item_id) for step in scene.before) for item_id in shop.interactions}
    assert counts[scene.pushed] < min(counts[bait] for bait in scene.baits)
    assert len(scene.others) == len(set(scene.others)) == 10
    assert all(step.at_ms < scene.at_ms for step in scene.before)
    assert not {step.visitor for step in scene.calm if step.items} & set(scene.others)
    assert 100 <= sum(len(step.items) for step in scene.calm) <= 101
    clicks = list(Fraud(2, 5).steps(scene))
    assert [step.items[0] == scene.pushed for step in clicks] == [False, True, False, True, False] * 2
    assert {step.visitor for step in clicks} == {"fraud-0", "fraud-1"}


def test_a_stream_too_short_for_it_says_so() -> None:
    with pytest.raises(DataError, match="greater --limit"):
        set_the_scene(visits("aa"), audience=1, seed=1)


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["google_merch", "yoochoose100k"])
def test_in_a_real_stream_fraud_leaves_others_their_lists(name: str) -> None:
    folder = Path(os.environ.get("STREAMREC_SHARED_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
    [data] = open_streams(folder, [name])
    found = measure_fraud(read_stream(data, 4000), None, EXACT, audience=100)
    one, crowd = found["frauds"].values()
    assert one["defended"]["overlap"] >= 0.9
    assert crowd["defended"]["overlap"] >= 0.9 > crowd["undefended"]["overlap"]
    if name == "yoochoose100k":  # in the other shop two visitors come an hour: three that met an item make it popular
        assert crowd["defended"]["pushed"][1] <= 0.1 * crowd["undefended"]["pushed"][1]
