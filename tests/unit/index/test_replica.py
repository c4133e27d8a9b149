"""A replica is its topic, whatever is in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from streamrec.events import ItemVector
from streamrec.index import ExactIndex, Generations, VectorReplica

DIM = 4


class Names:
    """Rows in order of first sight, as the item table gives them."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}

    def row(self, item_id: str) -> int:
        return self.rows.setdefault(item_id, len(self.rows))


def vector(*numbers: float, model: str = "m1", age_ms: int = 0) -> ItemVector:
    data = np.array(numbers, "<f2").tobytes()
    return ItemVector(content_digest="c", model_digest=model, dim=len(numbers), vector=data, ts=1_767_225_600_000 - age_ms)


def replica(target: str | None = None, **options: Any) -> tuple[VectorReplica, Generations]:
    index = Generations(ExactIndex(DIM), ExactIndex)
    return VectorReplica(Names().row, index, target, **options), index


def vectors(model: str, *item_ids: str) -> list[tuple[str, ItemVector | None]]:
    """Return a vector of each item, of the right dimension for all but the model m3."""
    numbers = (1.0, 0.0) if model == "m3" else (1.0, 0.0, 0.0, 0.0)
    return [(item_id, vector(*numbers, model=model)) for item_id in item_ids]


def found(index: Generations) -> set[int]:
    query = np.eye(1, index.dim, dtype=np.float32)
    return {label for label in index.search(query, 20)[0].ravel().tolist() if label >= 0}


def test_applies_in_order_and_the_last_message_of_an_item_wins() -> None:
    fed, index = replica()
    change = fed.apply([("a", vector(1, 0, 0, 0)), ("b", vector(0, 1, 0, 0)), ("a", vector(0, 0, 1, 0)), ("b", None)])
    assert change.changed.tolist() == [0]
    assert change.removed.tolist() == [1]
    assert index.vectors([0, 1]).tolist() == [[0, 0, 1, 0], [0, 0, 0, 0]]
    change = fed.apply([("a", None), ("a", vector(0.5, 0, 0, 0))])
    assert change.changed.tolist() == [0]
    assert change.removed.tolist() == []
    assert 0 in index


def test_a_late_vector_of_an_older_text_changes_nothing_unless_the_item_was_removed() -> None:
    """An embedder that was frozen, or that took over and does not know the newer text, sends such a one."""
    fed, index = replica()
    newer, older = vector(1, 0, 0, 0), vector(0, 1, 0, 0, age_ms=1)
    assert fed.apply([("b", newer), ("a", newer), ("a", older)]).changed.tolist() == [0, 1]
    assert fed.apply([("a", older)]).changed.tolist() == []
    assert index.vectors([1]).tolist() == [[1, 0, 0, 0]]
    fed.apply([("a", None), ("a", older)])
    assert index.vectors([1]).tolist() == [[0, 1, 0, 0]]
    fed.apply([("b", None)])
    assert fed.apply([("b", older)]).changed.tolist() == [0]


def test_the_same_topic_twice_gives_the_same_index() -> None:
    messages = [("a", vector(1, 0, 0, 0)), ("b", None), ("c", vector(0, 0.25, 0, 0)), ("a", vector(0, 0, 0, 1))]
    once, index = replica()
    once.apply(messages)
    before = index.vectors([0, 1, 2]).tolist()
    once.apply(messages)
    assert index.vectors([0, 1, 2]).tolist() == before
    assert len(index) == 2


@pytest.mark.parametrize("target", ["m2", None])
def test_a_new_model_is_collected_until_it_has_all_and_takes_over_at_once(target: str | None) -> None:
    fed, index = replica(target)
    fed.apply(vectors("m1", "a", "b", "c"))
    assert (fed.model_digest, fed.coverage) == ("m1", 0.0)
    change = fed.apply(vectors("m2", "a", "b"))
    assert (change.changed.tolist(), change.waiting.tolist()) == ([], [0, 1])
    assert (fed.model_digest, fed.next_digest, found(index)) == ("m1", "m2", {0, 1, 2})
    assert fed.coverage == pytest.approx(2 / 3)
    version = index.version
    change = fed.apply(vectors("m2", "c"))
    assert change.changed.tolist() == [0, 1, 2]
    assert index.version > version
    assert (fed.model_digest, fed.next_digest, found(index), fed.coverage) == ("m2", None, {0, 1, 2}, 0.0)


def test_the_dimension_may_change_and_a_model_has_one_dimension_only() -> None:
    fed, index = replica("m3")
    fed._target_dim = 2
    fed.apply(vectors("m1", "a", "b"))
    fed.apply(vectors("m3", "a"))
    assert index.dim == 4
    assert fed.apply([("b", vector(1, 0, 0, 0, model="m3"))]).refused == fed.refused.other_dim == 1
    fed.apply(vectors("m3", "b"))
    assert (index.dim, index.vectors([0, 1, 2]).tolist()) == (2, [[1, 0], [1, 0], [0, 0]])


def test_a_small_share_may_be_missing_and_is_found_again_when_its_vectors_come() -> None:
    fed, index = replica("m2", max_missing=0.25)
    fed.apply(vectors("m1", "a", "b", "c", "d"))
    fed.apply(vectors("m2", "a", "b"))
    assert fed.model_digest == "m1"
    fed.apply(vectors("m2", "c"))
    assert (fed.model_digest, found(index)) == ("m2", {0, 1, 2})
    fed.apply(vectors("m2", "d"))
    assert found(index) == {0, 1, 2, 3}


