"""Search and alternatives under rules: right at any selectivity."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from streamrec.catalogue import Filter
from streamrec.catalogue.filters import ANY
from streamrec.config import RankingSettings
from streamrec.errors import ModelError, VectorIndexError
from streamrec.events import Click, Price, Search
from streamrec.events.topics import PRICE
from streamrec.index import ExactIndex, HnswIndex
from streamrec.ranking import Ranker
from tests.unit.ranking.worlds import NOW, T0, World, direction, visitor

DIM = 16
N = 8000
#: Shares of the items that pass a filter.
SELECTIVE = (0.5, 0.05, 0.005, 0.0005)


def some(*names: str) -> frozenset[str]:
    return frozenset(names)


class Large(World):
    """Many items in clusters, searched by HNSW; the exact index beside it is the oracle."""

    def __init__(self) -> None:
        super().__init__(dim=DIM)
        self.index = HnswIndex(DIM, max_items=N + 10, threads=1)  # type: ignore[assignment]
        self.oracle = ExactIndex(DIM)
        self.ranker = Ranker(self.items, self.index, self.neighbours, self.campaigns, self.settings)
        rng = np.random.default_rng(3)
        centres = rng.standard_normal((60, DIM))
        vectors = centres[rng.integers(0, 60, N)] + 0.5 * rng.standard_normal((N, DIM))
        self.vectors: NDArray[np.float32] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        # Each rule is drawn by itself, so that a filter's items lie everywhere.
        drawn = {share: set(rng.permutation(N)[: round(share * N)].tolist()) for share in SELECTIVE}
        for number in range(N):
            passes = [share for share in SELECTIVE if number in drawn[share]]
            facts = {"category": "half" if 0.5 in passes else "", "brand": "twentieth" if 0.05 in passes else ""}
            seller = {"attributes": {"seller": "few"}} if 0.005 in passes else {}
            self.item(f"i{number}", **facts, **seller, price=1.0 if 0.0005 in passes else 100.0)  # type: ignore[arg-type]
        for index in (self.index, self.oracle):
            index.upsert(np.arange(N), self.vectors)

    def filter(self, share: float) -> tuple[Filter, NDArray[np.bool_]]:
        """Return a filter and the mask that it should be."""
        return {
            0.5: (Filter(categories=some("half")), self.items.category == self.items.categories.find("half")),
            0.05: (Filter(brands=some("twentieth")), self.items.brand == self.items.brands.find("twentieth")),
            0.005: (Filter(sellers=some("few")), self.items.seller == self.items.sellers.find("few")),
            0.0005: (Filter(price_max=2.0), self.items.price <= 2.0),
        }[share]


@pytest.fixture(scope="module")
def large() -> Large:
    return Large()


@pytest.mark.parametrize("share", SELECTIVE)
def test_a_search_finds_the_nearest_of_those_that_pass_whatever_their_share(large: Large, share: float) -> None:
    wanted, mask = large.filter(share)
    assert mask.sum() == round(share * N)
    queries = large.vectors[:: N // 40] + 0.05 * np.random.default_rng(5).standard_normal((40, DIM)).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    hits = total = 0
    for query in queries:
        found = large.ranker.search(query, NOW, 10, wanted)
        assert mask[found.rows].all()
        truth = large.oracle.search(query, 10, mask)[0][0]
        truth = truth[truth >= 0]
        assert len(found) == len(set(found.rows.tolist())) == len(truth) == min(10, mask.sum())
        assert (np.diff(found.scores) <= 0).all()
        np.testing.assert_allclose(found.scores, (large.vectors[found.rows] @ query).clip(min=0), atol=2e-3)
        hits, total = hits + len(set(truth.tolist()) & set(found.rows.tolist())), total + len(truth)
    assert hits >= 0.97 * total


@pytest.mark.parametrize("share", SELECTIVE)
def test_alternatives_are_the_nearest_of_those_that_pass_whatever_their_share(large: Large, share: float) -> None:
    wanted, mask = large.filter(share)
    hits = total = 0
    for row in range(0, N, N // 40):
        [found] = large.ranker.similar([f"i{row}"], NOW, 10, wanted)
        assert mask[found.rows].all()
        assert row not in found.rows
        others = mask.copy()
        others[row] = False
        truth = large.oracle.search(large.vectors[row], 10, others)[0][0]
        truth = truth[truth >= 0]
        assert len(found) == len(truth)
        hits, total = hits + len(set(truth.tolist()) & set(found.rows.tolist())), total + len(truth)
    assert hits >= 0.97 * total


def test_few_are_the_first_of_many_also_far_from_every_item(large: Large) -> None:
    """Words are farther from items than items from each other; asked for few, a graph looks about less."""
    far = np.random.default_rng(7).standard_normal((40, DIM)).astype(np.float32)
    for query in far / np.linalg.norm(far, axis=1, keepdims=True):
        many = large.ranker.search(query, NOW, 100)
        assert large.ranker.search(query, NOW, 10).rows.tolist() == many.rows[:10].tolist()


def encode(queries: Sequence[str]) -> NDArray[np.float32]:
    return np.stack([direction(1, 0.1 * len(query), 0, 0) for query in queries])


def shop() -> World:
    world = World(RankingSettings(explore_every=0, weight_new=0, weight_trending=0), encode=encode)
    for number in range(6):
        facts = {"category": "tea" if number % 2 else "soap", "price": float(number)}
        world.item(f"i{number}", (1, 0.1 * number, 0, 0), **facts)  # type: ignore[arg-type]
    return world


def test_a_text_is_searched_for_with_its_reason_and_a_vector_finds_the_same() -> None:
    world = shop()
    ranking = world.ranker.search("  tea ", NOW, 3)
    assert ranking.ids(world.items) == ["i3", "i4", "i2"]
    assert ranking.why(world.items, world.campaigns) == ["search:tea"] * 3
    assert world.ranker.search(encode(["tea"])[0], NOW, 3).ids(world.items) == ranking.ids(world.items)
    soaps = world.ranker.search("tea", NOW, 3, Filter(categories=some("soap")))
    assert soaps.ids(world.items) == ["i4", "i2", "i0"]


def test_what_nobody_may_see_is_never_found() -> None:
    world = shop()
    world.stock("i3", 0)
    world.campaign("out", "exclude", "i2")
    for wanted in (ANY, Filter(price_max=9.0)):
        assert set(world.ranker.search("tea", NOW, 9, wanted).ids(world.items)) == {"i0", "i1", "i4", "i5"}
        assert set(world.ranker.similar(["i1"], NOW, 9, wanted)[0].ids(world.items)) == {"i0", "i4", "i5"}


def test_the_price_band_follows_a_price_event_and_stock_a_stock_event_from_one_search_to_the_next() -> None:
    world = shop()
    band = Filter(price_min=2.0, price_max=3.0)
    assert set(world.ranker.search("tea", NOW, 9, band).ids(world.items)) == {"i2", "i3"}
    world.items.apply(PRICE, "i3", Price(price=3.5, ts=T0 + 99), 0)
    world.items.apply(PRICE, "i5", Price(price=2.5, ts=T0 + 99), 0)
    assert set(world.ranker.search("tea", NOW, 9, band).ids(world.items)) == {"i2", "i5"}
    world.stock("i2", 0)
    assert set(world.ranker.search("tea", NOW, 9, band).ids(world.items)) == {"i5"}
    world.stock("i2", 1)
    assert set(world.ranker.search("tea", NOW, 9, band).ids(world.items)) == {"i2", "i5"}


def test_a_text_that_cannot_be_compared_is_told_and_not_answered_with_nothing() -> None:
    world = shop()
    mute = Ranker(world.items, world.index, world.neighbours, world.campaigns, world.settings, encode, can_encode=lambda: False)
    for ranker, query in ((mute, "tea"), (world.ranker, " ")):
        with pytest.raises(ModelError, match="wait until"):
            ranker.search(query, NOW, 3)
    with pytest.raises(VectorIndexError):
        world.ranker.search(np.ones(3, np.float32), NOW, 3)


def test_a_query_brings_into_the_visitors_list_only_what_its_filters_let_through() -> None:
    world = shop()
    world.item("far", (0, 0, 1, 0))
    search = Search(query="tea", ts=T0, filters={"category": "soap", "price_max": "2"})
    whys = world.whys(search)
    assert [item for item, why in whys.items() if why.startswith("search:")] == ["i2", "i0"]
    # The rest fills the list, and none of it because of the query.
    assert {why for item, why in whys.items() if item not in {"i0", "i2"}} == {"filler"}
    unfiltered = world.whys(Search(query="tea", ts=T0))
    assert {item for item, why in unfiltered.items() if why == "search:tea"} == {f"i{n}" for n in range(6)}


def test_a_filtered_query_leaves_what_else_the_visitor_is_after_alone() -> None:
    world = shop()
    filtered = world.whys(Click(item_id="i5", ts=T0), Search(query="tea", ts=T0 + 1, filters={"category": "soap"}))
    assert filtered["i3"] == "content:i5"
    assert {item for item, why in filtered.items() if why == "search:tea"} <= {"i0", "i2", "i4"}


def test_a_visitor_with_a_filtered_query_gets_in_a_batch_what_is_given_alone() -> None:
    world = shop()

    visitors = [
        visitor(Search(query="tea", ts=T0, filters={"price_max": "3"})),
        visitor(Search(query="tea", ts=T0)),
        visitor(Search(query="tea", ts=T0, filters={"price_min": "3"}), Click(item_id="i1", ts=T0)),
    ]
    together = world.ranker.rank(visitors, NOW)
    for profile, ranking in zip(visitors, together, strict=True):
        [alone] = world.ranker.rank([profile], NOW)
        assert alone.ids(world.items) == ranking.ids(world.items)
        assert alone.why(world.items, world.campaigns) == ranking.why(world.items, world.campaigns)
