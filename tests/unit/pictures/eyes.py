"""An eye without a model: the mean colour of a picture, and what it was shown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamrec.pictures.decoding import decode
from streamrec.pictures.projection import Projection

TEXT = "text-encoder"


class ColourEye:
    dim = 3
    digest = "colour"

    def __init__(self) -> None:
        self.looked = 0
        self.fail = False

    def look(self, content: bytes) -> NDArray[np.uint8]:
        self.looked += 1
        return decode(content, 8, 1_000_000)

    def see(self, pixels: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        if self.fail:
            raise RuntimeError("out of memory")
        means: NDArray[np.float32] = np.stack(pixels).mean(axis=(1, 2)).astype(np.float32)
        return means


def projection(dim: int = 16, *, space: str = TEXT, seed: int = 1) -> Projection:
    """Return a map from colours to directions, the same for the same seed."""
    matrix = np.random.default_rng(seed).normal(size=(3, dim)).astype(np.float32)
    return Projection(np.full(3, 128, np.float32), matrix, np.zeros(dim, np.float32), ColourEye.digest, space)
