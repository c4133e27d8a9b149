"""Titles of real goods, with category, brand and price where the source has them."""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

from streamrec.demo.data.completejourney import CompleteJourney
from streamrec.embedding import item_text
from streamrec.errors import DataError
from streamrec.events import CatalogItem

#: Where titles come without a category, one of so many most frequent product words of the source stands for it.
_WORDS: Final = 80
#: Prices in rupees are divided by it, so that a price band means much the same for goods of every source.
_RUPEES: Final = 80.0


class Title(NamedTuple):
    """What is known of a real product; empty and None where the source does not say."""

    title: str
    category: str = ""
    brand: str = ""
    price: float | None = None

    def item(self, ts: int = 0) -> CatalogItem:
        """Return the catalogue message whose text is embedded."""
        return CatalogItem(title=self.title, category=self.category, brand=self.brand, price=self.price, ts=ts)


def real_titles(folder: Path | None) -> list[Title]:
    """Return the titles of The Complete Journey and of every known data set in ``folder``, each text once, in a fixed random order.

    Raises DataError when neither the package nor the folder has any.
    """
    found = [title for name, read in _SOURCES.items() if folder and (folder / name).is_file() for title in read(folder / name)]
    found += _completejourney()
    by_text: dict[str, Title] = {}
    for title in found:
        by_text.setdefault(item_text(title.item()), title)
    titles = [by_text[text] for text in sorted(by_text) if text]
    Random(1).shuffle(titles)  # any first n are a sample of all sources
    return titles


def titles_by_source(folder: Path | None) -> dict[str, list[Title]]:
    """Return what ``real_titles`` joins, by the name of each source that is there, as the source has it."""
    found = {
        name.split("/", 1)[0]: list(read(folder / name)) for name, read in _SOURCES.items() if folder and (folder / name).is_file()
    }
    return {**found, "completejourney": list(_completejourney())}


def default_folder() -> Path | None:
    """Return the folder shared/data beside the repository, or beside a folder that holds it; None where there is none."""
    for parent in Path(__file__).resolve().parents[3:]:
        if (parent / "shared" / "data").is_dir():
            return parent / "shared" / "data"
    return None


def _completejourney() -> Iterator[Title]:
    for _, item in CompleteJourney().items(2**53):  # the latest prices
        yield Title(item.title, item.category, item.brand, item.price)


def _fashion(path: Path) -> Iterator[Title]:
    for row in _lines(path):
        yield _title(row["title"], row["category"][-1], str(row["title"]).split(" ", 1)[0])


def _flipkart(path: Path) -> Iterator[Title]:
    for row in _lines(path):
        categories = [part for part in row["category_path"] if part and part != row["title"]]
        price = row["price"] and row["price"] / _RUPEES
        yield _title(row["title"], categories[min(1, len(categories) - 1)] if categories else "", row["brand"], price)


def _icecat(path: Path) -> Iterator[Title]:
    rows = [(row["title"], row.get("attr_t_product_type"), row["supplier"], row["price"] / 100) for row in _lines(path)]
    category_of = _frequent(str(row[1]) for row in rows if row[1])
    return (_title(title, kind if kind and category_of(kind) == kind else "", brand, price) for title, kind, brand, price in rows)


def _labelled(product: str, brand: str) -> Callable[[Path], Iterator[Title]]:
    """Return a reader of titles with entity spans, some of them product words and brands."""

    def read(path: Path) -> Iterator[Title]:
        rows = list(_lines(path))
        category_of = _frequent(part for row in rows for part in _spans(row, product))
        return (_title(row["title"], category_of(row["title"]), next(_spans(row, brand), "")) for row in rows)

    return read


def _online_retail(path: Path) -> Iterator[Title]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        sold = {row["Description"].strip(): float(row["UnitPrice"]) for row in csv.DictReader(file) if _is_product(row)}
    category_of = _frequent(words[-1] for text in sold if (words := text.split()))
    return (_title(text, category_of(text), "", price) for text, price in sold.items())


def _is_product(row: dict[str, str]) -> bool:
    return row["StockCode"][:5].isdigit() and float(row["UnitPrice"]) > 0 and bool(row["Description"].strip())


_SOURCES: Final[dict[str, Callable[[Path], Iterable[Title]]]] = {
    "fashion44k/products.jsonl.gz": _fashion,
    "flipkart20k/products.jsonl.gz": _flipkart,
    "icecat_chorus/products.jsonl.gz": _icecat,
    "jd_titles_zh/titles.jsonl.gz": _labelled("4", "1"),
    "taobao_zh/titles.jsonl.gz": _labelled("HCCX", "HPPX"),
    "online_retail/events.csv.gz": _online_retail,
}


def _title(title: str, category: str | None, brand: str | None, price: float | None = None) -> Title:
    return Title(" ".join(title.split())[:1000], (category or "")[:256], (brand or "")[:256], round(price, 2) if price else None)


def _spans(row: dict[str, Any], kind: str) -> Iterator[str]:
    return (text for _, _, label, text in row["entities"] or () if label == kind)


def _frequent(words: Iterable[str]) -> Callable[[str], str]:
    """Return a function from a text to the longest of the most frequent ``words`` that it holds, or to the empty string."""
    known = sorted((word for word, _ in Counter(words).most_common(_WORDS)), key=lambda word: (-len(word), word))
    return lambda text: next((word for word in known if word in text), "")


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            yield from map(json.loads, file)
    except (OSError, ValueError) as error:
        msg = f"{path}: {error}; replace the file, or give another folder of titles"
        raise DataError(msg) from error
