"""Snapshots of small shops, and what two states have in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from streamrec.candidates import transitions
from streamrec.events.topics import CATALOG, STOCK
from streamrec.recommender import Knowledge
from streamrec.snapshot import Origin, SnapshotFolder
from streamrec.snapshot.files import dump
from streamrec.snapshot.origin import made_with
from tests.unit.recommender.rooms import ENCODER, T0, settings

ORIGIN = Origin(
    models={ENCODER.digest: 16},
    made_with=made_with(settings()),
    cluster="c1",
    topics={CATALOG: "t1", STOCK: "t2"},
    bounds={(CATALOG, 0): (0, 10), (CATALOG, 1): (5, 20), (STOCK, 0): (0, 7)},
)
OFFSETS = {(CATALOG, 0): 10, (CATALOG, 1): 5, (STOCK, 0): 3}


def empty() -> Knowledge:
    return Knowledge.build(settings(), 16, ENCODER.digest, lambda texts: ENCODER.encode(texts, query=True))


def fill(knowledge: Knowledge, *due: int) -> Callable[[Path], None]:
    return lambda folder: dump(knowledge, np.array(due, np.int32), folder)


def write(folder: SnapshotFolder, knowledge: Knowledge, made_at: int = T0) -> Path:
    with folder.locked() as lock:
        assert lock is not None
        return folder.write(ORIGIN.manifest(made_at, OFFSETS), fill(knowledge, 1, 0))


def known(knowledge: Knowledge) -> dict[str, Any]:
    """Return everything that is known of each item, by id, free of row numbers."""
    items, found = knowledge.items, {}
    books = {"category": items.categories, "brand": items.brands, "seller": items.sellers}
    table = knowledge.neighbours
    numbers = {"popularity": table.log_popularity(), "visitors": table.log_visitors(), "shown": table.log_shown()}
    for row, item_id in enumerate(items.ids(np.arange(len(items)))):
        said: dict[str, Any] = {name: column[row].item() for name, column in items.state().columns.items() if name not in books}
        said |= {name: book.name(int(items.state().columns[name][row])) for name, book in books.items()}
        said |= {"title": items.title(row)} | {name: logs[row].item() for name, logs in numbers.items()}
        said["vector"] = knowledge.index.vectors([row]).tolist() if row in knowledge.index else None
        rows, similarity, _ = knowledge.neighbours.related(np.array([row], np.int32))
        said["related"] = sorted(zip(items.ids(rows), similarity.tolist(), strict=True))
        following = transitions(knowledge.neighbours, np.array([row], np.int32), np.ones(1), 5.0)
        said["next"] = sorted(zip(items.ids(following.related.rows), following.related.strengths.tolist(), strict=True))
        said["unexplained"], said["again"] = following.unexplained, following.again.tolist()
        found[item_id] = {name: "nan" if value != value else value for name, value in said.items()}
    return found
