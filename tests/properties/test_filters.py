"""Any filter's answer lies within the filter and is what exact search gives, whatever the shop."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streamrec.catalogue import Filter, Masks
from streamrec.index import ExactIndex, HnswIndex
from streamrec.ranking import Ranker
from tests.unit.ranking.worlds import NOW, World, direction

N = 24
NAMES = st.sampled_from(["", "x", "y"])
FACTS = st.fixed_dictionaries(
    {
        "category": NAMES,
        "brand": NAMES,
        "attributes": NAMES.map(lambda seller: {"seller": seller}),
        "price": st.none() | st.integers(0, 5).map(float),
        "quantity": st.none() | st.integers(0, 3),
    }
)
SOME = st.frozensets(st.sampled_from(["x", "y", "unheard of"]), max_size=2)
BOUNDS = st.none() | st.integers(0, 5).map(float)
FILTERS = st.builds(
    Filter,
    categories=SOME,
    brands=SOME,
    sellers=SOME,
    price_min=BOUNDS,
    price_max=BOUNDS,
    quantity_min=st.integers(1, 3),
    exclude=st.frozensets(st.integers(0, N).map("i{}".format), max_size=3),
)


def passes(facts: dict[str, Any], item_id: str, wanted: Filter) -> bool:
    """Say by plain words what the mask says by columns."""
    price, quantity = facts["price"], facts["quantity"]
    return (
        quantity != 0
        and (not wanted.categories or facts["category"] in wanted.categories)
        and (not wanted.brands or facts["brand"] in wanted.brands)
        and (not wanted.sellers or facts["attributes"]["seller"] in wanted.sellers)
        and (wanted.price_min is None or (price is not None and price >= wanted.price_min))
        and (wanted.price_max is None or (price is not None and price <= wanted.price_max))
        and (wanted.quantity_min == 1 or (quantity is not None and quantity >= wanted.quantity_min))
        and item_id not in wanted.exclude
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(FACTS, min_size=N, max_size=N), st.lists(FILTERS, min_size=1, max_size=3), st.integers(1, N), st.integers(0, 99))
def test_an_answer_lies_within_its_filter_and_equals_exact_search(
    facts: list[dict[str, Any]], filters: list[Filter], n: int, seed: int
) -> None:
    world, rng = World(), np.random.default_rng(seed)
    graph = HnswIndex(4, max_items=100, threads=1)
    for number, of in enumerate(facts):
        world.item(f"i{number}", rng.standard_normal(4).astype(np.float32), **of)
    rows = np.arange(N)
    graph.upsert(rows, world.index.vectors(rows))
    by_graph = Ranker(world.items, graph, world.neighbours, world.campaigns, world.settings)
    query = direction(*rng.standard_normal(4))
    for wanted in filters:
        mask = Masks(world.items).get(wanted)
        assert mask.tolist() == [passes(of, f"i{number}", wanted) for number, of in enumerate(facts)]
        labels, scores = ExactIndex.search(world.index, query, n, mask)
        exact = labels[0][labels[0] >= 0]
        for ranker in (world.ranker, by_graph):
            found = ranker.search(query, NOW, n, wanted)
            assert mask[found.rows].all()
            assert len(found) == len(exact) == min(n, int(mask.sum()))
            np.testing.assert_allclose(found.scores, scores[0][: len(exact)].clip(min=0), atol=2e-3)
        for item in (0, N - 1):
            [alternatives] = world.ranker.similar([f"i{item}"], NOW, n, wanted)
            assert mask[alternatives.rows].all()
            assert len(alternatives) == min(n, int(mask.sum()) - int(mask[item]))
