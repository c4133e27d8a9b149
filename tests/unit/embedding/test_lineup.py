"""The models in play: who embeds what, under which key, and what is taken back when one leaves."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrec.embedding import HashingEncoder, Lineup
from streamrec.events import CatalogItem, ItemVector, ModelChoice, ModelPlan, split_slot

T0 = 1_767_225_600_000
OLD, NEW, THIRD = HashingEncoder(8), HashingEncoder(12), HashingEncoder(16)
ENCODERS = {one.digest: one for one in (OLD, NEW, THIRD)}


def choice(encoder: HashingEncoder) -> ModelChoice:
    return ModelChoice(settings={"name": encoder.name}, digest=encoder.digest, dim=encoder.dim)


def plan(version: int, wanted: HashingEncoder, previous: HashingEncoder | None = None, keep_until: int = T0) -> ModelPlan:
    before = choice(previous) if previous else None
    return ModelPlan(version=version, wanted=choice(wanted), previous=before, keep_until=keep_until, plain=OLD.digest, ts=T0)


def items(*names: str, ts: int = T0, word: str = "") -> list[tuple[str, CatalogItem | None]]:
    return [(name, CatalogItem(title=f"{name} {word}", ts=ts)) for name in names]


def said(told: list[tuple[str, ItemVector | None]]) -> dict[str, Any]:
    return {key: vector.model_digest if vector else None for key, vector in told}


def test_without_a_plan_there_is_one_model_with_plain_keys() -> None:
    lineup = Lineup(OLD)
    assert said(lineup.update(items("a", "b"))) == {"a": OLD.digest, "b": OLD.digest}
    assert (lineup.in_play, lineup.counts) == ((OLD.digest,), {OLD.digest: 2})


def test_a_plan_has_each_change_embedded_by_both_models_and_the_rest_by_the_new_one_alone() -> None:
    lineup = Lineup(OLD)
    lineup.update(items("a", "b"))
    assert lineup.follow(plan(1, NEW, OLD), ENCODERS)
    assert said(lineup.update(items("a"))) == {f"a{{{NEW.digest}}}": NEW.digest}
    changed = said(lineup.update(items("b", ts=T0 + 1, word="changed")))
    assert changed == {"b": OLD.digest, f"b{{{NEW.digest}}}": NEW.digest}
    assert said(lineup.update([("a", None)])) == {"a": None, f"a{{{NEW.digest}}}": None}
    assert lineup.counts == {NEW.digest: 1, OLD.digest: 1}


def test_the_plain_slot_stays_with_the_model_that_began_with_it() -> None:
    lineup = Lineup(NEW)
    lineup.follow(plan(2, OLD, NEW), ENCODERS)
    assert set(said(lineup.update(items("a")))) == {"a", f"a{{{NEW.digest}}}"}


def test_an_older_plan_is_not_followed() -> None:
    lineup = Lineup(OLD)
    assert lineup.follow(plan(2, NEW, OLD), ENCODERS)
    assert not lineup.follow(plan(1, THIRD, OLD), ENCODERS)
    assert lineup.wanted == NEW.digest


def test_the_previous_model_leaves_when_its_time_is_over_and_the_new_one_has_what_it_has_and_not_before() -> None:
    lineup = Lineup(OLD)
    lineup.update(items("a", "b"))
    lineup.follow(plan(1, NEW, OLD, keep_until=T0 + 10), ENCODERS)
    lineup.update(items("a"))
    assert not lineup.settle(T0 + 10)
    lineup.update(items("b"))
    assert not lineup.settle(T0 + 9)
    assert lineup.settle(T0 + 10)
    assert lineup.in_play == (NEW.digest,)
    assert lineup.strays == 2
    assert dict(lineup.take_back(lambda item_id: item_id == "a", 10)) == {"a": None}
    assert lineup.take_back(lambda _: True, 10) == []  # b was another's when it was looked at
    lineup.look_again()
    assert dict(lineup.take_back(lambda _: True, 10)) == {"b": None}
    assert said(lineup.update(items("a", ts=T0 + 1, word="changed"))) == {f"a{{{NEW.digest}}}": NEW.digest}


def test_going_back_while_the_old_model_is_kept_embeds_nothing() -> None:
    lineup = Lineup(OLD)
    lineup.update(items("a", "b"))
    lineup.follow(plan(1, NEW, OLD), ENCODERS)
    lineup.update(items("a", "b"))
    lineup.follow(plan(2, OLD, NEW), {})  # nothing is opened either
    assert lineup.update(items("a", "b")) == []
    assert lineup.in_play == (OLD.digest, NEW.digest)


def test_a_model_that_is_neither_wanted_nor_previous_is_taken_back_and_one_that_comes_back_is_no_stray() -> None:
    lineup = Lineup(OLD)
    lineup.update(items("a"))
    lineup.follow(plan(1, NEW, OLD), ENCODERS)
    lineup.update(items("a"))
    lineup.follow(plan(2, THIRD, OLD), ENCODERS)
    assert lineup.strays == 1
    lineup.follow(plan(3, NEW, OLD), ENCODERS)
    assert lineup.strays == 0
    assert said(lineup.update(items("a"))) == {f"a{{{NEW.digest}}}": NEW.digest}


@given(st.integers(0, 6))
def test_a_restarted_embedder_reads_from_the_topic_what_is_done_of_each_model_and_what_is_left_over(done: int) -> None:
    names = "abcdef"
    first = Lineup(OLD)
    told = first.update(items(*names))
    first.follow(plan(1, NEW, OLD), ENCODERS)
    told += first.update(items(*names[:done]))
    told.append(("a{abcd}", told[0][1]))  # of a model of long ago
    again = Lineup(NEW)
    again.follow(plan(1, NEW, OLD), ENCODERS)
    for key, vector in told:
        again.remember(key, vector)
    assert again.strays == 1
    assert {split_slot(key)[0] for key, _ in again.update(items(*names))} == set(names[done:])
    assert again.counts == {NEW.digest: 6, OLD.digest: 6}
    again.remember("a{abcd}", None)
    assert again.strays == 0


@pytest.mark.parametrize(("known", "word", "news"), [(False, "x", None), (True, "", False), (True, "changed", True)])
def test_news_is_a_known_item_with_another_text(known: bool, word: str, news: bool | None) -> None:
    lineup = Lineup(OLD)
    if known:
        lineup.update(items("a"))
    lineup.follow(plan(1, NEW, OLD), ENCODERS)
    lineup.update(items("b"))
    [(name, item)] = items("a", ts=T0 + 1, word=word)
    # The new model lacks the item, which is the pass's business: only another text is news.
    assert lineup.is_news(name, item) is news
    assert lineup.is_news(name, None) is False


def test_the_pass_gives_the_new_model_what_stands_and_nothing_that_was_overtaken() -> None:
    """The catalogue from its beginning: an older version, the newer one, an item that was removed, one that came back."""
    history = [
        *items("a", ts=T0),
        *items("a", ts=T0 + 1, word="newer"),
        *items("gone", ts=T0),
        ("gone", None),
        *items("back", ts=T0),
        ("back", None),
        *items("back", ts=T0 + 2, word="again"),
    ]
    lineup = Lineup(OLD)
    for one in history:
        lineup.update([one])
    lineup.follow(plan(1, NEW, OLD), ENCODERS)
    told = [message for one in history for message in lineup.fill([one])]
    assert [(key, vector.ts if vector else None) for key, vector in told] == [
        (f"a{{{NEW.digest}}}", T0 + 1),
        (f"back{{{NEW.digest}}}", T0 + 2),
    ]
    assert [lineup.fill([one]) for one in history] == [[]] * len(history)


def test_where_no_other_model_knows_anything_the_pass_takes_the_catalogue_as_it_comes() -> None:
    history = [*items("a", ts=T0), *items("gone", ts=T0), ("gone", None), *items("a", ts=T0 + 1, word="newer")]
    lineup = Lineup(NEW)
    lineup.follow(plan(1, NEW), ENCODERS)
    told: dict[str, ItemVector | None] = {}
    for one in history:
        told.update(lineup.fill([one]))
    [(key, vector)] = [(key, vector) for key, vector in told.items() if vector is not None]
    assert (key, vector.ts) == (f"a{{{NEW.digest}}}", T0 + 1)
    assert f"gone{{{NEW.digest}}}" in told
