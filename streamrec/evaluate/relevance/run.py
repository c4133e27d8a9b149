"""Data sets × encoders × methods × protocols: reads, asks and puts the figures together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import numpy as np

from streamrec.config import ModelSettings, Settings
from streamrec.embedding import Encoder, item_text, load_named
from streamrec.errors import ModelError
from streamrec.evaluate.relevance import lexical, pairs, retrieval
from streamrec.evaluate.relevance.catalogue import Catalogue
from streamrec.evaluate.relevance.judgements import LabelledSet, Query, open_labelled
from streamrec.evaluate.relevance.lists import SCENARIOS, ListJudge, visits
from streamrec.evaluate.relevance.methods import Keywords, Method, build

#: Encoders that are measured beside the configured one.
ENCODERS: Final = ("use-multilingual-v3", "minilm-int8", "multilingual-e5-small")
KEYWORDS: Final = "bm25"
#: Variants of queries that lists are judged by, where a set has them.
_IN_LISTS: Final = ("", ":zh")
#: Queries that the encoder is timed by, one at a time.
_TIMED: Final = 50

#: Hears what is being done, and of how many steps how many went by since the last time.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Options:
    """What is measured, and of how much."""

    data: Path
    #: Names of data sets; empty: all.
    sets: tuple[str, ...] = ()
    #: Names of encoders; empty: the configured one and ``ENCODERS``.
    encoders: tuple[str, ...] = ()
    #: Queries of each data set, drawn evenly; 0: all.
    queries: int = 1000
    seed: int = 7
    #: Whether the lists after a search event are measured too.
    lists: bool = True


def run(options: Options, settings: Settings | None = None, progress: Progress = lambda *_: None) -> dict[str, Any]:
    """Return the figures as ``streamrec relevance --json`` prints them.

    Raises DataError where the data hold no labelled set or a wrong line, ModelError where no encoder is installed.
    """
    settings = settings or Settings.load()
    readers = open_labelled(options.data, options.sets)
    result: dict[str, Any] = {
        "retrieval": {},
        "pairs": {},
        "lists": {},
        "missing": {},
        "encoders": {},
        "data": {},
        "how": {
            "gain": "2^grade - 1, discounted by log2(1 + place)",
            "queries": options.queries,
            "seed": options.seed,
            "configured_encoder": settings.model.name,
            "search_weight": settings.ranking.weight_search,
        },
    }
    encoders = dict(_encoders(options.encoders or (settings.model.name, *ENCODERS), settings.model, result["missing"]))
    if absent := lexical.missing():
        result["missing"][KEYWORDS] = absent
    for name, read in readers.items():
        progress(f"{name}: reading", 0, 0)
        data = read()
        result["data"][name] = _about(data)
        _Evaluation(data, options, settings, result, progress).run(encoders)
    return result


def _encoders(names: Sequence[str], configured: ModelSettings, missing: dict[str, str]) -> Iterator[tuple[str, Encoder]]:
    """Yield the encoders that are installed; prefixes and paths belong to the configured one alone.

    Raises ModelError where none is, ConfigError for a name that is none.
    """
    some = False
    for name in dict.fromkeys(names):
        try:
            yield name, load_named(name, configured)
            some = True
        except ModelError as error:
            missing[name] = str(error)
    if not some:
        raise ModelError("; ".join(missing[name] for name in dict.fromkeys(names)))


def _about(data: LabelledSet) -> dict[str, Any]:
    grades = [grade for query in data.variants[""] for grade in query.grades.values()]
    return {
        "description": data.description,
        "items": len(data.items),
        "queries": len(data.variants[""]),
        "queries_with_something_to_find": sum(bool(query.fitting(data.least)) for query in data.variants[""]),
        "judgements": {grade: grades.count(grade) for grade in sorted(set(grades))},
        "fits_from_grade": data.least,
        "pairs": len(data.pairs),
        "notes": data.notes,
    }


class _Evaluation:
    """One data set's part of the result."""

    def __init__(self, data: LabelledSet, options: Options, settings: Settings, result: dict[str, Any], progress: Progress) -> None:
        self._data = data
        self._options = options
        self._settings = settings
        self._result = result
        self._progress = progress
        self._variants = _drawn(data.variants, options.queries, options.seed)
        self._keywords: Keywords | None = None
        self._bm25: lexical.Bm25 | None = None
        #: (protocol, row) → text of a query → its NDCG, of the queries as they came.
        self._of_original: dict[tuple[str, str], dict[str, float]] = {}

    def run(self, encoders: dict[str, Encoder]) -> None:
        """Measure with every encoder."""
        if not lexical.missing():
            self._progress(f"{self._data.name}: keywords", 0, 0)
            self._bm25 = lexical.Bm25([item_text(item) for item in self._data.items.values()])
        for name, encoder in encoders.items():
            self._measure(name, encoder)

    def _measure(self, name: str, encoder: Encoder) -> None:
        data, told = self._data.name, self._progress
        catalogue = Catalogue(
            self._data, self._settings, encoder, lambda steps, total: told(f"{data}: {name}: texts and index", steps, 2 * total)
        )
        self._time_encoder(name, encoder)
        first = self._keywords is None
        if self._bm25 is not None and first:
            self._keywords = Keywords(catalogue, self._bm25)
        methods = build(catalogue, self._keywords)
        rows: dict[str, Method] = {f"{name}/{method}": one for method, one in methods.items()}
        if self._keywords is not None and first:
            rows[KEYWORDS] = self._keywords
        self._retrieve(name, catalogue, rows)
        self._judge_pairs(name, catalogue, keywords=first)
        if self._options.lists and self._data.deep:
            self._judge_lists(name, catalogue)

    def _time_encoder(self, name: str, encoder: Encoder) -> None:
        texts = [query.text for query in self._variants[""]][:_TIMED]
        seconds = []
        for text in texts:
            begin = perf_counter()
            encoder.encode([text], query=True)
            seconds.append(perf_counter() - begin)
        told = self._result["encoders"].setdefault(name, {"dim": encoder.dim, "ms_per_query": {}})
        told["ms_per_query"][self._data.name] = round(1e3 * float(np.median(seconds)), 3)

    # -- answers to queries ------------------------------------------------------------------------------------------

    def _retrieve(self, encoder: str, catalogue: Catalogue, rows: dict[str, Method]) -> None:
        for variant, queries in self._variants.items():
            for protocol in ("judged", "whole") if self._data.deep else ("whole",):
                judge = retrieval.Judge(catalogue, queries, self._data.least, protocol)
                if judge.queries:
                    self._protocol(f"{self._data.name}{variant}", protocol, judge, encoder, rows)

    def _protocol(self, name: str, protocol: str, judge: retrieval.Judge, encoder: str, rows: dict[str, Method]) -> None:
        seed, ours = self._options.seed, f"{encoder}/{retrieval.OURS}"
        told = partial(self._progress, f"{name}: {protocol}: {encoder}", 1, len(rows) * len(judge.queries))
        found = {row: judge.values(method, told) for row, method in rows.items()}
        table = self._result["retrieval"].setdefault(name, {}).setdefault(protocol, {})
        for row, (values, seconds) in found.items():
            table[row] = {"queries": len(judge.queries), **retrieval.figures(values, seconds, seed)}
            if row not in {ours, KEYWORDS}:
                table[row]["lead_over_hnsw"] = retrieval.lead(values, found[ours][0], seed)
            by_text = {query.text: float(value) for query, value in zip(judge.queries, values[:, 0], strict=True)}
            if name == self._data.name:
                self._of_original[protocol, row] = by_text
            original = retrieval.of_originals(judge.queries, self._of_original.get((protocol, row), {}))
            if original is not None:
                table[row]["ndcg@10_of_originals"] = original

    # -- pairs -------------------------------------------------------------------------------------------------------

    def _judge_pairs(self, encoder: str, catalogue: Catalogue, *, keywords: bool) -> None:
        judged = self._data.pairs
        if not judged:
            return
        self._progress(f"{self._data.name}: pairs: {encoder}", 0, 0)
        table = self._result["pairs"].setdefault(self._data.name, {})
        numbers = pairs.numbered([query for query, _, _ in judged])
        grades = np.array([grade for _, _, grade in judged], np.int64)
        places = np.array([catalogue.places[item_id] for _, item_id, _ in judged], np.intp)
        texts = list(dict.fromkeys(query for query, _, _ in judged))
        vectors = catalogue.texts.encode(texts, query=True)
        cosines = np.einsum("ij,ij->i", vectors[numbers], catalogue.vectors[places]).astype(np.float64)
        table[f"{encoder}/exact"] = pairs.figures(cosines, grades, numbers, self._options.seed)
        if keywords and self._bm25 is not None:
            scores = np.zeros(len(judged))
            members = np.split(np.argsort(numbers, kind="stable"), np.cumsum(np.bincount(numbers))[:-1])
            for text, chosen in zip(texts, members, strict=True):
                scores[chosen] = self._bm25.scores(text)[places[chosen]]
                self._progress(f"{self._data.name}: pairs: {KEYWORDS}", 1, len(texts))
            table[KEYWORDS] = pairs.figures(scores, grades, numbers, self._options.seed)

    # -- lists -------------------------------------------------------------------------------------------------------

    def _judge_lists(self, encoder: str, catalogue: Catalogue) -> None:
        judge = ListJudge(catalogue, self._data.least)
        shop = catalogue.shop
        rankers = {
            "streamrec": shop.knowledge.ranker,
            "without search": shop.ranker(self._settings.ranking.model_copy(update={"weight_search": 0.0})),
        }
        for variant in _IN_LISTS:
            chosen = visits(self._variants.get(variant, []), self._data.least, self._options.seed)
            if not chosen:
                continue
            name = f"{self._data.name}{variant}"
            told = partial(self._progress, f"{name}: lists: {encoder}", 1, len(SCENARIOS) * len(rankers) * len(chosen))
            table = self._result["lists"].setdefault(name, {}).setdefault(encoder, {"visits": len(chosen)})
            for row, ranker in rankers.items():
                table[row] = judge.figures(chosen, ranker, self._options.seed, told)


def _drawn(variants: dict[str, list[Query]], n: int, seed: int) -> dict[str, list[Query]]:
    """Return ``n`` of the queries as they came, all for 0, and of each variant what was made of these."""
    queries = variants[""]
    if not n or n >= len(queries):
        return variants
    chosen = np.sort(np.random.default_rng(seed).choice(len(queries), n, replace=False))
    kept = [queries[place] for place in chosen.tolist()]
    texts = {query.text for query in kept}
    return {"": kept} | {name: [q for q in made if q.original in texts] for name, made in variants.items() if name}
