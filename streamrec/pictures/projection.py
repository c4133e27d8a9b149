"""Features of a picture → a direction in the space of a text encoder, fitted by ridge regression on items that have both.

Why a projection: the vectors of items with and without a picture stay in one space, with the dimension and the digest of the text
encoder. Queries are text and meet pictures there; an item without a picture keeps its vector to the bit; turning pictures on or
off needs no new index. The figures beside the alternatives are in deploy/QUALITY.md.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from streamrec.embedding.encoder import unit_rows
from streamrec.errors import ConfigError, ModelError

Floats = NDArray[np.float32]

#: How much of the texts' mean stays in a picture's direction. The mean is what all texts have in common; with none of it, items
#: with a picture would be farther from everything than items without, with all of it nearer.
_MEAN_KEPT: Final = 0.5
#: Strengths of the ridge that are tried, relative to the mean variance of a feature.
_RIDGES: Final = (0.03, 0.1, 0.3, 1.0, 3.0)
#: Every so-manieth pair is held out while the strength is chosen.
_HELD_OUT: Final = 5
#: Fewer pairs than this say nothing about a thousand features.
LEAST_PAIRS: Final = 50


@dataclass(frozen=True)
class Projection:
    """A linear map with the digests of what it leads from and to."""

    #: (features,) the mean picture, (features, dim) the map, (dim,) what is added; float32.
    center: Floats
    matrix: Floats
    offset: Floats
    #: The image encoder's digest, and the text encoder's.
    eye: str
    space: str
    #: Pairs that it was fitted on, and the strength of the ridge that was chosen.
    pairs: int = 0
    ridge: float = 0.0

    def __call__(self, features: Floats) -> Floats:
        """Return (n, dim) float32 unit rows of (n, features) float32."""
        return unit_rows(np.asarray((features - self.center) @ self.matrix + self.offset, np.float32))

    @cached_property
    def digest(self) -> str:
        """16 hex characters that change with whatever changes its rows."""
        digest = hashlib.sha256(f"{self.eye}-{self.space}".encode())
        for part in (self.center, self.matrix, self.offset):
            digest.update(np.ascontiguousarray(part, "<f4").tobytes())
        return digest.hexdigest()[:16]

    def save(self, path: Path) -> None:
        """Write it to ``path``; raises ConfigError where that cannot be written."""
        content = io.BytesIO()
        np.savez(
            content,
            center=self.center,
            matrix=self.matrix,
            offset=self.offset,
            about=np.array([self.eye, self.space, str(self.pairs), str(self.ridge)]),
        )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.getvalue())
        except OSError as error:
            msg = f"{path} cannot be written ({error}); give another --out"
            raise ConfigError(msg) from error

    @classmethod
    def load(cls, path: Path) -> Projection:
        """Read what ``save`` wrote; raises ModelError for anything else."""
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as held:
                eye, space, pairs, ridge = (str(word) for word in held["about"])
                arrays = [np.ascontiguousarray(held[name], np.float32) for name in ("center", "matrix", "offset")]
        except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
            msg = f"{path} is no projection of pictures ({error}); write one with `streamrec pictures fit`"
            raise ModelError(msg) from error
        center, matrix, offset = arrays
        if matrix.ndim != 2 or center.shape != matrix.shape[:1] or offset.shape != matrix.shape[1:]:
            msg = f"{path} holds arrays that do not fit together; write it again with `streamrec pictures fit`"
            raise ModelError(msg)
        return cls(center, matrix, offset, eye, space, int(pairs), float(ridge))


def fit(features: Floats, texts: Floats, *, eye: str, space: str) -> Projection:
    """Return the map from pictures (n, features) to the vectors of the same items' texts (n, dim) that generalises best.

    The strength of the ridge is chosen on a fifth of the pairs. Raises ConfigError for fewer than 50 pairs.
    """
    n = len(features)
    if n < LEAST_PAIRS:
        msg = f"{n} items with text and picture are too few to fit pictures to texts; give at least {LEAST_PAIRS}"
        raise ConfigError(msg)
    held = np.arange(n) % _HELD_OUT == 0
    tried = {ridge: _held_out_cosine(features, texts, held, ridge) for ridge in _RIDGES}
    ridge = max(tried, key=lambda one: (tried[one], one))
    return _solve(features, texts, ridge, eye=eye, space=space)


def _solve(features: Floats, texts: Floats, ridge: float, *, eye: str = "", space: str = "") -> Projection:
    center, mean = features.mean(axis=0), texts.mean(axis=0)
    x, y = (features - center).astype(np.float64), (texts - mean).astype(np.float64)
    gram = x.T @ x
    gram[np.diag_indices_from(gram)] += ridge * np.trace(gram) / len(gram)
    matrix = np.linalg.solve(gram, x.T @ y).astype(np.float32)
    return Projection(center, matrix, (_MEAN_KEPT * mean).astype(np.float32), eye, space, len(features), ridge)


def _held_out_cosine(features: Floats, texts: Floats, held: NDArray[np.bool_], ridge: float) -> float:
    """Return how well directions from the mean are met; the means themselves are no merit of the map."""
    found = _solve(features[~held], texts[~held], ridge)
    rows = unit_rows(np.asarray((features[held] - found.center) @ found.matrix, np.float32))
    wanted = unit_rows(np.asarray(texts[held] - texts[~held].mean(axis=0), np.float32))
    return float(np.einsum("ij,ij->i", rows, wanted).mean())


def mix(text: bytes, picture: Floats, weight: float) -> bytes:
    """Return the vector of an item with a picture: ``1 - weight`` of its text's and ``weight`` of the picture's, scaled to norm 1.

    ``text`` and the result are little-endian float16 numbers, ``picture`` (dim,) float32 of norm 1.
    """
    mixed = (1.0 - weight) * np.frombuffer(text, "<f2").astype(np.float32) + weight * picture
    packed: bytes = unit_rows(mixed[None].astype(np.float32))[0].astype("<f2").tobytes()
    return packed


def mix_rows(texts: Floats, pictures: Floats, weight: float) -> Floats:
    """Return ``mix`` of (n, dim) float32 rows."""
    return unit_rows(((1.0 - weight) * texts + weight * pictures).astype(np.float32))