def test_items_that_the_catalogue_removed_need_no_new_vector() -> None:
    fed, _ = replica("m2", gone=lambda: np.array([False, True, False]))
    fed.apply(vectors("m1", "a", "b", "c"))
    fed.apply(vectors("m2", "a", "c"))
    assert fed.model_digest == "m2"


def test_a_roll_that_is_called_off_leaves_nothing_and_can_begin_again() -> None:
    fed, index = replica("m2")
    fed.apply(vectors("m1", "a", "b", "c", "d"))
    fed.apply(vectors("m2", "a", "b"))
    fed.apply(vectors("m1", "a"))
    assert (fed.next_digest, fed.coverage) == ("m2", 0.25)
    fed.apply(vectors("m1", "b"))
    assert (fed.model_digest, found(index)) == ("m1", {0, 1, 2, 3})
    assert len(index._both()) == 1
    fed.apply(vectors("m2", "a", "b", "c", "d"))
    assert fed.model_digest == "m2"


def test_the_old_model_comes_back_the_way_the_new_one_came() -> None:
    fed, index = replica(None)
    for model in ("m1", "m2", "m1"):
        fed.apply(vectors(model, "a", "b"))
        fed.apply(vectors(model, "c"))
        assert (fed.model_digest, found(index)) == (model, {0, 1, 2})


def test_a_start_in_the_middle_of_a_roll_serves_the_model_of_more_items_until_the_other_has_more() -> None:
    """The compacted topic holds each item's latest vector only, so the two models have no item in common."""
    fed, index = replica("m2")
    fed.apply(vectors("m2", "a") + vectors("m1", "b", "c") + vectors("m2", "d") + vectors("m1", "e"))
    assert (fed.model_digest, found(index)) == ("m1", {1, 2, 4})
    fed.apply(vectors("m2", "b"))
    assert (fed.model_digest, found(index)) == ("m2", {0, 3, 1})
    assert fed.next_digest == "m1"
    fed.apply(vectors("m2", "c", "e"))
    assert (fed.model_digest, found(index)) == ("m2", {0, 1, 2, 3, 4})
    assert len(index._both()) == 1


def test_our_encoders_model_is_not_given_up_for_a_few_new_items_of_another() -> None:
    """Where the embedder went ahead of this worker, text queries go on, and the other model waits until it is needed."""
    fed, index = replica("m1")
    fed.apply(vectors("m1", *(f"i{n}" for n in range(20))))
    fed.apply(vectors("m2", *(f"i{n}" for n in range(20)), "new"))
    assert (fed.model_digest, fed.next_digest, fed.coverage) == ("m1", "m2", 1.0)
    fed.apply(vectors("m2", "new2", "new3"))
    assert (fed.model_digest, len(index)) == ("m2", 23)


def test_a_third_model_is_refused_unless_it_is_our_encoders() -> None:
    fed, _ = replica("m3")
    fed._target_dim = 2
    fed.apply(vectors("m1", "a", "b", "c"))
    fed.apply(vectors("m2", "a"))
    assert fed.apply(vectors("m4", "a")).refused == fed.refused.other_model == 1
    assert fed.next_digest == "m2"
    fed.apply(vectors("m3", "a"))
    assert (fed.model_digest, fed.next_digest) == ("m1", "m3")


def test_a_removal_reaches_both_models_and_a_block_holds_through_the_change() -> None:
    fed, index = replica("m2")
    index.block([2])
    fed.apply(vectors("m1", "a", "b", "c", "d"))
    fed.apply(vectors("m2", "a", "b"))
    index.block([0])
    fed.apply([("b", None)])
    assert found(index) == {3}
    fed.apply(vectors("m2", "c", "d"))
    assert (fed.model_digest, found(index), len(index)) == ("m2", {3}, 3)
    index.unblock([0, 2])
    assert found(index) == {0, 2, 3}


def test_an_index_that_was_filled_elsewhere_is_served_and_covered_as_any_other() -> None:
    fed, index = replica("m2")
    index.block([1])
    filled = ExactIndex(DIM)
    filled.upsert([0, 1, 2], np.eye(3, DIM, dtype=np.float32))
    before = index.version
    index.answer_from(filled, "m1")
    assert index.version > before
    assert (fed.model_digest, found(index)) == ("m1", {0, 2})
    fed.apply(vectors("m2", "a", "b"))
    assert fed.model_digest == "m1"
    fed.apply(vectors("m2", "c"))
    assert fed.model_digest == "m2"


def test_a_row_that_the_item_table_has_no_room_for_is_left_out() -> None:
    index = Generations(ExactIndex(DIM), ExactIndex)
    fed = VectorReplica(lambda item_id: 0 if item_id == "a" else -1, index)
    assert fed.apply(vectors("m1", "a", "full")).changed.tolist() == [0]


def test_another_dimension_and_numbers_that_are_none_are_refused_and_the_rest_goes_on() -> None:
    fed, index = replica()
    change = fed.apply([("a", vector(1, 0)), ("b", vector(float("nan"), 0, 0, 0)), ("c", vector(0, 0, 0, 1))])
    assert (fed.refused.other_dim, fed.refused.not_finite, change.refused, len(index)) == (1, 1, 2, 1)


def test_an_empty_batch_is_fine() -> None:
    fed, _ = replica()
    change = fed.apply([])
    assert len(change.changed) == len(change.removed) == change.refused == 0
