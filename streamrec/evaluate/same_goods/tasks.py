"""Questions whose answers are known: a product's title, and where the same goods stand in the catalogue under another.

Of Icecat's electronics (``products.jsonl.gz``): items of one line, which are of one brand and model and whose titles differ in a
colour or a length; descriptions by the maker that share less than half of their words with the title and do not name the model;
and titles in Chinese and German, translated by this project. Of JD's titles (``titles.jsonl.gz``): titles in which people marked
the very same two or more words for the product, and titles in English, translated by this project. And of both: the names of
goods in one language among those in the other, from the translations of queries that ``streamrec relevance`` asks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from streamrec.errors import DataError
from streamrec.evaluate.json_lines import json_lines
from streamrec.events import CatalogItem

#: For who gives a file that cannot be read.
_ADVICE: Final = "give the file as it was published"
EXPECTED: Final = "a folder that holds icecat_chorus/products.jsonl.gz or jd_titles_zh/titles.jsonl.gz"
_SOME_MS: Final = 1_577_836_800_000
_SHORTEST, _LONGEST = 30, 200
#: Titles that say the same in other words must not share more of them than this.
_SHARED: Final = 0.5
_MOST_ALIKE: Final = 8


@dataclass(frozen=True, slots=True)
class Question:
    """A text, and the places of the items that are the same goods.

    ``itself`` is the place of an item that asks by its own text, whichever that is, and that is no answer; -1 where none does.
    """

    text: str
    answers: frozenset[int]
    itself: int = -1


@dataclass(frozen=True)
class Task:
    """Questions about one catalogue; where ``described`` the items have more than a title, so both texts are measured."""

    name: str
    description: str
    items: list[CatalogItem]
    questions: list[Question]
    described: bool = False
    notes: list[str] = field(default_factory=list)


def open_tasks(data: Path, items: int, questions: int, seed: int) -> Iterator[Task]:
    """Yield the tasks that the folder holds data for: at most so many ``items`` each (0: all), and ``questions`` drawn by ``seed``.

    What is asked for is always among the items; the rest are drawn. Raises DataError where the folder holds none.
    """
    readers: list[Callable[[Path, _Draw], Iterator[Task]]] = []
    icecat, jd = _find(data, "icecat_chorus", "products.jsonl.gz"), _find(data, "jd_titles_zh", "titles.jsonl.gz")
    if icecat is None and jd is None:
        msg = f"{data} holds neither Icecat's products nor JD's titles; give {EXPECTED}"
        raise DataError(msg)
    draw = _Draw(items, questions, seed)
    if icecat is not None:
        readers.append(lambda _, d: _icecat(icecat, d))
    if jd is not None:
        readers.append(lambda _, d: _jd(jd, d))
    readers.append(lambda _, d: _names(d))
    for read in readers:
        yield from read(data, draw)


def _find(data: Path, folder: str, name: str) -> Path | None:
    return next((path for path in (data / folder / name, data / name) if path.is_file() and path.parent.name == folder), None)


@dataclass(frozen=True)
class _Draw:
    items: int
    questions: int
    seed: int

    def some(self, values: Sequence[Any]) -> list[Any]:
        """Return ``questions`` of the values, in their order; all for 0."""
        if not self.questions or self.questions >= len(values):
            return list(values)
        places = np.sort(np.random.default_rng(self.seed).choice(len(values), self.questions, replace=False))
        return [values[place] for place in places.tolist()]

    def pool(self, needed: set[int], count: int) -> list[int]:
        """Return the places of a catalogue of ``count`` that are kept: the needed ones, and others up to ``items``."""
        others = np.array([place for place in range(count) if place not in needed], np.intp)
        room = max(0, self.items - len(needed)) if self.items else len(others)
        if room < len(others):
            others = np.random.default_rng(self.seed).choice(others, room, replace=False)
        return sorted([*needed, *others.tolist()])


def _task(name: str, description: str, items: Sequence[CatalogItem], asked: Sequence[Question], draw: _Draw, **more: Any) -> Task:
    """Keep the items that are needed and as many others as are wanted, and number the answers anew."""
    needed = {place for question in asked for place in (*question.answers, question.itself) if place >= 0}
    kept = draw.pool(needed, len(items))
    new = {place: number for number, place in enumerate(kept)}
    questions = [Question(q.text, frozenset(new[place] for place in q.answers), new.get(q.itself, -1)) for q in asked]
    return Task(name, description, [items[place] for place in kept], questions, **more)


# -- Icecat -------------------------------------------------------------------------------------------------------------


def _icecat(path: Path, draw: _Draw) -> Iterator[Task]:
    lines = list(json_lines(path, _ADVICE))
    items = [_product(fields) for fields in lines]
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, fields in enumerate(lines):
        groups[str(fields.get("supplier")), str(fields.get("name"))].append(place)
    alike = [places for places in groups.values() if 1 < len({items[place].title for place in places}) <= _MOST_ALIKE]
    lined = []
    for places in draw.some(alike):
        first = places[0]
        others = frozenset(place for place in places if items[place].title != items[first].title)
        lined.append(Question(items[first].title, others, first))
    yield _task("icecat: one line", "items of the same brand and model, whose titles differ", items, lined, draw, described=True)
    told = [(place, text) for place, fields in enumerate(lines) if (text := _other_words(fields)) is not None]
    worded = [Question(text, frozenset({place})) for place, text in draw.some(told)]
    yield _task("icecat: in other words", "makers' descriptions that do not name the model", items, worded, draw, described=True)
    by_id = {str(fields.get("id")): place for place, fields in enumerate(lines)}
    for language, titles in _translated("icecat_chorus").items():
        asked = [Question(text, frozenset({by_id[number]})) for number, text in titles.items() if number in by_id]
        what = f"titles in the language {language}, translated by this project"
        yield _task(f"icecat: in {language}", what, items, asked, draw, described=True)


def _product(fields: dict[str, Any]) -> CatalogItem:
    """Return the item with its attributes in words; its description stays out, because it is what is asked by."""
    kind = str(fields.get("attr_t_product_type", ""))
    return CatalogItem(
        title=str(fields.get("title"))[:1024],
        brand=str(fields.get("supplier", ""))[:256],
        category="" if kind.isdigit() else kind[:256],
        attributes={name: str(value)[:256] for name, value in fields.items() if name.startswith("attr_t_") and value},
        ts=_SOME_MS,
    )


def _other_words(fields: dict[str, Any]) -> str | None:
    text = " ".join(str(fields.get("short_description") or "").split())
    name, title = str(fields.get("name", "")), _words(str(fields.get("title", "")))
    if not _SHORTEST <= len(text) <= _LONGEST or name.casefold() in text.casefold() or not title:
        return None
    return text if len(title & _words(text)) / len(title) < _SHARED else None


def _words(text: str) -> set[str]:
    return set("".join(char if char.isalnum() else " " for char in text.casefold()).split())


# -- JD -----------------------------------------------------------------------------------------------------------------


def _jd(path: Path, draw: _Draw) -> Iterator[Task]:
    lines = [fields for fields in json_lines(path, _ADVICE) if fields.get("source") == "gold_dev"]
    items = [CatalogItem(title=str(fields["title"])[:1024], ts=_SOME_MS) for fields in lines]
    groups: dict[frozenset[str], list[int]] = defaultdict(list)
    for place, fields in enumerate(lines):
        # Kind 4 is the word for the product itself.
        groups[frozenset(text for _, _, kind, text in fields.get("entities") or () if kind == "4")].append(place)
    alike = [places for words, places in groups.items() if len(words) > 1 and 1 < len(places) <= _MOST_ALIKE]
    asked = [Question(items[places[0]].title, frozenset(places[1:]), places[0]) for places in draw.some(alike)]
    yield _task(
        "jd: the same product words", "Chinese titles in which people marked the same words for the product", items, asked, draw
    )
    by_id = {str(fields["id"]): place for place, fields in enumerate(lines)}
    for language, titles in _translated("jd_titles_zh").items():
        asked = [Question(text, frozenset({by_id[number]})) for number, text in titles.items() if number in by_id]
        what = f"titles in the language {language}, translated by this project"
        yield _task(f"jd: in {language}", what, items, asked, draw)


# -- names --------------------------------------------------------------------------------------------------------------


def _names(draw: _Draw) -> Iterator[Task]:
    pairs: list[tuple[str, str]] = []
    for name in ("icecat_chorus.json", "jd_titles.json"):
        held = msgspec.json.decode(files("streamrec.evaluate.relevance").joinpath("translations", name).read_bytes())
        pairs += [(one, other) if held["to"] == "zh" else (other, one) for one, other in held["queries"].items()]
    pairs = sorted(dict(pairs).items())
    english, chinese = (list(dict.fromkeys(pair[side] for pair in pairs)) for side in (0, 1))
    for asked, found, side, label in ((chinese, english, 1, "zh to en"), (english, chinese, 0, "en to zh")):
        places = {text: place for place, text in enumerate(found)}
        answers: dict[str, set[int]] = defaultdict(set)
        for pair in pairs:
            answers[pair[side]].add(places[pair[1 - side]])
        items = [CatalogItem(title=text, ts=_SOME_MS) for text in found]
        questions = [Question(text, frozenset(answers[text])) for text in asked]
        yield Task(f"names: {label}", "names of goods and their translations by this project", items, draw.some(questions))


def _translated(name: str) -> dict[str, dict[str, str]]:
    held = msgspec.json.decode(files("streamrec.evaluate.same_goods").joinpath("translations", "titles.json").read_bytes())
    found: dict[str, dict[str, str]] = held[name]
    return found
