"""In a replay lists stand for what was shown: first ranked, then learnt from; the same stream gives the same weights."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from streamrec.config import ExperimentSettings, Settings
from streamrec.evaluate.experiment import rehearse
from streamrec.evaluate.methods.school import School
from streamrec.evaluate.methods.shop import Shop, Streamrec
from streamrec.evaluate.streams import Step, Stream
from streamrec.events import Event, Impressions
from tests.unit.evaluate.toys import DAY_MS, MINUTE_MS, T0, steps_of, visits

EXACT = Settings.model_validate({"index": {"kind": "exact"}})
OFF = Settings.model_validate({"index": {"kind": "exact"}, "ranking": {"learnt": False}})


@pytest.fixture(scope="module")
def walks() -> Stream:
    """Visitors who walk along a row of items and come back to none, some items more popular than others."""
    rng = Random(5)
    letters = [chr(0x4E00 + n) for n in range(60)]
    sessions = []
    for _ in range(150):
        at = int(60 * rng.random() ** 2)
        sessions.append("".join(letters[(at + n) % 60] for n in range(rng.randrange(2, 5))))
    return visits(*sessions, gap_ms=20 * MINUTE_MS)


def learnt(stream: Stream, settings: Settings = EXACT) -> Shop:
    shop = Shop(settings, None)
    for step in stream.steps:
        shop.learn(step)
    return shop


@pytest.fixture(scope="module")
def whole(walks: Stream) -> Shop:
    return learnt(walks)


def test_parts_that_told_what_came_next_gain_and_both_kinds_of_lists_learn_for_themselves(whole: Shop) -> None:
    showing, hiding = whole.schools
    for school in (showing, hiding):
        assert school.factors["together"] > 1 > school.factors["trending"]
    assert showing.factors["together"] != hiding.factors["together"]
    assert hiding.factors["again"] == 1.0  # and there it is no question


def test_the_same_stream_gives_the_same_weights_and_a_frozen_shop_learns_none(walks: Stream, whole: Shop) -> None:
    shop = learnt(walks)
    before = [school.factors for school in shop.schools]
    assert [school.factors for school in whole.schools] == before
    for step in steps_of("late", "一丁丂", T0 + 100 * DAY_MS):
        shop.learn(step, frozen=True)
    assert [school.factors for school in shop.schools] == before


def test_lists_follow_what_was_learnt_unless_it_is_switched_off(walks: Stream, whole: Shop) -> None:
    off = learnt(walks, OFF)
    assert off.schools == []
    others = [f"visitor-{n}" for n in range(0, 150, 5)]

    def lists(method: Streamrec) -> list[list[str]]:
        method.settle()
        return [method.recommend(visitor, T0 + 3 * DAY_MS, 20) for visitor in others]

    assert lists(Streamrec(whole, learnt=False)) == lists(Streamrec(off))
    assert lists(Streamrec(whole)) != lists(Streamrec(off))


def test_a_list_is_learnt_from_before_its_step_is_known(walks: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a lesson is ranked, the visitor's profile and all that others are told of do not hold the step."""
    shop = learnt(walks)
    shop.settle()
    seen: list[tuple[Step, int, int]] = []
    step, *_ = steps_of("visitor-3", "七", T0 + 100 * DAY_MS)
    learn = School.learn

    def watched(self: School, visitor: str, *rest: object) -> None:
        seen.append((step, len(shop.profile(visitor).recent), self.ranker.neighbours.version))
        learn(self, visitor, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(School, "learn", watched)
    before, version = len(shop.profile("visitor-3").recent), shop.knowledge.neighbours.version
    shop.learn(step)
    assert seen == [(step, before, version), (step, before, version)]
    assert len(shop.profile("visitor-3").recent) == before + 1


def test_a_rehearsed_experiment_teaches_each_variant_by_the_clicks_on_its_own_lists(walks: Stream) -> None:
    variants: list[dict[str, Any]] = [{"name": "a"}, {"name": "b", "ranking": {"weight_trending": 0.2}}]
    settings = EXACT.model_copy(update={"experiment": ExperimentSettings.model_validate({"name": "x", "variants": variants})})
    with_lessons = list(rehearse(walks, settings, None))
    without = [{**told, "ranking": {**told.get("ranking", {}), "learnt": False}} for told in variants]
    split = ExperimentSettings.model_validate({"name": "x", "variants": without})
    others = list(rehearse(walks, settings.model_copy(update={"experiment": split}), None))

    def lists(events: list[tuple[str, Event]]) -> list[tuple[str, ...]]:
        return [event.item_ids for _, event in events if isinstance(event, Impressions)]

    assert len(lists(with_lessons)) == len(lists(others)) > 100
    assert lists(with_lessons)[0] == lists(others)[0]
    assert lists(with_lessons) != lists(others)
