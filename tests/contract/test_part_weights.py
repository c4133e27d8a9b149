"""The laws of WeightStore, on every implementation: both bound what anybody learns, and both give the same numbers."""

from __future__ import annotations

import math

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamrec.config import LearningSettings
from streamrec.lists import keys
from streamrec.lists.functions import ensure_functions
from streamrec.lists.part_weights import Bounds, MemoryWeightStore, Moves, PartWeights, RedisWeightStore, WeightStore

T0 = 1_700_000_000_000
HOUR = 3_600_000
BOUNDS = Bounds.of(LearningSettings())
NAME = "home:x"


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest) -> WeightStore:
    if request.param == "memory":
        return MemoryWeightStore(BOUNDS)
    client = request.getfixturevalue("redis_client")
    ensure_functions(client)
    return RedisWeightStore(client, BOUNDS)


def move(store: WeightStore, log: float, at: int, part: str = "together", known: PartWeights | None = None) -> float:
    return store.share({NAME: known}, {NAME: Moves(T0 + at, {part: log})})[NAME].logs[part]


def test_nothing_stands_at_first_and_asking_changes_nothing(store: WeightStore) -> None:
    assert store.share({NAME: None, "cart:x": None}, {}) == {}
    move(store, 0.01, 0)
    first = store.share({NAME: None}, {})
    assert store.share({NAME: None}, {}) == first
    assert first[NAME].logs == pytest.approx({"together": 0.01})


def test_moves_of_several_recommenders_add_up(store: WeightStore) -> None:
    move(store, 0.01, 0)
    move(store, -0.03, 5, "trending")
    assert move(store, 0.02, 7) == pytest.approx(0.03, rel=1e-6)
    assert store.share({NAME: None}, {})[NAME].logs["trending"] == pytest.approx(-0.03, rel=1e-6)


def test_whatever_is_asked_for_a_weight_moves_by_the_drift_in_an_hour_and_never_beyond_the_most(store: WeightStore) -> None:
    for n in range(50):
        assert move(store, 1.0, n) <= BOUNDS.drift + 1e-12
    assert move(store, -1.0, 60) >= -BOUNDS.drift - 1e-12
    for hour in range(1, 30):
        last = move(store, 1.0, hour * HOUR)
    assert last == pytest.approx(math.log(3.0))


def test_what_was_learnt_fades_without_clicks(store: WeightStore) -> None:
    move(store, 0.08, 0)
    assert move(store, 0.0, int(BOUNDS.half_life_ms)) == pytest.approx(0.04, rel=1e-6)


def test_a_late_click_counts_as_of_now(store: WeightStore) -> None:
    move(store, 0.05, 5 * HOUR)
    assert move(store, 0.02, 0) == pytest.approx(0.07)
    assert store.share({NAME: None}, {})[NAME].ts == T0 + 5 * HOUR


def test_what_the_store_lost_goes_on_from_what_a_recommender_knows(store: WeightStore) -> None:
    known = PartWeights(ts=T0, window=T0 // HOUR, logs={"again": 0.7}, since={"again": 0.65})
    assert store.share({NAME: known}, {}) == {NAME: known}
    assert store.share({NAME: None}, {}) == {NAME: known}
    assert move(store, 0.2, 1, "again", PartWeights(ts=T0, window=0, logs={"again": -1.0})) == pytest.approx(0.75)


moves = st.lists(
    st.tuples(
        st.sampled_from(["together", "trending", "again"]),
        st.floats(-0.3, 0.3, allow_nan=False),
        st.integers(0, 40 * HOUR),
    ),
    max_size=12,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(told=moves)
def test_redis_gives_the_numbers_that_memory_gives(redis_client: redis.Redis, told: list[tuple[str, float, int]]) -> None:
    ensure_functions(redis_client)
    redis_client.delete(keys.weights(NAME))
    memory, stored = MemoryWeightStore(BOUNDS), RedisWeightStore(redis_client, BOUNDS)
    for part, log, at in told:
        answers = [one.share({NAME: None}, {NAME: Moves(T0 + at, {part: log})})[NAME] for one in (memory, stored)]
        assert answers[1].logs == pytest.approx(answers[0].logs, rel=1e-9, abs=1e-12)
        assert answers[1].since == pytest.approx(answers[0].since, rel=1e-9, abs=1e-12)
        assert (answers[1].ts, answers[1].window) == (answers[0].ts, answers[0].window)


def test_a_value_that_cannot_be_read_is_written_anew(redis_client: redis.Redis) -> None:
    ensure_functions(redis_client)
    redis_client.set(keys.weights(NAME), "not json")
    store = RedisWeightStore(redis_client, BOUNDS)
    assert store.share({NAME: None}, {}) == {}
    assert move(store, 0.05, 0) == pytest.approx(0.05)
    assert 0 < redis_client.ttl(keys.weights(NAME)) <= keys.WEIGHTS_TTL_S
