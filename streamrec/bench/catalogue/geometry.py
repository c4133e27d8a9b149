"""More vectors of the same geometry: points between real neighbours, moved along differences that real vectors have.

A derived vector is normalise(a + t·(b − a) + s·(c − d) + g·(e − f)): a is a real vector, b, c and d are among its nearest real
neighbours, e and f are any two real vectors. So the noise is coloured: its second part as the neighbourhood is, its last as the
whole, with 2·g² times the covariance of the real vectors. Interpolation between neighbours is SMOTE's (Chawla et al., 2002); alone
it would thin a neighbourhood out to lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streamrec.config import IndexSettings
from streamrec.embedding.encoder import unit_rows
from streamrec.index.hnsw import build_hnsw

Floats = NDArray[np.float32]
#: Vectors derived at once. Each chunk has its own random numbers, so a smaller catalogue is the beginning of a larger one.
CHUNK: Final = 32_768
NEIGHBOURS: Final = 16
#: The range of t, and the standard deviations of s and g. Chosen by ``describe``: with less noise derived vectors lie too near.
_STEP: Final = (0.1, 0.7)
_LOCAL: Final = 0.55
_GLOBAL: Final = 0.17
#: Rows of a sample and queries among them: enough for two digits, seconds to measure.
SAMPLE: Final = 20_000
_ASKED: Final = 1_000


def near_neighbours(real: Floats) -> NDArray[np.int32]:
    """Return for each row about the ``NEIGHBOURS`` nearest other rows, (n, NEIGHBOURS) int32; in tiny sets rows repeat."""
    index = build_hnsw(IndexSettings(max_items=max(1, len(real))), real.shape[1])
    index.upsert(np.arange(len(real)), real)
    found = np.empty((len(real), NEIGHBOURS), np.int32)
    for start in range(0, len(real), 4096):
        labels = index.search(real[start : start + 4096], NEIGHBOURS + 1)[0]
        itself = np.arange(start, start + len(labels), dtype=np.int32)[:, None]
        # The row itself goes to the end and is cut off; a missing neighbour is the row itself, and so moves nothing.
        order = np.argsort(labels == itself, axis=1, kind="stable")
        nearest = np.take_along_axis(labels, order, axis=1)[:, :NEIGHBOURS]
        found[start : start + len(labels)] = np.where(nearest < 0, itself, nearest)
    return found


def parents(real: int, derived: int, seed: int) -> NDArray[np.int32]:
    """Return which real row each derived one starts from, (derived,) int32."""
    chunks = [_rng(seed, start).integers(0, real, CHUNK, dtype=np.int32) for start in range(0, derived, CHUNK)]
    return np.concatenate([*chunks, np.empty(0, np.int32)])[:derived]


def derive(real: Floats, neighbours: NDArray[np.int32], derived: int, seed: int) -> Iterator[NDArray[np.float16]]:
    """Yield ``derived`` vectors of norm 1 in chunks of at most ``CHUNK`` rows, the same ones for the same seed."""
    for start in range(0, derived, CHUNK):
        rng = _rng(seed, start)
        a = rng.integers(0, len(real), CHUNK, dtype=np.int32)
        b, c, d = neighbours[a[:, None], rng.integers(0, NEIGHBOURS, (CHUNK, 3))].T
        e, f = rng.integers(0, len(real), (2, CHUNK))
        t, s, g = rng.uniform(*_STEP, CHUNK), rng.normal(0.0, _LOCAL, CHUNK), rng.normal(0.0, _GLOBAL, CHUNK)
        rows = real[a]
        for weight, to, since in ((t, b, a), (s, c, d), (g, e, f)):
            rows += weight.astype(np.float32)[:, None] * (real[to] - real[since])
        yield unit_rows(rows)[: derived - start].astype(np.float16)


def _rng(seed: int, start: int) -> np.random.Generator:
    return np.random.default_rng([seed, start])


def describe(vectors: NDArray[Any], size: int = SAMPLE, seed: int = 0) -> dict[str, float]:
    """Measure the geometry of ``size`` of the rows, drawn at random, at most 20,000.

    Cosines to the nearest and to the 10th other row (mean, and the quantiles 0.1, 0.5 and 0.9), and the share of the variance that
    the first 96, 192 and 256 principal components explain. Sets are comparable where their samples are of the same size.
    """
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(len(vectors), min(len(vectors), size, SAMPLE), replace=False))
    sample = np.asarray(vectors[rows], np.float32)
    asked = rng.choice(len(sample), min(len(sample), _ASKED), replace=False)
    scores = sample[asked] @ sample.T
    scores[np.arange(len(asked)), asked] = -np.inf
    best = -np.sort(-scores, axis=1)[:, :10]
    figures = {"rows": float(len(sample))}
    for name, column in (("nearest", best[:, 0]), ("tenth", best[:, -1])):
        low, middle, high = np.quantile(column, [0.1, 0.5, 0.9])
        figures |= {name: float(column.mean()), f"{name}_q10": float(low), f"{name}_q50": float(middle), f"{name}_q90": float(high)}
    variances = np.linalg.eigvalsh(np.cov(sample, rowvar=False))[::-1]
    figures |= {f"explained_{size}": float(variances[:size].sum() / variances.sum()) for size in (96, 192, 256)}
    return {name: round(value, 4) for name, value in figures.items()}
