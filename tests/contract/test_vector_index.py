"""What every vector index keeps, held against a plain dictionary of vectors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from streamrec.errors import VectorIndexError
from streamrec.index import VectorIndex
from tests.contract.vector_indexes import DIM, STORED, World, check, clustered, fill, generations, precision


@pytest.fixture(params=[*STORED, generations], ids=lambda build: build.__name__)
def index(request: pytest.FixtureRequest) -> VectorIndex:
    build: Callable[[], VectorIndex] = request.param
    return build()


def test_an_empty_index_answers_with_padding(index: VectorIndex) -> None:
    check(index, World())
    check(index, World(), mask=np.ones(5, np.bool_))
    assert len(index) == 0
    assert 0 not in index


@pytest.mark.parametrize("n", [1, 7, 600, 3000])
def test_finds_the_nearest_at_any_size_even_where_k_is_more_than_there_are(index: VectorIndex, n: int) -> None:
    world = World()
    fill(index, world, range(n), seed=1)
    check(index, world)
    check(index, world, k=64)
    assert len(index) == n


def test_grows_in_steps_without_losing_anything(index: VectorIndex) -> None:
    world = World()
    for start in range(0, 3000, 300):
        fill(index, world, range(start, start + 300), seed=start)
        check(index, world)
    truth = np.array([world.vectors[x] for x in range(3000)])
    np.testing.assert_allclose(index.vectors(np.arange(3000)), truth, atol=2 * precision(index))


def test_removed_labels_are_gone_and_can_come_back(index: VectorIndex) -> None:
    world = World()
    fill(index, world, range(2000), seed=1)
    gone = np.arange(0, 2000, 3)
    index.remove(np.append(gone, [9000, 9001]))
    for label in gone.tolist():
        del world.vectors[label]
    check(index, world)
    assert len(index) == len(world.vectors)
    assert 3 not in index
    assert not index.vectors([3]).any()
    fill(index, world, range(1000), seed=5)
    check(index, world)
    assert 3 in index


def test_all_but_a_few_removed_still_answers_with_these(index: VectorIndex) -> None:
    world = World()
    fill(index, world, range(2000), seed=1)
    index.remove(np.arange(3, 2000))
    world.vectors = {label: world.vectors[label] for label in range(3)}
    check(index, world)


def test_an_update_replaces_the_old_vector(index: VectorIndex) -> None:
    world = World()
    fill(index, world, range(2000), seed=1)
    for seed in range(2, 5):
        fill(index, world, range(500, 1500), seed=seed)
        check(index, world)
    assert len(index) == 2000


def test_the_same_vectors_again_change_nothing(index: VectorIndex) -> None:
    world = World()
    fill(index, world, range(1000), seed=1)
    before = index.search(clustered(5, 3), 20)
    fill(index, world, range(1000), seed=1)
    after = index.search(clustered(5, 3), 20)
    np.testing.assert_array_equal(before[0], after[0])


def test_of_a_repeated_label_the_last_vector_counts(index: VectorIndex) -> None:
    vectors = clustered(3, 1)
    index.upsert([4, 4, 5], vectors)
    np.testing.assert_array_equal(index.vectors([4, 5, 6]), [vectors[1], vectors[2], np.zeros(DIM)])


def test_blocked_labels_stay_out_until_unblocked(index: VectorIndex) -> None:
    world = World()
    fill(index, world, range(2000), seed=1)
    half = np.arange(0, 2000, 2)
    index.block(half)
    index.block(half)
    world.blocked = set(half.tolist())
    check(index, world)
    assert len(index) == 2000
    assert 0 in index
    index.unblock(half)
    index.unblock(np.append(half, 9999))
    world.blocked = set()
    check(index, world)


def test_everything_blocked_answers_with_padding(index: VectorIndex) -> None:
    world = World()
    fill(index, world, range(1500), seed=1)
    index.block(np.arange(1500))
    world.blocked = set(range(1500))
    check(index, world)


def test_a_block_outlives_an_update_and_comes_before_the_vector_too(index: VectorIndex) -> None:
    world = World()
    index.block([1500, 1501])
    fill(index, world, range(2000), seed=1)
    index.block([7])
    world.blocked = {7, 1500, 1501}
    fill(index, world, range(10), seed=2)
    check(index, world)
    assert 7 not in index.search(world.vectors[7], 20)[0]
    index.unblock([7, 1500])
    world.blocked = {1501}
    for label in (7, 1500):
        assert label in index.search(world.vectors[label], 5)[0]
    check(index, world)


def test_a_block_outlives_removal(index: VectorIndex) -> None:
    world = World()
    fill(index, world, range(1000), seed=1)
    index.block([5])
    index.remove([5])
    index.unblock([6])
    fill(index, world, range(5, 6), seed=3)
    world.blocked = {5}
    check(index, world)
    index.unblock([5])
    assert 5 in index.search(world.vectors[5], 3)[0]


@pytest.mark.parametrize("share", [0.9, 0.5, 0.1, 0.01, 0.0])
def test_a_mask_of_any_selectivity_is_obeyed(index: VectorIndex, share: float) -> None:
    world = World()
    fill(index, world, range(4000), seed=1)
    mask = np.random.default_rng(4).random(4000) < share
    check(index, world, mask=mask)
    check(index, world, k=50, mask=mask)


def test_a_mask_that_forbids_the_whole_neighbourhood_of_a_query_still_gives_k(index: VectorIndex) -> None:
    world = World()
    fill(index, world, range(4000), seed=1)
    query = clustered(1, seed=8)
    mask = np.ones(4000, np.bool_)
    mask[index.search(query, 900)[0]] = False
    labels, scores = index.search(query, 10, mask)
    np.testing.assert_allclose(scores[0], world.best(query[0], 10, mask), atol=0.02 + precision(index))
    assert mask[labels].all()


def test_labels_beyond_a_short_mask_are_not_allowed_and_a_long_one_does_no_harm(index: VectorIndex) -> None:
    world = World()
    fill(index, world, range(2000), seed=1)
    check(index, world, mask=np.ones(700, np.bool_))
    check(index, world, mask=np.ones(7000, np.bool_))


@pytest.mark.parametrize("twins", [3, 50, 400])
def test_items_with_the_same_vector_are_all_found_and_hide_nobody(index: VectorIndex, twins: int) -> None:
    """Sizes and colours of one product share their text; plain HNSW loses the rest of the catalogue behind 400 of them."""
    world = World()
    vectors = np.repeat(clustered(2400 // twins, seed=1), twins, axis=0)[
        np.random.default_rng(2).permutation(2400 // twins * twins)
    ]
    index.upsert(np.arange(len(vectors)), vectors)
    world.vectors = dict(enumerate(vectors))
    check(index, world, k=20)
    index.block(np.arange(0, 2000, 2))
    world.blocked = set(range(0, 2000, 2))
    check(index, world, k=20)
    index.remove(np.arange(1, 1000, 2))
    for label in range(1, 1000, 2):
        del world.vectors[label]
    check(index, world, k=20)
    index.unblock(np.arange(2000))
    world.blocked = set()
    check(index, world, k=20)
    same = np.flatnonzero((vectors == vectors[2000]).all(axis=1))
    index.block(same)
    index.upsert([5000, 5001], vectors[[2000, 2000]])
    assert index.search(vectors[2000], 2)[0].tolist() == [[5000, 5001]]


def test_any_mixture_of_changes_leaves_the_truth(index: VectorIndex) -> None:
    """Blocks, removals and vectors that are few and therefore shared, in random order, against the dictionary."""
    rng, world, palette = np.random.default_rng(11), World(), clustered(300, seed=1)
    for step in range(300):
        labels = rng.integers(0, 1500, rng.integers(1, 40))
        action = rng.integers(0, 5)
        if action <= 1:
            vectors = palette[rng.integers(0, 300, len(labels))]
            index.upsert(labels, vectors)
            world.vectors.update(zip(labels.tolist(), vectors, strict=True))
        elif action == 2:
            index.remove(labels)
            for label in labels.tolist():
                world.vectors.pop(label, None)
        elif action == 3:
            index.block(labels)
            world.blocked.update(labels.tolist())
        else:
            index.unblock(labels)
            world.blocked.difference_update(labels.tolist())
        if step % 25 == 0:
            check(index, world)
    check(index, world)
    assert len(index) == len(world.vectors)


def test_a_batch_of_queries_answers_as_each_alone(index: VectorIndex) -> None:
    world = World()
    fill(index, world, range(2000), seed=1)
    queries = clustered(20, seed=3)
    together = index.search(queries, 10)
    for i, query in enumerate(queries):
        alone = index.search(query, 10)
        np.testing.assert_array_equal(alone[0][0], together[0][i])
        np.testing.assert_allclose(alone[1][0], together[1][i], atol=1e-5)


def test_refuses_what_does_not_fit_and_says_what_to_do(index: VectorIndex) -> None:
    index.upsert([1], clustered(1, 1))
    with pytest.raises(VectorIndexError, match="use one model"):
        index.upsert([1], np.ones((1, DIM + 1)))
    with pytest.raises(VectorIndexError, match="use one model"):
        index.search(np.ones((1, DIM - 1)), 3)
    with pytest.raises(VectorIndexError, match="one vector per label"):
        index.upsert([1, 2], np.ones((1, DIM)))
    with pytest.raises(VectorIndexError, match="check the encoder"):
        index.upsert([1], np.full((1, DIM), np.nan))
    with pytest.raises(VectorIndexError, match=r"raise index\.max_items"):
        index.upsert([10_000], clustered(1, 1))
    with pytest.raises(VectorIndexError, match=r"raise index\.max_items"):
        index.block([-1])
    with pytest.raises(VectorIndexError, match="at least one"):
        index.search(np.ones((1, DIM)), 0)
    assert len(index) == 1


def test_nothing_to_do_is_fine(index: VectorIndex) -> None:
    index.upsert([], np.empty((0, DIM), np.float32))
    index.remove([])
    index.block([])
    index.unblock([])
    assert index.search(np.empty((0, DIM), np.float32), 3)[0].shape == (0, 3)
    assert index.vectors([]).shape == (0, DIM)


def test_the_version_tells_every_change_of_a_vector_and_no_block(index: VectorIndex) -> None:
    labels = np.arange(5)
    steps: list[Callable[[], None]] = [
        lambda: index.upsert(labels, clustered(5, 1)),
        lambda: index.upsert([2], clustered(1, 9)),
        lambda: index.remove([4]),
    ]
    for step in steps:
        before = index.version
        step()
        assert index.version > before
    before = index.version
    index.block([1, 4000])
    index.unblock([3, 5, 1])
    index.remove([4])
    index.upsert([2], clustered(1, 9))
    index.search(clustered(2, 3), 2)
    index.vectors(labels)
    index.similarity(labels, clustered(2, 3))
    assert index.version == before


def test_a_search_that_includes_the_blocked_answers_as_if_nothing_were_blocked(index: VectorIndex) -> None:
    world = World()
    fill(index, world, range(2000), seed=1)
    queries = clustered(6, seed=99)
    before = index.search(queries, 10)
    index.block(np.arange(0, 2000, 3))
    np.testing.assert_array_equal(index.search(queries, 10, blocked=True)[0], before[0])
    mask = np.arange(2000) % 2 == 0
    labels = index.search(queries, 10, mask, blocked=True)[0]
    assert mask[labels].all()
    assert (labels % 3 == 0).any()


def test_shown_tells_which_labels_an_answer_may_hold(index: VectorIndex) -> None:
    index.upsert([1, 2, 3], clustered(3, 1))
    index.block([2, 5])
    index.remove([3])
    assert index.shown([0, 1, 2, 3, 5, 9999]).tolist() == [False, True, False, False, False, False]
    index.unblock([2, 5])
    assert index.shown([1, 2, 5]).tolist() == [True, True, False]
    assert index.shown([]).shape == (0,)


def test_similarity_gives_the_scores_of_a_search_and_zeros_for_the_unknown(index: VectorIndex) -> None:
    world = World()
    fill(index, world, range(1500), seed=1)
    queries = clustered(3, seed=5)
    labels, scores = index.search(queries, 8)
    for i in range(3):
        found = index.similarity(labels[i], queries)
        assert found.shape == (8, 3)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found[:, i], scores[i], atol=1e-5)
        np.testing.assert_allclose(found, index.vectors(labels[i]) @ queries.T, atol=1e-5)
    assert not index.similarity([1600, 9999], queries).any()


def test_bytes_grow_with_the_vectors_and_not_with_room_for_more(index: VectorIndex) -> None:
    fill(index, World(), range(2000), seed=1)
    before = index.nbytes
    fill(index, World(), range(2000, 4000), seed=2)
    assert before > 2000 * DIM
    if not index.compact:
        assert 1.5 * before < index.nbytes
