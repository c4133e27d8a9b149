"""A small shop with queries that were judged, whose right answers can be told by hand."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from streamrec.config import Settings
from streamrec.embedding import HashingEncoder
from streamrec.evaluate.relevance.catalogue import Catalogue
from streamrec.evaluate.relevance.judgements import LabelledSet, Query
from streamrec.events import CatalogItem
from tests.unit.evaluate.toys import T0

KINDS = ("mug", "sofa", "lamp", "kettle")
COLOURS = ("red", "blue", "green", "black")
SETTINGS = Settings.model_validate({"model": {"name": "hashing"}, "index": {"kind": "exact"}})


def items() -> dict[str, CatalogItem]:
    return {f"{kind}-{colour}": CatalogItem(title=f"{colour} {kind}", ts=T0) for kind in KINDS for colour in COLOURS}


def queries() -> list[Query]:
    """All of a kind fit perfectly, those of another kind in red were judged and do not."""
    found = []
    for kind, other in zip(KINDS, KINDS[1:] + KINDS[:1], strict=True):
        found.append(Query(kind, {f"{kind}-{colour}": 3 for colour in COLOURS} | {f"{other}-red": 0}))
    return found


def labelled(asked: Sequence[Query] = ()) -> LabelledSet:
    return LabelledSet("kinds", "kinds of things", items(), {"": list(asked) or queries()}, 2)


def catalogue(data: LabelledSet | None = None, settings: Settings = SETTINGS) -> Catalogue:
    return Catalogue(data or labelled(), settings, HashingEncoder(128))


def write_own(folder: Path, *, judgements: str | None = None) -> Path:
    """Write the shop as any shop's data."""
    folder.mkdir(exist_ok=True)
    lines = [json.dumps({"item_id": item_id, "title": item.title, "ts": item.ts}) for item_id, item in items().items()]
    (folder / "catalogue.jsonl").write_text("\n".join(lines))
    rows = [f"{query.text},{item_id},{grade}" for query in queries() for item_id, grade in query.grades.items()]
    (folder / "judgements.csv").write_text(judgements if judgements is not None else "\n".join(["query,item_id,grade", *rows]))
    return folder


def write_lines(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
