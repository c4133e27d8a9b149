"""Models × tasks × texts: embeds what is needed once and counts what is found among the nearest ten."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streamrec.config import Settings
from streamrec.embedding import Encoder, item_text, load_named
from streamrec.errors import ModelError
from streamrec.evaluate.intervals import bootstrap_means, interval
from streamrec.evaluate.relevance import lexical
from streamrec.evaluate.same_goods.tasks import Question, Task, open_tasks
from streamrec.events import CatalogItem

K: Final = 10
MODELS: Final = ("use-multilingual-v3", "minilm-int8", "multilingual-e5-small")
KEYWORDS: Final = "bm25"
_BLOCK: Final = 256

#: Hears what is being done, and of how many steps how many went by since the last time.
Progress = Callable[[str, int, int], None]
#: Scores of (questions, items).
_Scores = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Options:
    """What is measured, and of how much."""

    data: Path
    #: Names of models; empty: the configured one and ``MODELS``.
    models: tuple[str, ...] = ()
    #: Items among which each question is asked, the answers and drawn ones; 0: the whole catalogue.
    items: int = 2000
    #: Questions of each task, drawn evenly; 0: all.
    questions: int = 200
    seed: int = 7


def run(options: Options, settings: Settings | None = None, progress: Progress = lambda *_: None) -> dict[str, Any]:
    """Return the figures as ``streamrec same-goods --json`` prints them.

    ``texts`` is how many texts a model embedded in how many seconds, with whatever else the machine did. Raises DataError where
    the data hold nothing to ask about, ModelError where no model is installed.
    """
    settings = settings or Settings.load()
    tasks = list(open_tasks(options.data, options.items, options.questions, options.seed))
    result: dict[str, Any] = {
        "tasks": {
            task.name: {"description": task.description, "items": len(task.items), "questions": len(task.questions)}
            for task in tasks
        },
        "recall": {},
        "models": {},
        "missing": {},
        "how": {
            "recall@10": "of the answers (ten at most) the share among the ten nearest; the question's own item is no answer",
            "texts": "title, or item_text: title, brand, category and attributes",
            "seed": options.seed,
        },
    }
    for name, encoder in _encoders(options.models or (settings.model.name, *MODELS), settings, result["missing"]):
        texts = _Texts(encoder, progress)
        for task in tasks:
            for label, written in _written(task):
                asked = texts.vectors(_asked(task, written))
                scores = asked @ texts.vectors(written).T
                _store(result, task, (label, name), scores, options.seed)
        result["models"][name] = {"dim": encoder.dim, "texts": texts.count, "seconds": round(texts.seconds, 3)}
    _keywords(result, tasks, options.seed, progress)
    return result


def _encoders(names: Sequence[str], settings: Settings, missing: dict[str, str]) -> Iterator[tuple[str, Encoder]]:
    some = False
    for name in dict.fromkeys(names):
        try:
            yield name, load_named(name, settings.model)
            some = True
        except ModelError as error:
            missing[name] = str(error)
    if not some:
        raise ModelError("; ".join(missing.values()))


def _written(task: Task) -> Iterator[tuple[str, list[str]]]:
    """Yield the texts of the items: titles alone, and with what else is known where there is something."""
    bare = [item_text(CatalogItem(title=item.title, ts=item.ts)) for item in task.items]
    yield "title", bare
    if task.described:
        yield "item_text", [item_text(item) for item in task.items]


def _asked(task: Task, written: Sequence[str]) -> list[str]:
    return [written[question.itself] if question.itself >= 0 else question.text for question in task.questions]


class _Texts:
    """Vectors of texts, each embedded once; both sides are items, as in the lists of alternatives."""

    def __init__(self, encoder: Encoder, progress: Progress) -> None:
        self._encoder = encoder
        self._progress = progress
        self._known: dict[str, NDArray[np.float32]] = {}
        self.count = 0
        self.seconds = 0.0

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return (n, dim) float32 rows of norm 1."""
        new = list(dict.fromkeys(text for text in texts if text not in self._known))
        for start in range(0, len(new), _BLOCK):
            block = new[start : start + _BLOCK]
            begin = perf_counter()
            rows = self._encoder.encode(block)
            self.seconds += perf_counter() - begin
            self.count += len(block)
            self._known.update(zip(block, rows, strict=True))
            self._progress(f"{self._encoder.name}: texts", len(block), 0)
        return np.stack([self._known[text] for text in texts])


def _keywords(result: dict[str, Any], tasks: Sequence[Task], seed: int, progress: Progress) -> None:
    if absent := lexical.missing():
        result["missing"][KEYWORDS] = absent
        return
    for task in tasks:
        for label, written in _written(task):
            model = lexical.Bm25(written)
            scores = np.stack([model.scores(text) for text in _asked(task, written)])
            scores[scores <= 0] = -np.inf
            _store(result, task, (label, KEYWORDS), scores, seed)
            progress(f"{KEYWORDS}: tasks", 1, 0)


def _store(result: dict[str, Any], task: Task, row: tuple[str, str], scores: _Scores, seed: int) -> None:
    label, model = row
    values = np.array([_measured(question, row) for question, row in zip(task.questions, scores, strict=True)])
    drawn = bootstrap_means(values, np.arange(len(values)), seed=seed)
    found = result["recall"].setdefault(task.name, {}).setdefault(label, {})
    found[model] = {
        "recall@10": round(float(values[:, 0].mean()), 4),
        "interval95": interval(drawn[:, 0]),
        "first@1": round(float(values[:, 1].mean()), 4),
    }


def _measured(question: Question, scores: _Scores) -> tuple[float, float]:
    """Return recall@10, and whether the nearest is an answer; of equal scores the later item is nearer, so ties help nobody."""
    order = np.lexsort((-np.arange(len(scores)), -scores))
    places = [place for place in order[: K + 1].tolist() if place != question.itself and np.isfinite(scores[place])][:K]
    hits = sum(place in question.answers for place in places)
    return hits / min(K, len(question.answers)), float(bool(places) and places[0] in question.answers)
