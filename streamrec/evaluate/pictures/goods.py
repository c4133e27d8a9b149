"""Goods with a title, a kind and a picture: fashion44k, or a catalogue of one's own beside a folder of pictures."""

from __future__ import annotations

import gzip
import hashlib
import json
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from streamrec.errors import DataError
from streamrec.events import CatalogItem

_FASHION: Final = "products.jsonl.gz"
_OWN: Final = "catalogue.jsonl"
#: Event time where the data have none.
_TS: Final = 1_767_225_600_000
_HELP: Final = (
    f"give a folder with {_OWN} (item_id, title, category …) and images/ or images.zip, whose files are named by item_id, "
    f"or one with {_FASHION} and images_10k.zip"
)


@dataclass(frozen=True)
class Goods:
    """Items with pictures, in an order that says nothing about them."""

    name: str
    ids: list[str]
    items: list[CatalogItem]
    #: What each is; the label that is judged by.
    kinds: list[str]
    #: Returns the bytes of the picture of the item at a place.
    picture: Callable[[int], bytes]

    def part(self, places: Iterable[int]) -> Goods:
        """Return some of the goods."""
        chosen = list(places)
        return Goods(
            self.name,
            [self.ids[place] for place in chosen],
            [self.items[place] for place in chosen],
            [self.kinds[place] for place in chosen],
            lambda place: self.picture(chosen[place]),
        )


def read_goods(folder: Path, most: int = 0) -> Goods:
    """Return the folder's goods that have a title and a picture, at most ``most`` of them where it is not 0.

    Raises DataError where it holds none.
    """
    if (folder / _FASHION).is_file():
        rows, pictures = _fashion(folder), _pictures(folder, "images_10k.zip")
    elif (folder / _OWN).is_file():
        rows, pictures = _own(folder), _pictures(folder, "images.zip")
    else:
        raise DataError(f"{folder} holds no goods with pictures; {_HELP}")
    found = sorted(
        ((hashlib.sha256(item_id.encode()).digest(), item_id, item, kind) for item_id, item, kind in rows if item_id in pictures),
        key=lambda row: row[0],
    )
    found = found[:most] if most else found
    if not found:
        raise DataError(f"no item of {folder} has a picture; {_HELP}")
    reads = [pictures[item_id] for _, item_id, _, _ in found]
    return Goods(
        folder.resolve().name,
        [row[1] for row in found],
        [row[2] for row in found],
        [row[3] for row in found],
        lambda place: reads[place](),
    )


def _fashion(folder: Path) -> list[tuple[str, CatalogItem, str]]:
    rows = []
    with gzip.open(folder / _FASHION, "rt", encoding="utf-8") as file:
        for line in file:
            held = json.loads(line)
            told = {name: str(held[name]) for name in ("gender", "colour", "usage") if held.get(name)}
            *above, kind = held["category"]
            item = CatalogItem(title=held["title"][:1024] or "?", category=" ".join([*above, kind]), attributes=told, ts=_TS)
            rows.append((held["id"], item, kind))
    return rows


def _own(folder: Path) -> list[tuple[str, CatalogItem, str]]:
    rows = []
    with (folder / _OWN).open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                held: dict[str, Any] = json.loads(line)
                item_id = str(held.pop("item_id"))
                item = msgspec.convert({"ts": _TS} | held, CatalogItem)
            except (ValueError, KeyError, msgspec.ValidationError) as error:
                raise DataError(f"{folder / _OWN}, line {number}: {error}; correct the line") from None
            rows.append((item_id, item, item.category))
    return rows


def _pictures(folder: Path, archive: str) -> dict[str, Callable[[], bytes]]:
    """Return how each picture is read, by the name of its file without the ending."""
    if (folder / archive).is_file():
        try:
            held = zipfile.ZipFile(folder / archive)
        except (OSError, zipfile.BadZipFile) as error:
            raise DataError(f"{folder / archive}: {error}; give a zip file of pictures") from error
        return {Path(name).stem: lambda name=name: held.read(name) for name in held.namelist() if not name.endswith("/")}  # type: ignore[misc]
    images = folder / "images"
    return {path.stem: path.read_bytes for path in sorted(images.iterdir()) if path.is_file()} if images.is_dir() else {}
