"""What a recommender's core thread spends on a visitor: ranking, publishing, and keeping up with what others met."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, Final

import numpy as np

from streamrec.candidates import CovisitationAggregator, activities
from streamrec.catalogue.store import Fact
from streamrec.config import Settings
from streamrec.demo.data import open_data
from streamrec.embedding import Encoder, HashingEncoder, item_text, load_encoder
from streamrec.errors import DataError
from streamrec.events import CatalogItem, Click, ItemNeighbours
from streamrec.events.topics import CATALOG
from streamrec.lists.matrix import ListMatrix
from streamrec.profiles import Profile, apply
from streamrec.ranking import Ranker
from streamrec.recommender import Knowledge

Catalogue = Sequence[tuple[str, CatalogItem]]

_START_MS: Final = 1_767_225_600_000
_CLICKS: Final = 30
#: Categories that a visitor looks at, so that profiles hold several interests.
_CATEGORIES: Final = 3
#: Neighbour records that come in between two batches, so that the popular items are found anew as in a running shop.
_RECORDS: Final = 5
_ITEM_STEP: Final = 16


def run(
    items: int = 20_000,
    visitors: int = 500,
    *,
    batches: Sequence[int] = (1, 16, 64),
    encoder: Encoder | None = None,
    settings: Settings | None = None,
    seed: int = 7,
) -> dict[str, Any]:
    """Return milliseconds per visitor by batch size, and microseconds of the work around it; one thread's wall clock.

    ``ms_first`` is of visitors whose interests were never searched for, ``ms_again`` of the same visitors a second time while the
    catalogue stood still; neighbour records come in between all batches. The catalogue is The Complete Journey's where its package
    is installed, in the configured model's vectors; without it products are made up and ``HashingEncoder`` stands in.
    """
    settings, rng = settings or Settings.load(), np.random.default_rng(seed)
    name, catalogue = _catalogue(items)
    encoder = encoder or (HashingEncoder(512) if name == "synthetic" else load_encoder(settings.model))
    knowledge, distinct = _knowledge(settings, encoder, catalogue)
    profiles, records = _visits(settings, catalogue, visitors, rng)
    knowledge.take_neighbours(records)
    return {
        "catalogue": name,
        "items": len(catalogue),
        "distinct_texts": distinct,
        "dim": encoder.dim,
        "visitors": len(profiles),
        **_ranking(settings, knowledge, profiles, records, batches),
        **_around(settings, knowledge, profiles, records),
    }


def _catalogue(n: int) -> tuple[str, Catalogue]:
    try:
        data = open_data(None)
        return data.name, list(islice(data.items(data.start_ms), n))
    except DataError:
        sizes = ((f"p{i}", i // 4) for i in range(n))
        return "synthetic", [
            (name, CatalogItem(title=f"product {text} of line {text % 97}", category=f"line {text % 97}", ts=_START_MS))
            for name, text in sizes
        ]


def _knowledge(settings: Settings, encoder: Encoder, catalogue: Catalogue) -> tuple[Knowledge, int]:
    """Return the recommender's state with every item and its vector, and how many texts differ; equal ones are encoded once."""
    knowledge = Knowledge.build(settings, encoder.dim, encoder.digest)
    knowledge.take_facts([Fact(CATALOG, item_id, item, order) for order, (item_id, item) in enumerate(catalogue)])
    texts = [item_text(item) for _, item in catalogue]
    places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    vectors = encoder.encode(list(places))
    rows = knowledge.items.find_all([item_id for item_id, _ in catalogue])
    knowledge.index.upsert(rows, vectors[[places[text] for text in texts]])
    return knowledge, len(places)


