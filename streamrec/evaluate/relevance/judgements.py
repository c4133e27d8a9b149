"""Labelled data: products, queries, and what people said of how well the one fits the other.

Any shop's data as two files: ``catalogue.jsonl`` (as ``streamrec demo --data`` reads it) and ``judgements.csv`` with the columns
``query,item_id,grade``, grades being whole numbers from 0; ``.gz`` or not. Known besides by their files: the Chorus data set
(``products.jsonl.gz`` and ``Broad_Query_Set_rated.csv``), QBQTC (``dev.jsonl.gz``, ``test_public.jsonl.gz``) and JD's labelled
titles (``titles.jsonl.gz``).
"""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import msgspec

from streamrec.demo.data import JsonLines
from streamrec.demo.data.jsonl import find
from streamrec.errors import DataError
from streamrec.evaluate.json_lines import json_lines
from streamrec.events import CatalogItem

#: The gain of a grade is 2 to the power of it: beyond this one document would be all that counts.
MAX_GRADE: Final = 10
_ADVICE: Final = "correct the line or take it out"
EXPECTED: Final = (
    "a folder with catalogue.jsonl and judgements.csv (query,item_id,grade), the Chorus data set, QBQTC or JD's labelled titles, "
    "or a folder of such folders"
)
#: Without a moment of its own a product is of 2020, like most of what is judged here; only the order of moments matters.
_SOME_MS: Final = 1_577_836_800_000
_EARLIEST_MS: Final = 946_684_800_000
_LATIN: Final = re.compile(r"[A-Za-z]")
_TAG: Final = re.compile(r"<[^<>]*>")


@dataclass(frozen=True, slots=True)
class Query:
    """What was searched for, and the grades of the items that were judged for it."""

    text: str
    grades: Mapping[str, int]
    #: What this is a translation of; empty where it is none.
    original: str = ""

    def fitting(self, least: int) -> list[str]:
        """Return the items of at least a grade, by id."""
        return sorted(item_id for item_id, grade in self.grades.items() if grade >= least)


