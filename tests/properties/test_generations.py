"""A new model rolls through: whatever comes in which order, each answer is of one model."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamrec.embedding.vectors import pack_vectors
from streamrec.events import ItemVector, slot_key
from streamrec.index import ExactIndex, Generations, HnswIndex, VectorIndex, VectorReplica

T0 = 1_767_225_600_000
DIMS = {"m1": 4, "m2": 6}
NAMES = "abcdefgh"
ROWS = {name: row for row, name in enumerate(NAMES)}
MODELS = st.sampled_from(sorted(DIMS))
ITEMS = st.sampled_from(NAMES)
#: ("vector", model, item, version), ("remove", item), ("block", item), ("unblock", item)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("vector"), MODELS, ITEMS, st.integers(0, 3)),
        st.tuples(st.sampled_from(["remove", "block", "unblock"]), ITEMS),
    ),
    max_size=40,
)


def exact(dim: int) -> VectorIndex:
    return ExactIndex(dim)


def hnsw(dim: int) -> VectorIndex:
    return HnswIndex(dim, max_items=100, threads=1)


def made(model: str, item: str, version: int) -> ItemVector:
    """Return an item's vector, which no other item, version or model has."""
    dim = DIMS[model]
    drawn = np.random.default_rng([ord(item), version, dim]).standard_normal((1, dim)).astype(np.float32)
    [packed] = pack_vectors(drawn / np.linalg.norm(drawn))
    return ItemVector(content_digest="c", model_digest=model, dim=dim, vector=packed, ts=T0)


def numbers(vector: ItemVector) -> list[float]:
    return [float(number) for number in np.frombuffer(vector.vector, "<f2")]


class Roll:
    """A replica under test, and what it was told."""

    def __init__(self, make: Callable[[int], VectorIndex], target: str | None) -> None:
        self.index = Generations(make(DIMS[target or "m1"]), make)
        self.replica = VectorReplica(ROWS.__getitem__, self.index, target)
        #: Per model, what it ever said of an item since the item was removed.
        self.told: dict[str, dict[str, list[ItemVector]]] = {model: {} for model in DIMS}
        self.latest: dict[str, str] = {}
        self.blocked: set[str] = set()

    def take(self, step: tuple[object, ...]) -> None:
        if step[0] == "vector":
            _, model, item, version = step
            vector = made(str(model), str(item), int(str(version)))
            self.told[str(model)].setdefault(str(item), []).append(vector)
            self.latest[str(item)] = str(model)
            self.replica.apply([(str(item), vector)])
            return
        item = str(step[1])
        if step[0] == "remove":
            self.replica.apply([(item, None)])
            self.latest.pop(item, None)
            for said in self.told.values():
                said.pop(item, None)
        elif step[0] == "block":
            self.index.block([ROWS[item]])
            self.blocked.add(item)
        else:
            self.index.unblock([ROWS[item]])
            self.blocked.discard(item)

    def check(self) -> None:
        """Hold what is found against what the served model said."""
        model, dim = self.replica.model_digest, self.index.dim
        query = np.ones((1, dim), np.float32) / np.sqrt(np.float32(dim))
        labels, scores = self.index.search(query, len(NAMES))
        found = {NAMES[label]: score for label, score in zip(labels[0].tolist(), scores[0].tolist(), strict=True) if label >= 0}
        assert not found.keys() & self.blocked
        if not self.latest:
            assert not found
            return
        assert model is not None
        assert dim == DIMS[model]
        # Every vector in an answer is one that this model made of this item, and the newest.
        for item, score in found.items():
            newest = numbers(self.told[model][item][-1])
            assert self.index.vectors([ROWS[item]])[0].tolist() == newest
            assert score == pytest.approx(float(np.dot(query[0], newest)), abs=1e-3)
        # No item is missing whose latest vector is of the model that is served.
        assert {item for item, of in self.latest.items() if of == model} - self.blocked <= found.keys()


@settings(max_examples=80, deadline=None)
@given(STEPS, st.sampled_from(["m1", "m2", None]), st.sampled_from([exact, hnsw]))
def test_under_any_mixture_of_old_and_new_vectors_removals_and_blocks_an_answer_is_of_one_model(
    steps: list[tuple[object, ...]], target: str | None, make: Callable[[int], VectorIndex]
) -> None:
    roll = Roll(make, target)
    # Without a target the first vector must fit the index; with one it need not.
    if target is None:
        roll.take(("vector", "m1", "a", 0))
    version = roll.index.version
    for step in steps:
        before = roll.replica.model_digest
        roll.take(step)
        roll.check()
        assert roll.index.version >= version + (roll.replica.model_digest != before)
        version = roll.index.version


@settings(max_examples=60, deadline=None)
@given(STEPS, st.permutations(NAMES), st.sampled_from(["m1", "m2"]))
def test_whatever_was_before_a_model_that_comes_for_every_item_is_served_in_the_end(
    steps: list[tuple[object, ...]], order: list[str], target: str
) -> None:
    roll = Roll(exact, target)
    for step in steps:
        roll.take(step)
    for item in order:
        roll.take(("vector", target, item, 0))
        roll.check()
    assert roll.replica.model_digest == target
    assert roll.replica.next_digest is None
    assert len(roll.index) == len(NAMES)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(ITEMS, st.none() | st.tuples(MODELS, st.integers(0, 3))), max_size=30), st.data())
def test_the_same_messages_in_batches_of_any_size_end_in_the_same_index_for_one_model(
    told: list[tuple[str, tuple[str, int] | None]], data: st.DataObject
) -> None:
    """And a topic that is read twice gives what it gives once."""
    messages = [(item, made("m1", item, said[1]) if said else None) for item, said in told]
    one, many = Roll(exact, "m1"), Roll(exact, "m1")
    one.replica.apply(messages)
    start = 0
    while start < len(messages):
        size = data.draw(st.integers(1, 8))
        many.replica.apply(messages[start : start + size])
        start += size
    many.replica.apply(messages)
    everything = np.arange(len(NAMES))
    np.testing.assert_array_equal(one.index.vectors(everything), many.index.vectors(everything))
    assert len(one.index) == len(many.index)


@settings(max_examples=60, deadline=None)
@given(st.sets(ITEMS, min_size=1), st.sets(ITEMS), st.randoms(use_true_random=False), st.data())
def test_a_compacted_topic_in_the_middle_of_a_planned_change_gives_the_old_model_whole_in_any_order(
    served: set[str], done: set[str], rng: Random, data: st.DataObject
) -> None:
    """Partitions come in any order, in batches of any size; the new model takes over if it covers the old one, and only then."""
    done &= served
    messages = [(slot_key(item, ""), made("m1", item, 1)) for item in sorted(served)]
    messages += [(slot_key(item, "2"), made("m2", item, 1)) for item in sorted(done)]
    rng.shuffle(messages)
    index = Generations(exact(DIMS["m1"]), exact, "m1")
    fed = VectorReplica(ROWS.__getitem__, index, "m1")
    fed.held = True
    fed.follow("m2", DIMS["m2"], {"m1": "", "m2": "2"})
    while messages:
        size = data.draw(st.integers(1, 8))
        fed.apply(messages[:size])
        del messages[:size]
        assert fed.model_digest == "m1"
    fed.held = False
    fed.settle()
    model = "m2" if done == served else "m1"
    assert fed.model_digest == model
    everything = np.arange(len(NAMES))
    for item in served:
        assert index.vectors(everything)[ROWS[item]].tolist() == numbers(made(model, item, 1))
    assert len(index) == len(served)
