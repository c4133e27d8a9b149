"""Rates, latencies and agreement on the CPU; everybody takes turns within one run, on the same texts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streamrec.bench.catalogue.titles import default_folder
from streamrec.bench.embed.peers import Encode, PlainWay, numpy_package
from streamrec.bench.embed.texts import draw, mixed
from streamrec.config import ModelSettings, Settings
from streamrec.embedding import SentenceEncoder, load_encoder, minilm
from streamrec.embedding.runtime import cores
from streamrec.errors import ModelError

Progress = Callable[[str, int, int], None]

#: Each family's reference, whose vectors and rates the others are compared with, and the settings of ours.
_FAMILIES: Final = {
    "use": ("use-multilingual-v3", "use_numpy", "use_vs_numpy"),
    "minilm": ("minilm-int8", "minilm_plain", "minilm_vs_plain"),
}
_PRECISIONS: Final = ("float32", "int8")
#: Texts on which the numpy package shows with how many threads it is quickest.
_TRIAL: Final = 400
_TRANSFORMERS: Final = "sentence-transformers was left out: it needs torch, of which no build without CUDA is installed"


@dataclass(frozen=True)
class Options:
    """How much is measured."""

    texts: int = 2000
    rounds: int = 3
    singles: int = 200
    batch: int = 256
    threads: int = 0
    data: Path | None = None


@dataclass(frozen=True)
class _Subject:
    """One encoder under measurement, and how many tokens it makes of the texts."""

    family: str
    encode: Encode
    tokens: int


def run(
    options: Options = Options(), settings: ModelSettings | None = None, progress: Progress = lambda *_: None
) -> dict[str, Any]:
    """Return what each encoder holds, and how it stands to the reference of its family.

    ``rates`` are texts per second, median of the rounds, ``latency_ms`` is per text alone and in batches, ``ratios`` are to the
    reference by the clock, ``cpu_ratios`` by the CPU time used, ``cosine`` to its float32 vectors.

    Every encoder starts warm. ``ratios`` are of rounds, not of medians: a slow minute slows all of a round. ``cpu_ratios`` say the
    same on a machine that does other things meanwhile: they count what all threads of this process used.
    """
    sources = draw(options.texts, options.data or default_folder())
    texts = mixed(sources)
    threads = options.threads or cores()
    subjects, notes = _subjects((settings or Settings.load().model), texts, threads)
    vectors: dict[str, NDArray[np.float32]] = {}
    for name, subject in subjects.items():
        vectors[name] = subject.encode(texts)
        progress("warm up", 1, len(subjects))
    clock, used = _rounds(subjects, texts, options.rounds, progress)
    return {
        "texts": len(texts),
        "sources": {name: len(found) for name, found in sources.items()},
        "threads": threads,
        "cores": cores(),
        "rates": {name: round(len(texts) / median(times), 1) for name, times in clock.items()},
        "cpu_rates": {name: round(len(texts) / median(times), 1) for name, times in used.items()},
        "tokens_per_s": {name: round(subject.tokens / median(clock[name])) for name, subject in subjects.items()},
        "ratios": _ratios(subjects, clock),
        "cpu_ratios": _ratios(subjects, used),
        "latency_ms": {
            name: _latencies(subject.encode, texts, options, partial(progress, "one by one")) for name, subject in subjects.items()
        },
        "cosine": _cosines(subjects, vectors),
        "notes": [_TRANSFORMERS, *notes],
    }


def _subjects(model: ModelSettings, texts: Sequence[str], threads: int) -> tuple[dict[str, _Subject], list[str]]:
    subjects: dict[str, _Subject] = {}
    notes: list[str] = []
    for family, (name, reference, _) in _FAMILIES.items():
        wanted = {
            "name": name,
            "provider": "cpu",
            "threads": threads,
            "onnx_path": None,
            "tokenizer_path": None,
            "batch_tokens": 0,
            "dim": 0,
        }
        try:
            ours = {
                precision: load_encoder(model.model_copy(update={**wanted, "precision": precision})) for precision in _PRECISIONS
            }
        except ModelError as error:
            notes.append(f"{family} was left out: {error}")
            continue
        first = ours["float32"]
        assert isinstance(first, SentenceEncoder)
        tokens = first.count_tokens(texts)
        plain: Encode
        if family == "use":
            plain, best = numpy_package(threads, texts[:_TRIAL])
            notes.append(f"the numpy package ran with {best} of {threads} threads, at which it was quickest")
        else:
            plain = PlainWay(*minilm.packaged(), model.max_tokens)
        subjects[reference] = _Subject(family, plain, tokens)
        for precision, encoder in ours.items():
            subjects[f"{family}_{precision}"] = _Subject(family, encoder.encode, tokens)
    return subjects, notes


def _rounds(
    subjects: dict[str, _Subject], texts: list[str], rounds: int, progress: Progress
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Return the seconds of each round, by the clock and of the CPU."""
    clock: dict[str, list[float]] = {name: [] for name in subjects}
    used: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(rounds):
        for name, subject in subjects.items():
            started, before = time.perf_counter(), time.process_time()
            subject.encode(texts)
            clock[name].append(time.perf_counter() - started)
            used[name].append(time.process_time() - before)
            progress("rounds", 1, rounds * len(subjects))
    return clock, used


def _ratios(subjects: dict[str, _Subject], seconds: dict[str, list[float]]) -> dict[str, float]:
    ratios: dict[str, float] = {}
    for name, subject in subjects.items():
        _, reference, label = _FAMILIES[subject.family]
        if name == reference:
            continue
        pairs = zip(seconds[reference], seconds[name], strict=True)
        suffix = "" if name.endswith("_float32") else "_int8"
        ratios[label + suffix] = round(median(theirs / ours for theirs, ours in pairs), 2)
    return ratios


def _latencies(encode: Encode, texts: list[str], options: Options, step: Callable[[int, int], None]) -> dict[str, float]:
    """Return milliseconds per text at p50 and p99: texts alone, and in full batches, where a text waits for its whole batch."""
    single = []
    for text in texts[: options.singles]:
        started = time.perf_counter()
        encode([text])
        single.append(time.perf_counter() - started)
    full = []
    for start in range(0, max(len(texts) - options.batch, 0) + 1, options.batch):
        part = texts[start : start + options.batch]
        started = time.perf_counter()
        encode(part)
        full.append((time.perf_counter() - started) / len(part))
    step(1, 2 * (len(_PRECISIONS) + 1))
    found = {"single": single, "full": full}
    return {f"{kind}_p{p}": round(float(np.percentile(times, p)) * 1e3, 3) for kind, times in found.items() for p in (50, 99)}


def _cosines(subjects: dict[str, _Subject], vectors: dict[str, NDArray[np.float32]]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for name, subject in subjects.items():
        reference = _FAMILIES[subject.family][1]
        if name != reference:
            cosine = np.einsum("ij,ij->i", vectors[name], vectors[reference])
            found[name] = {"min": round(float(cosine.min()), 6), "mean": round(float(cosine.mean()), 6)}
    return found
