"""A snapshot of something else is refused, with what it is of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from msgspec.structs import replace as manifest_with

from streamrec.config import RankingSettings, Settings
from streamrec.errors import SnapshotError
from streamrec.events.topics import CATALOG, STOCK
from streamrec.snapshot.manifest import TopicNote
from streamrec.snapshot.origin import made_with
from tests.unit.recommender.rooms import T0, settings
from tests.unit.snapshot.parts import OFFSETS, ORIGIN

HOUR = 3_600_000
MANIFEST = ORIGIN.manifest(T0, OFFSETS)


def test_what_is_of_this_state_passes_as_long_as_it_is_young_enough() -> None:
    ORIGIN.check(MANIFEST, T0, 20 * HOUR)
    ORIGIN.check(MANIFEST, T0 + 20 * HOUR, 20 * HOUR)


def test_partitions_that_are_new_and_those_of_which_nothing_was_applied_do_not_matter() -> None:
    grown = replace(ORIGIN, bounds={**ORIGIN.bounds, (CATALOG, 2): (0, 4)})
    grown.check(ORIGIN.manifest(T0, {(STOCK, 0): 7}), T0, HOUR)


@pytest.mark.parametrize(
    ("kind", "words", "change"),
    [
        ("state", "state has version 99", {"state": 99}),
        ("model", "of the model m2 of dimension 16", {"model_digest": "m2"}),
        ("model", "of dimension 8", {"dim": 8}),
        ("settings", "other settings: index.kind", {"made_with": {**MANIFEST.made_with, "index.kind": "hnsw"}}),
        ("cluster", "cluster c2, this one is c1", {"cluster": "c2"}),
        ("topic", f"{STOCK} was made anew", {"topics": {STOCK: TopicNote("other", {})}}),
        ("topic", "promo was made anew", {"topics": {"promo": TopicNote("t", {})}}),
        ("offsets", "offset 11, and items.catalog.0. runs from 0 to 10", {"topics": {CATALOG: TopicNote("t1", {0: 11})}}),
        ("offsets", "offset 4, and items.catalog.1. runs from 5 to 20", {"topics": {CATALOG: TopicNote("t1", {1: 4})}}),
        ("offsets", "items.catalog.9. is not there", {"topics": {CATALOG: TopicNote("t1", {9: 0})}}),
        ("age", "2.0 h old, 1.0 h are allowed", {"made_at": T0 - 2 * HOUR}),
        ("age", "-1.0 h old", {"made_at": T0 + HOUR}),
    ],
)
def test_what_is_of_something_else_is_refused_with_the_reason(kind: str, words: str, change: dict[str, Any]) -> None:
    with pytest.raises(SnapshotError, match=words) as refused:
        ORIGIN.check(manifest_with(MANIFEST, **change), T0, HOUR)
    assert refused.value.kind == kind
    assert "read instead" in str(refused.value)


def test_half_lives_that_numbers_were_computed_with_are_part_of_it() -> None:
    other = made_with(Settings(index=settings().index, ranking=RankingSettings(trending_half_life_s=1.0)))
    with pytest.raises(SnapshotError, match="other settings: ranking"):
        replace(ORIGIN, made_with=other).check(MANIFEST, T0, HOUR)
