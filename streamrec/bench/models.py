"""Texts per second of several models on the same texts, in turn, so that their ratios stand whatever else the machine does."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import zip_longest
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np

from streamrec.config import ModelSettings
from streamrec.embedding import Encoder, item_text, load_named
from streamrec.errors import DataError, ModelError
from streamrec.evaluate.relevance.judgements import open_labelled

MODELS: Final = ("use-multilingual-v3", "minilm-int8", "multilingual-e5-small")
_ALONE: Final = 50

#: Hears what is being done, and of how many steps how many went by since the last time.
Progress = Callable[[str, int, int], None]


def titles(data: Path, n: int, seed: int = 7) -> list[str]:
    """Draw ``n`` texts of items evenly from all labelled sets of the folder, one of each in turn. Raises DataError without any."""
    drawn = []
    for read in open_labelled(data).values():
        texts = list(dict.fromkeys(item_text(item) for item in read().items.values()))
        order = np.random.default_rng(seed).permutation(len(texts))[:n]
        drawn.append([texts[place] for place in order.tolist()])
    mixed = [text for texts in zip_longest(*drawn) for text in texts if text]
    if not mixed:
        msg = f"{data} holds no texts; give the folder that `streamrec relevance` reads"
        raise DataError(msg)
    return mixed[:n]


def run(
    texts: Sequence[str],
    settings: ModelSettings,
    names: Sequence[str] = (),
    *,
    rounds: int = 3,
    progress: Progress = lambda *_: None,
) -> dict[str, Any]:
    """Return for each model texts per second, its share of the first model's rate, and milliseconds for a text alone.

    Medians over ``rounds``, in each of which every model embeds all texts once, warm. Raises ModelError where none is installed.
    """
    encoders: dict[str, Encoder] = {}
    missing: dict[str, str] = {}
    for name in names or MODELS:
        try:
            encoders[name] = load_named(name, settings)
        except ModelError as error:
            missing[name] = str(error)
    if not encoders:
        raise ModelError("; ".join(missing.values()))
    rates: dict[str, list[float]] = {name: [] for name in encoders}
    alone: dict[str, list[float]] = {name: [] for name in encoders}
    for encoder in encoders.values():
        encoder.encode(texts[:_ALONE])
    for _ in range(rounds):
        for name, encoder in encoders.items():
            start = time.perf_counter()
            encoder.encode(texts)
            rates[name].append(len(texts) / (time.perf_counter() - start))
            alone[name] += [_seconds(encoder, text) for text in texts[:_ALONE]]
            progress("models: rounds", 1, rounds * len(encoders))
    first = next(iter(rates))
    return {
        "texts": len(texts),
        "rounds": rounds,
        "precision": settings.precision,
        "models": {
            name: {
                "texts_per_s": round(median(rates[name]), 1),
                f"of_{first}": round(median(one / other for one, other in zip(rates[name], rates[first], strict=True)), 3),
                "ms_alone_p50": round(1e3 * median(alone[name]), 3),
                "dim": encoders[name].dim,
                "on_gpu": bool(getattr(encoders[name], "on_gpu", False)),
            }
            for name in encoders
        },
        "missing": missing,
    }


def _seconds(encoder: Encoder, text: str) -> float:
    start = time.perf_counter()
    encoder.encode([text], query=True)
    return time.perf_counter() - start
