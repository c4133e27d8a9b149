"""The texts of a stream, embedded once for all methods that need them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamrec.embedding import Encoder, item_text
from streamrec.evaluate.streams import Stream
from streamrec.events import CatalogItem


class StreamTexts:
    """An encoder that knows the vectors of all texts of a stream beforehand; the vector of a text does not tell when it comes."""

    def __init__(self, encoder: Encoder, stream: Stream) -> None:
        self._encoder = encoder
        self.name, self.dim, self.digest = encoder.name, encoder.dim, encoder.digest
        facts = (step.record.value for step in stream.steps)
        texts = list(dict.fromkeys(item_text(fact) for fact in facts if isinstance(fact, CatalogItem)))
        self._vectors = dict(zip(texts, encoder.encode(texts), strict=True)) if texts else {}

    def encode(self, texts: Sequence[str], *, query: bool = False) -> NDArray[np.float32]:
        """Return (n, dim) float32 rows of norm 1; a text or query that is new is passed on to the encoder."""
        if query or any(text not in self._vectors for text in texts):
            return self._encoder.encode(texts, query=query)
        return np.stack([self._vectors[text] for text in texts]) if texts else np.empty((0, self.dim), np.float32)

    def vector(self, item: CatalogItem) -> NDArray[np.float32]:
        """Return the (dim,) float32 vector of an item's text."""
        vector: NDArray[np.float32] = self.encode([item_text(item)])[0]
        return vector
