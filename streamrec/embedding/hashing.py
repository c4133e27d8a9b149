"""A deterministic encoder without a model, for unit tests only."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamrec.embedding.encoder import unit_rows
from streamrec.errors import ConfigError

_WORD: Final = re.compile(r"\w+")
_MAX_WORDS: Final = 128


class HashingEncoder:
    """Sums one pseudo-random direction per word, so texts that share words lie close; it knows no meaning.

    Random indexing (Kanerva et al., 2000) with a hash in place of the dictionary. Deterministic across processes and machines.
    Another ``seed`` draws other directions, so that nothing but chance makes two models agree on a cosine.
    """

    name = "hashing"

    def __init__(self, dim: int = 64, seed: str = "") -> None:
        if dim < 1:
            msg = f"dim is {dim}; give at least 1"
            raise ConfigError(msg)
        self.dim = dim
        self._seed = seed.encode()
        self.digest = hashlib.sha256(f"hashing-1:{dim}{seed and ':'}{seed}".encode()).hexdigest()[:16]

    def encode(self, texts: Sequence[str], *, query: bool = False) -> NDArray[np.float32]:  # noqa: ARG002 - no prefixes here
        """Return (n, dim) float32 rows of norm 1, the sums of the directions of each text's first 128 words."""
        rows = np.zeros((len(texts), self.dim), dtype=np.float32)
        for place, text in enumerate(texts):
            for word in _WORD.findall(text.casefold())[:_MAX_WORDS] or [""]:
                rows[place] += self._direction(word)
        return unit_rows(rows)

    def _direction(self, word: str) -> NDArray[np.float32]:
        bits = hashlib.shake_256(self._seed + word.encode("utf-8", "surrogatepass")).digest(2 * self.dim)
        # +0.5 keeps every component away from zero, so no word is without a direction.
        return (np.frombuffer(bits, dtype="<i2").astype(np.float32) + 0.5) / 32768.0
