"""A replica that follows a plan: both models whole beside each other, and which one answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streamrec.events import ItemVector, slot_key
from streamrec.index import ExactIndex, Generations, VectorReplica
from tests.unit.index.test_replica import Names, found, vector, vectors

SLOTS = {"aa": "", "bb": "bb"}
Message = tuple[str, ItemVector | None]


def replica(*, held: bool = False, max_missing: float = 0.0) -> tuple[VectorReplica, Generations]:
    index = Generations(ExactIndex(4), ExactIndex, "aa")
    fed = VectorReplica(Names().row, index, "aa", max_missing=max_missing)
    fed.held = held
    fed.follow("bb", 4, SLOTS)
    return fed, index


def of(model: str, *names: str, age_ms: int = 0) -> list[Message]:
    return [(slot_key(name, SLOTS[model]), vector(1, 0, 0, 0, model=model, age_ms=age_ms)) for name in names]


def gone(model: str, *names: str) -> list[Message]:
    return [(slot_key(name, SLOTS[model]), None) for name in names]


def test_vectors_of_both_models_stand_beside_each_other_in_any_order_and_the_new_one_takes_over_when_it_covers() -> None:
    fed, index = replica()
    fed.apply(of("aa", "a", "b", "c") + of("bb", "b") + of("aa", "b") + of("bb", "a"))
    assert (fed.model_digest, fed.next_digest, found(index)) == ("aa", "bb", {0, 1, 2})
    assert fed.coverage == pytest.approx(2 / 3)
    assert fed.apply(of("bb", "c")).changed.tolist() == [0, 1, 2]
    assert (fed.model_digest, fed.next_digest) == ("bb", "aa")


def test_the_old_model_is_kept_whole_and_kept_up_so_that_the_way_back_is_at_once() -> None:
    fed, index = replica()
    fed.apply(of("aa", "a", "b") + of("bb", "a", "b"))
    fed.apply(of("bb", "new") + of("aa", "new"))
    assert fed.model_digest == "bb"
    back = fed.follow("aa", 4, SLOTS)
    assert back is not None
    assert (fed.model_digest, fed.next_digest, sorted(back.tolist()), found(index)) == ("aa", "bb", [0, 1, 2], {0, 1, 2})


def test_more_items_do_not_make_up_for_those_that_are_missing() -> None:
    """Without a plan the model of more items takes over: there the topic holds one vector of each item alone."""
    fed, _ = replica()
    fed.apply(of("aa", "a", "b") + of("bb", "b", "c", "d", "e"))
    assert fed.model_digest == "aa"


def test_nobody_takes_over_while_the_topic_is_read_whatever_comes_first() -> None:
    fed, index = replica(held=True)
    fed.apply(of("aa", "a") + of("bb", "a", "b"))
    fed.apply(of("aa", "b", "c"))
    assert (fed.model_digest, found(index)) == ("aa", {0, 1, 2})
    fed.held = False
    assert fed.settle() is None
    assert fed.model_digest == "aa"
    fed.apply(of("bb", "c"))
    assert fed.model_digest == "bb"


def test_a_tombstone_takes_the_vector_of_its_own_slot_alone() -> None:
    fed, index = replica()
    fed.apply(of("aa", "a", "b", "c") + of("bb", "a", "b"))
    fed.apply(gone("bb", "a"))
    assert found(index) == {0, 1, 2}
    assert fed.coverage == pytest.approx(1 / 3)
    fed.apply(gone("aa", "c"))
    assert found(index) == {0, 1}
    fed.apply(of("bb", "a"))
    assert fed.model_digest == "bb"
    fed.apply(gone("aa", "a", "b"))
    assert (fed.model_digest, fed.next_digest, found(index)) == ("bb", None, {0, 1})


def test_nothing_is_kept_of_a_model_whose_vectors_were_taken_back_before_it_was_left() -> None:
    fed, index = replica()
    fed.apply(of("aa", "a", "b") + of("bb", "b"))
    fed.apply(gone("aa", "a", "b") + of("bb", "a"))
    assert (fed.model_digest, fed.next_digest, found(index)) == ("bb", None, {0, 1})


def test_a_late_vector_of_either_model_changes_nothing() -> None:
    fed, index = replica()
    fed.apply([*of("aa", "a"), *of("bb", "a", age_ms=5)])
    assert (fed.model_digest, len(index)) == ("aa", 1)
    assert fed.next_digest is None or fed.coverage == 0.0


def test_a_third_plan_drops_what_is_in_neither_and_refuses_its_vectors() -> None:
    fed, _ = replica()
    fed.apply(of("aa", "a", "b") + of("bb", "a"))
    fed.follow("cc", 4, {"cc": "cc", "aa": ""})
    dropped = fed.next_digest
    assert dropped is None
    assert fed.apply(of("bb", "b")).refused == 1
    fed.apply([("a{cc}", vector(0, 1, 0, 0, model="cc")), ("b{cc}", vector(0, 1, 0, 0, model="cc"))])
    served, kept = fed.model_digest, fed.next_digest
    assert (served, kept) == ("cc", "aa")


def test_strangers_are_models_that_nobody_told_of() -> None:
    fed, _ = replica()
    assert fed.strangers(of("aa", "a") + of("bb", "a") + vectors("m1", "a") + gone("bb", "a")) == {"m1"}


def test_the_new_model_may_have_another_dimension() -> None:
    index = Generations(ExactIndex(4), ExactIndex, "aa")
    fed = VectorReplica(Names().row, index, "aa")
    fed.follow("bb", 2, SLOTS)
    fed.apply(of("aa", "a"))
    fed.apply([("a{bb}", vector(0, 1, model="bb"))])
    assert (index.dim, fed.model_digest) == (2, "bb")
    assert index.vectors([0]).tolist() == [[0, 1]]


def test_both_generations_are_written_and_read_back(tmp_path: Path) -> None:
    fed, index = replica()
    fed.apply(of("aa", "a", "b", "c") + of("bb", "a"))
    index.block([1])
    (tmp_path / "served").mkdir()
    index.save(tmp_path / "served")
    assert index.save_next(tmp_path / "next") == ("bb", 4)
    copy = Generations(ExactIndex(4), ExactIndex)
    copy.replace_empty("aa", 4)
    copy.restore(tmp_path / "served")
    copy.restore_next(tmp_path / "next", "bb", 4)
    assert (copy.model, copy.next_model, copy.coverage()) == ("aa", "bb", index.coverage())
    np.testing.assert_array_equal(copy.vectors(np.arange(3)), index.vectors(np.arange(3)))
    empty = Generations(ExactIndex(4), ExactIndex)
    assert empty.save_next(tmp_path / "none") is None
    assert not (tmp_path / "none").exists()
