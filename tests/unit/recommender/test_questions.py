"""What is asked of a recommender's pages, and what it answers."""

from __future__ import annotations

import pytest

from streamrec.catalogue import Filter
from streamrec.catalogue.filters import ANY
from streamrec.errors import InvalidRequest
from streamrec.recommender import Question, read_question
from tests.unit.recommender.rooms import T0, Room


def test_parameters_become_a_question_and_what_is_empty_counts_as_not_given() -> None:
    rules = [("category", "a"), ("category", "b"), ("brand", ""), ("price_min", "1.5"), ("exclude", "i1")]
    asked = [("q", "red shoe"), *rules, ("n", "7")]
    wanted = Filter(categories=frozenset("ab"), price_min=1.5, exclude=frozenset({"i1"}))
    assert read_question(asked) == Question("red shoe", wanted, 7)
    assert read_question([("category", ""), ("n", "")]) == Question("", ANY, 10)


@pytest.mark.parametrize(
    ("asked", "advice"),
    [
        ([("colour", "red")], "use q, n, category"),
        ([("q", "a"), ("q", "b")], "give it once"),
        ([("price_min", "cheap")], "such as 9.90"),
        ([("price_max", "-1")], "such as 9.90"),
        ([("price_max", "nan")], "such as 9.90"),
        ([("price_min", "2"), ("price_max", "1")], "exchange them"),
        ([("n", "0")], "from 1 to 200"),
        ([("n", "201")], "from 1 to 200"),
        ([("n", "9" * 5000)], "from 1 to 200"),
        ([("quantity_min", "-1")], "from 1 to"),
        ([("n", "٣")], "from 1 to 200"),
    ],
    ids=str,
)
def test_a_question_that_is_none_is_told_what_to_do(asked: list[tuple[str, str]], advice: str) -> None:
    with pytest.raises(InvalidRequest, match=advice) as caught:
        read_question(asked)
    assert len(str(caught.value)) < 200


def test_an_answer_is_a_list_as_storefronts_read_it() -> None:
    room = Room(12)
    room.campaign("out", "exclude", "i3")
    room.stock("i6", 0)
    reds = Filter(categories=frozenset({"red"}))
    answer = room.knowledge.search(Question("red shoe", reds, 10), T0)
    assert (set(answer.ids()), answer.digest, answer.made_at) == ({"i0", "i9"}, room.knowledge.digest, T0)
    assert {item.why for item in answer.items} == {"search:red shoe"}
    assert room.knowledge.similar("i0", Question("", reds, 10), T0).ids() == ["i9"]


@pytest.mark.parametrize(
    ("item_id", "query", "advice"), [("", " ", "q="), ("nobody", "", "items.catalog"), ("i0", "red", "/search")]
)
def test_what_cannot_be_asked_is_told_what_to_do(item_id: str, query: str, advice: str) -> None:
    room, question = Room(3), Question(query, ANY, 3)
    with pytest.raises(InvalidRequest, match=advice):
        room.knowledge.similar(item_id, question, T0) if item_id else room.knowledge.search(question, T0)
