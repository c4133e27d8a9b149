"""Methods find what they should, and answers are judged by what people said and by nothing else."""

from __future__ import annotations

from math import log2

import numpy as np
import pytest
from numpy.typing import NDArray

from streamrec.evaluate.relevance import retrieval
from streamrec.evaluate.relevance.catalogue import Catalogue
from streamrec.evaluate.relevance.judgements import Query
from streamrec.evaluate.relevance.lexical import Bm25
from streamrec.evaluate.relevance.methods import Answer, Exact, Hnsw, Keywords, Method, best, build
from tests.unit.evaluate.relevance.toys import COLOURS, KINDS, catalogue, labelled

MUGS = {f"mug-{colour}" for colour in COLOURS}


@pytest.fixture(scope="module")
def known() -> Catalogue:
    return catalogue()


def keywords(known: Catalogue) -> Keywords:
    return Keywords(known, Bm25([item.title for item in labelled().items.values()]))


def found(known: Catalogue, answer: Answer) -> list[str]:
    return [known.ids[place] for place in answer]


@pytest.mark.parametrize("name", ["exact", "hnsw", "rrf", "weighted", "bm25"])
def test_every_method_finds_the_kind_that_is_asked_for(known: Catalogue, name: str) -> None:
    words = keywords(known)
    method = (build(known, words) | {"bm25": words})[name]
    assert set(found(known, method.search("mug", 4))) == MUGS
    assert found(known, method.search("blue mug", 1)) == ["mug-blue"]


@pytest.mark.parametrize("name", ["exact", "hnsw", "rrf", "weighted", "bm25"])
def test_among_some_items_no_other_is_found(known: Catalogue, name: str) -> None:
    words = keywords(known)
    method = (build(known, words) | {"bm25": words})[name]
    among = np.array([known.places["mug-red"], known.places["sofa-blue"], known.places["mug-black"]])
    answer = found(known, method.search("mug", 10, among))
    assert set(answer) <= {"mug-red", "sofa-blue", "mug-black"}
    assert set(answer[:2]) == {"mug-red", "mug-black"}


def test_the_workers_search_answers_as_exact_search_does_where_the_index_is_exact(known: Catalogue) -> None:
    exact, ours = Exact(known), Hnsw(known)
    for query in ("mug", "red lamp", "kettle black", "nothing of this"):
        assert set(exact.search(query, 3)) == set(ours.search(query, 3))


def test_keywords_find_nothing_without_a_word_of_the_query(known: Catalogue) -> None:
    words = keywords(known)
    assert words.search("spaceship", 10) == {}
    assert len(words.search("mugs", 10)) == 4  # stemmed


def test_without_keyword_search_there_is_no_hybrid(known: Catalogue) -> None:
    assert set(build(known, None)) == {"exact", "hnsw"}


def test_equal_scores_go_by_the_hash_and_not_by_the_place() -> None:
    hashes = np.array([9, 1, 5], np.uint64)
    assert list(best(np.array([1.0, 1.0, 1.0]), hashes, 3)) == [1, 2, 0]
    assert list(best(np.array([1.0, -np.inf, 2.0]), hashes, 3)) == [2, 0]


class Scripted(Method):
    """Answers what it is told to."""

    def __init__(self, known: Catalogue, *item_ids: str) -> None:
        self._answer = {known.places[item_id]: float(-place) for place, item_id in enumerate(item_ids)}

    def search(self, query: str, n: int, among: NDArray[np.intp] | None = None) -> Answer:
        allowed = set(self._answer if among is None else among.tolist())
        return dict([(place, score) for place, score in self._answer.items() if place in allowed][:n])


def measured(known: Catalogue, query: Query, protocol: str, *answer: str) -> dict[str, float]:
    judge = retrieval.Judge(known, [query], 2, protocol)
    values, seconds = judge.values(Scripted(known, *answer))
    assert len(seconds) == 1
    return dict(zip(retrieval.MEASURES, values[0].tolist(), strict=True))


def test_in_the_whole_catalogue_what_nobody_judged_counts_as_wrong(known: Catalogue) -> None:
    query = Query("mug", {"mug-red": 3, "mug-blue": 1, "sofa-red": 0})
    values = measured(known, query, "whole", "lamp-red", "mug-red", "sofa-red", "mug-blue")
    ideal = 7 + 1 / log2(3)
    assert values["ndcg@10"] == pytest.approx((7 / log2(3) + 1 / log2(5)) / ideal)
    assert values["mrr@10"] == 0.5
    assert values["recall@10"] == values["hit@10"] == 1.0
    assert values["judged@10"] == 0.75


def test_among_what_was_judged_the_rest_is_not_seen(known: Catalogue) -> None:
    query = Query("mug", {"mug-red": 3, "mug-blue": 1, "sofa-red": 0})
    values = measured(known, query, "judged", "lamp-red", "mug-red", "sofa-red", "mug-blue")
    assert values["ndcg@10"] == pytest.approx((7 + 1 / log2(4)) / (7 + 1 / log2(3)))
    assert values["mrr@10"] == values["judged@10"] == 1.0


def test_what_a_method_leaves_out_of_the_judged_comes_last_in_an_order_that_knows_no_grade(known: Catalogue) -> None:
    query = Query("mug", {"mug-red": 0, "mug-blue": 3, "mug-green": 3})
    values = measured(known, query, "judged", "mug-red")
    assert values["ndcg@10"] == pytest.approx((7 / log2(3) + 7 / log2(4)) / (7 + 7 / log2(3)))


def test_queries_with_nothing_to_find_are_not_asked(known: Catalogue) -> None:
    judge = retrieval.Judge(known, [Query("mug", {"mug-red": 1}), Query("sofa", {"sofa-red": 2})], 2, "whole")
    assert [query.text for query in judge.queries] == ["sofa"]


def test_figures_have_intervals_over_queries_and_a_lead_is_paired() -> None:
    values = np.random.default_rng(3).random((200, len(retrieval.MEASURES)))
    figures = retrieval.figures(values, [0.001] * 200, seed=7)
    low, high = figures["interval95"]["ndcg@10"]
    assert low < figures["ndcg@10"] < high
    assert figures["ms"] == 1.0
    better = values + 0.05
    assert retrieval.lead(better, values, seed=7) == {"ndcg@10": 0.05, "interval95": [0.05, 0.05]}


def test_translations_are_compared_with_their_originals_only_where_all_were_asked() -> None:
    made = [Query("杯", {}, "mug"), Query("灯", {}, "lamp")]
    assert retrieval.of_originals(made, {"mug": 0.5, "lamp": 1.0, "sofa": 0.0}) == 0.75
    assert retrieval.of_originals(made, {"mug": 0.5}) is None
    assert retrieval.of_originals([Query("mug", {})], {"mug": 0.5}) is None


def test_all_kinds_are_answered_perfectly_where_words_say_it_all(known: Catalogue) -> None:
    judge = retrieval.Judge(known, labelled().variants[""], 2, "whole")
    assert len(judge.queries) == len(KINDS)
    for method in build(known, keywords(known)).values():
        values, _ = judge.values(method)
        assert values[:, 0] == pytest.approx(np.ones(len(KINDS)))