def _visits(
    settings: Settings, catalogue: Catalogue, visitors: int, rng: np.random.Generator
) -> tuple[list[Profile], list[tuple[str, ItemNeighbours | None]]]:
    """Let visitors click in a few categories each, some items more popular than others; return profiles and what others met."""
    shelves: dict[str, list[str]] = {}
    for item_id, item in catalogue:
        shelves.setdefault(item.category or "", []).append(item_id)
    aisles = list(shelves.values())
    aggregator, profiles = CovisitationAggregator(), []
    for visitor in range(visitors):
        profile = Profile()
        chosen = rng.integers(0, len(aisles), _CATEGORIES)
        for n in range(_CLICKS):
            aisle = aisles[chosen[n * _CATEGORIES // _CLICKS]]
            item_id = aisle[int(len(aisle) * rng.random() ** 3)]
            click = Click(item_id=item_id, ts=_START_MS + visitor * 60_000 + n * 1000)
            if apply(profile, click, settings.profiles):
                aggregator.update(activities(f"visitor {visitor}", profile, click))
        profiles.append(profile)
    met = dict.fromkeys(interaction.item_id for profile in profiles for interaction in profile.recent)
    return profiles, [(item_id, aggregator.record(item_id)) for item_id in met]


def _ranking(
    settings: Settings,
    knowledge: Knowledge,
    profiles: Sequence[Profile],
    records: Sequence[tuple[str, ItemNeighbours | None]],
    batches: Sequence[int],
) -> dict[str, Any]:
    figures: dict[str, dict[str, float]] = {"ms_first": {}, "ms_again": {}}
    size = knowledge.ranked_size
    for batch in batches:
        # A new one each time: it has searched for nothing yet.
        ranker = Ranker(knowledge.items, knowledge.index, knowledge.neighbours, knowledge.campaigns, settings.ranking)
        for of_batch in figures.values():
            spent = 0.0
            for start in range(0, len(profiles), batch):
                knowledge.take_neighbours([records[(start + i) % len(records)] for i in range(_RECORDS)])
                visitors = profiles[start : start + batch]
                spent += _seconds(lambda r=ranker, v=visitors: r.rank(v, _START_MS, k=size))  # type: ignore[misc]
            of_batch[str(batch)] = round(spent * 1e3 / len(profiles), 3)
    return figures


def _around(
    settings: Settings,
    knowledge: Knowledge,
    profiles: Sequence[Profile],
    records: Sequence[tuple[str, ItemNeighbours | None]],
) -> dict[str, float]:
    users = [str(n) for n in range(len(profiles))]
    rankings = knowledge.rank(profiles, _START_MS, users=users)
    hidden = knowledge.hidden(_START_MS)
    matrix = ListMatrix(len(profiles), knowledge.ranked_size, knowledge.list_size)
    names = [item_id for item_id, _ in records]
    steps = [names[start : start + _ITEM_STEP] for start in range(0, len(names), _ITEM_STEP)]
    n = settings.lists.item_list_size
    ranked = list(zip(users, rankings, strict=True))
    layouts = [knowledge.lay_out(ranking, _START_MS, hidden, user).layout for user, ranking in ranked]
    works: dict[str, tuple[Callable[[], object], int]] = {
        "publish_us": (lambda: _all(knowledge.publish(ranking, _START_MS, hidden) for ranking in rankings), len(profiles)),
        "lay_out_us": (
            lambda: _all(knowledge.lay_out(ranking, _START_MS, hidden, user) for user, ranking in ranked),
            len(profiles),
        ),
        "matrix_put_us": (lambda: matrix.put(users, rankings, _START_MS, layouts), len(profiles)),
        "neighbours_update_us": (lambda: knowledge.take_neighbours(records), len(records)),
        "similar_us": (lambda: _all(knowledge.ranker.similar(step, _START_MS, n) for step in steps), len(names)),
        "together_us": (lambda: _all(knowledge.ranker.together(step, _START_MS, n) for step in steps), len(names)),
    }
    return {name: round(_seconds(work) * 1e6 / times, 1) for name, (work, times) in works.items()}


def _all(work: Iterable[object]) -> None:
    for _ in work:
        pass


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