@dataclass
class LabelledSet:
    """A catalogue with judged queries; every variant asks for the same in other words."""

    name: str
    description: str
    items: dict[str, CatalogItem]
    #: Suffix of the name ("" for the queries as they came) → queries.
    variants: dict[str, list[Query]]
    #: From this grade on an item counts as found.
    least: int
    #: Whether enough was judged for each query that the order of the judged ones alone says something.
    deep: bool = True
    #: (query, item, grade) of data that judged pairs and not whole answers.
    pairs: list[tuple[str, str, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


Reader = Callable[[], LabelledSet]


def open_labelled(path: Path, names: Sequence[str] = ()) -> dict[str, Reader]:
    """Return the readers of the labelled sets at ``path``, which is one or a folder of several, by the folder's name.

    Raises DataError where there is none, or none of one of the ``names``.
    """
    found = {folder.name: reader for folder in _folders(path) if (reader := _recognised(folder)) is not None}
    missing = [name for name in names if name not in found]
    if not found or missing:
        known = ", ".join(found) or "no labelled data at all"
        msg = f"{path}: {', '.join(missing) or 'labelled data'} is not there; it holds {known}. Give {EXPECTED}"
        raise DataError(msg)
    return {name: reader for name, reader in found.items() if not names or name in names}


def _folders(path: Path) -> list[Path]:
    if not path.is_dir():
        return []
    return [path.resolve()] if _recognised(path) else sorted(folder.resolve() for folder in path.iterdir() if folder.is_dir())


def _recognised(folder: Path) -> Reader | None:
    catalogue, judged = find(folder, "catalogue"), _csv_of(folder)
    if catalogue and judged:
        return partial(_read_own, folder.name, catalogue, judged)
    if (folder / "products.jsonl.gz").is_file() and (folder / "Broad_Query_Set_rated.csv").is_file():
        return partial(_read_chorus, folder.resolve())
    if (folder / "test_public.jsonl.gz").is_file():
        return partial(_read_qbqtc, folder.resolve())
    titles = folder / "titles.jsonl.gz"
    if titles.is_file() and "source" in next(iter(json_lines(titles, _ADVICE)), {}):
        return partial(_read_jd, folder.resolve())
    return None


def _csv_of(folder: Path) -> Path | None:
    return next((path for path in (folder / "judgements.csv", folder / "judgements.csv.gz") if path.is_file()), None)


# -- any shop's ---------------------------------------------------------------------------------------------------------


def _read_own(name: str, catalogue: Path, judged: Path) -> LabelledSet:
    items = dict(JsonLines(catalogue, None).items())
    queries, notes = _judged(judged, ("query", "item_id", "grade"), items)
    greatest = max(grade for query in queries for grade in query.grades.values())
    least = max(1, (greatest + 1) // 2)
    return LabelledSet(name, f"{catalogue.name} and {judged.name} of {name}", items, {"": queries}, least, notes=notes)


def _judged(path: Path, columns: tuple[str, str, str], items: Mapping[str, object]) -> tuple[list[Query], list[str]]:
    """Read the judgements of a CSV file by query; of an item judged twice the later row counts."""
    grades: dict[str, dict[str, int]] = {}
    unknown = 0
    for number, (query, item_id, grade) in _rows(path, columns):
        if not query.strip() or len(query) > 1024:
            raise _bad(path, number, "the query is empty or longer than 1024 characters")
        if not (grade.isascii() and grade.isdigit() and int(grade) <= MAX_GRADE):
            raise _bad(path, number, f"the grade is {grade!r:.20} and not a whole number from 0 to {MAX_GRADE}")
        if item_id in items:
            grades.setdefault(query, {})[item_id] = int(grade)
        else:
            unknown += 1
    if not grades:
        msg = f"{path}: no item that it judges is in the catalogue ({unknown} judgements); give the catalogue that was judged"
        raise DataError(msg)
    notes = [f"{unknown} judgements of items that are not in the catalogue were left out"] if unknown else []
    return [Query(query, judged) for query, judged in grades.items()], notes


def _rows(path: Path, columns: tuple[str, str, str]) -> Iterator[tuple[int, tuple[str, str, str]]]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            reader = csv.DictReader(file)
            absent = [name for name in columns if name not in (reader.fieldnames or ())]
            if absent:
                raise _bad(path, 1, f"the column {absent[0]} is missing")
            for row in reader:
                yield reader.line_num, (row[columns[0]] or "", row[columns[1]] or "", row[columns[2]] or "")
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        msg = f"{path}: {error}; give a readable CSV file in UTF-8"
        raise DataError(msg) from error


def _bad(path: Path, number: int, problem: str) -> DataError:
    return DataError(f"{path}, line {number}: {problem}; {_ADVICE}")


# -- Chorus -------------------------------------------------------------------------------------------------------------


def _read_chorus(folder: Path) -> LabelledSet:
    products = folder / "products.jsonl.gz"
    items = {str(_field(products, fields, "id")): _product(products, fields) for fields in json_lines(products, _ADVICE)}
    queries, notes = _judged(folder / "Broad_Query_Set_rated.csv", ("query", "docid", "rating"), items)
    translated = _translated("icecat_chorus.json", queries)
    variants = {
        "": queries,
        ":zh": translated,
        ":zh-only": [query for query in translated if not _LATIN.search(query.text)],
    }
    notes += [
        (
            f"{len(translated)} of {len(queries)} queries are translated into Chinese by this project (`:zh`), some without "
            "a Latin letter (`:zh-only`)"
        ),
        "what was judged was pooled from keyword searches: in the whole catalogue what only other methods find counts as wrong",
    ]
    what = "electronics of Icecat with queries judged by people, grades 0 to 3 (o19s/chorus)"
    return LabelledSet(folder.name, what, items, variants, 2, notes=notes)


def _product(path: Path, fields: Mapping[str, Any]) -> CatalogItem:
    kind = str(fields.get("attr_t_product_type", ""))
    return CatalogItem(
        title=str(_field(path, fields, "title"))[:1024],
        brand=str(fields.get("supplier", ""))[:256],
        # Some of these are numbers of a list that is not there.
        category="" if kind.isdigit() else kind[:256],
        description=" ".join(_TAG.sub(" ", str(fields.get("short_description", ""))).split()),
        price=fields["price"] / 100 if isinstance(fields.get("price"), int) else None,
        currency="USD",
        ts=_moment(fields.get("date_released")),
    )


def _field(path: Path, fields: Mapping[str, Any], name: str) -> Any:
    if not fields.get(name):
        msg = f"{path}: a line has no {name}; give the file as it was published"
        raise DataError(msg)
    return fields[name]


def _moment(text: object) -> int:
    try:
        return max(_EARLIEST_MS, int(datetime.fromisoformat(str(text)).timestamp() * 1000))
    except ValueError:
        return _SOME_MS


def _translated(name: str, queries: Sequence[Query]) -> list[Query]:
    """Return the queries of which there is a translation of ours, translated."""
    text = files("streamrec.evaluate.relevance").joinpath("translations", name).read_bytes()
    into: dict[str, str] = msgspec.json.decode(text)["queries"]
    return [Query(into[query.text], query.grades, query.text) for query in queries if query.text in into]


# -- Chinese ------------------------------------------------------------------------------------------------------------


def _read_qbqtc(folder: Path) -> LabelledSet:
    paths = [path for path in (folder / "dev.jsonl.gz", folder / "test_public.jsonl.gz") if path.is_file()]
    items: dict[str, CatalogItem] = {}
    ids: dict[str, str] = {}
    pairs: dict[tuple[str, str], int] = {}
    for path in paths:
        for fields in json_lines(path, _ADVICE):
            title, query = str(_field(path, fields, "title"))[:1024], str(_field(path, fields, "query"))
            item_id = ids.setdefault(title, f"t{len(ids)}")
            items.setdefault(item_id, CatalogItem(title=title, ts=_SOME_MS))
            pairs[query, item_id] = _label(path, fields)
    grades: dict[str, dict[str, int]] = {}
    for (query, item_id), grade in pairs.items():
        grades.setdefault(query, {})[item_id] = grade
    queries = [Query(query, judged) for query, judged in grades.items() if max(judged.values()) >= 2]
    several = sum(len(judged) > 1 for judged in grades.values())
    notes = [
        (
            f"{several} of {len(grades)} queries were judged with more than one title: no order to measure, so pairs are told "
            "apart by their scores, and a query that has a title of grade 2 has to find it among all titles"
        ),
    ]
    what = "titles of Chinese web pages, query-title pairs judged by people, grades 0 to 2 (CLUEbenchmark/QBQTC)"
    judged_pairs = [(query, item_id, grade) for (query, item_id), grade in pairs.items()]
    return LabelledSet(folder.name, what, items, {"": queries}, 2, deep=False, pairs=judged_pairs, notes=notes)


def _label(path: Path, fields: Mapping[str, Any]) -> int:
    label = str(fields.get("label", ""))
    if label not in {"0", "1", "2"}:
        msg = f"{path}: a label is {label!r:.20} and not 0, 1 or 2; give the file as it was published"
        raise DataError(msg)
    return int(label)


def _read_jd(folder: Path) -> LabelledSet:
    path = folder / "titles.jsonl.gz"
    items: dict[str, CatalogItem] = {}
    named: dict[str, dict[str, int]] = {}
    for fields in json_lines(path, _ADVICE):
        if fields.get("source") == "gold_dev":
            item_id = str(_field(path, fields, "id"))
            items[item_id] = CatalogItem(title=str(_field(path, fields, "title"))[:1024], ts=_SOME_MS)
            # Kind 4 is the word for the product itself.
            for word in {text for _, _, kind, text in fields.get("entities") or () if kind == "4"}:
                named.setdefault(word, {})[item_id] = 1
    words = [Query(word, judged) for word, judged in named.items()]
    english = _translated("jd_titles.json", words)
    chosen = {query.original for query in english}
    variants = {"": [query for query in words if query.text in chosen], ":en": english}
    notes = [
        (
            f"the {len(english)} queries are product words; a title fits where people marked that very word as its product, so "
            "titles that say the same in another word count as wrong, and keyword search in Chinese is right by construction"
        ),
        "`:en` are the same words translated into English, by this project",
    ]
    what = "Chinese product titles of JD with the product words that people marked in them (GAIIC 2022)"
    return LabelledSet(folder.name, what, items, variants, 1, deep=False, notes=notes)
