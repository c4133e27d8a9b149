"""A replica is its topic, whatever is in it."""

from __future__ import annotations

import numpy as np

from streamrec.events import ItemVector
from streamrec.index import ExactIndex, VectorReplica

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


def replica(model_digest: str | None = None) -> tuple[VectorReplica, ExactIndex]:
    index = ExactIndex(DIM)
    return VectorReplica(Names().row, index, model_digest), index


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


def test_without_a_configured_model_the_first_seen_is_served_and_others_are_refused() -> None:
    fed, index = replica()
    change = fed.apply([("a", vector(1, 0, 0, 0)), ("a", vector(0, 1, 0, 0, model="m2")), ("b", vector(0, 1, 0, 0, model="m2"))])
    assert fed.model_digest == "m1"
    assert change.refused == fed.refused.other_model == 2
    assert index.vectors([0]).tolist() == [[1, 0, 0, 0]]
    assert len(index) == 1


def test_a_configured_model_refuses_the_first_seen_one() -> None:
    fed, index = replica("m2")
    assert fed.apply([("a", vector(1, 0, 0, 0)), ("b", vector(0, 1, 0, 0, model="m2"))]).refused == 1
    assert len(index) == 1


def test_another_dimension_and_numbers_that_are_none_are_refused_and_the_rest_goes_on() -> None:
    fed, index = replica()
    change = fed.apply([("a", vector(1, 0)), ("b", vector(float("nan"), 0, 0, 0)), ("c", vector(0, 0, 0, 1))])
    assert (fed.refused.other_dim, fed.refused.not_finite, change.refused, len(index)) == (1, 1, 2, 1)


def test_an_empty_batch_is_fine() -> None:
    fed, _ = replica()
    change = fed.apply([])
    assert len(change.changed) == len(change.removed) == change.refused == 0
