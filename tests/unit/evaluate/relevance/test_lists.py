"""The list after a search event is judged by what was searched for and by what was clicked on before."""

from __future__ import annotations

import pytest

from streamrec.evaluate.relevance.judgements import Query
from streamrec.evaluate.relevance.lists import CLICKS_BEFORE, SCENARIOS, ListJudge, Visit, events_of, visits
from streamrec.events import Click, Search
from tests.unit.evaluate.relevance.toys import catalogue, queries
from tests.unit.evaluate.toys import T0

ALONE, THEN_SEARCH, ELSEWHERE, ON_RESULT = SCENARIOS


def test_a_visit_clicks_on_what_fits_another_need_and_was_not_judged_for_the_query() -> None:
    chosen = visits(queries(), 2, seed=7)
    assert [visit.query.text for visit in chosen] == ["mug", "sofa", "lamp", "kettle"]
    for visit in chosen:
        assert not visit.query.grades.keys() & visit.other.grades.keys()
        assert len(set(visit.clicks)) == CLICKS_BEFORE
        assert set(visit.clicks) <= set(visit.other.fitting(2))
        assert visit.result in visit.query.fitting(2)
    assert visits(queries(), 2, seed=7) == chosen


def test_a_query_that_shares_its_items_with_all_others_has_no_visit() -> None:
    assert visits([Query("a", {"x": 3}), Query("b", {"x": 3, "y": 3, "z": 3})], 2, seed=7) == []


def test_the_event_that_is_judged_comes_last() -> None:
    first, second = queries()[0], queries()[2]
    visit = Visit(first, second, ("lamp-red", "lamp-blue", "lamp-green"), "mug-blue")
    assert events_of(visit, ALONE, T0) == ([], Search(query="mug", ts=T0))
    clicks, search = events_of(visit, THEN_SEARCH, T0)
    assert [event.item_id for event in clicks if isinstance(event, Click)] == list(visit.clicks)
    assert isinstance(search, Search)
    assert [event.ts for event in (*clicks, search)] == [T0, T0 + 60_000, T0 + 120_000, T0 + 180_000]
    for scenario, clicked in ((ELSEWHERE, "lamp-red"), (ON_RESULT, "mug-blue")):
        assert events_of(visit, scenario, T0) == ([Search(query="mug", ts=T0)], Click(item_id=clicked, ts=T0 + 60_000))


def test_a_search_brings_its_items_to_the_front_and_without_its_weight_changes_nothing() -> None:
    known = catalogue()
    judge = ListJudge(known, 2)
    chosen = visits(queries(), 2, seed=7)
    shop = known.shop
    with_search = judge.figures(chosen, shop.knowledge.ranker, seed=7)
    assert with_search[ALONE]["after"]["ndcg@10"] == pytest.approx(1.0)
    assert with_search[ALONE]["before"]["ndcg@10"] < 0.9
    assert with_search[THEN_SEARCH]["after"]["ndcg@10"] > with_search[THEN_SEARCH]["before"]["ndcg@10"]
    assert with_search[THEN_SEARCH]["before"]["other@10"] == 0.4  # all four of the kind that was clicked on
    deaf = shop.ranker(shop.settings.ranking.model_copy(update={"weight_search": 0.0}))
    without = judge.figures(chosen, deaf, seed=7)
    for scenario in (ALONE, THEN_SEARCH):
        assert without[scenario]["before"] == without[scenario]["after"]
        assert without[scenario]["new_in_first_10"] == 0.0
