"""Items whose text is like that of the items that the visitor met last."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamrec.evaluate.methods.baseline import Baseline, Scores, latest
from streamrec.evaluate.streams import Step
from streamrec.evaluate.texts import StreamTexts
from streamrec.events import CatalogItem


class Content(Baseline):
    """The nearest texts to the latest ``depth`` items, the n-th latest counting 1 / n; an exact search over all vectors."""

    def __init__(self, texts: StreamTexts, depth: int = 10) -> None:
        super().__init__()
        self._texts = texts
        self._depth = depth
        self._vectors = np.zeros((1024, texts.dim), np.float32)

    @property
    def nbytes(self) -> int:
        """Bytes of what the method holds; the encoder is everybody's."""
        texts, self._texts = self._texts, None  # type: ignore[assignment]
        try:
            return super().nbytes
        finally:
            self._texts = texts

    def _hear(self, step: Step) -> None:
        item = step.record.value
        if isinstance(item, CatalogItem):
            row = self.items.row(step.record.key)
            while row >= len(self._vectors):
                self._vectors = np.concatenate([self._vectors, np.zeros_like(self._vectors)])
            self._vectors[row] = self._texts.vector(item)

    def remember(self, step: Step) -> None:
        """Take a step into the visitor's history alone; what an item is called is no model."""
        self._hear(step)
        super().remember(step)

    def _scores(self, visitor: str, history: Sequence[int], now_ms: int) -> Scores:  # noqa: ARG002 - only texts count
        wanted = np.zeros(self._vectors.shape[1], np.float32)
        for row, weight in latest(history, self._depth):
            wanted += np.float32(weight) * self._row(row)
        scores: Scores = np.zeros(len(self.items))
        n = min(len(self.items), len(self._vectors))
        scores[:n] = self._vectors[:n] @ wanted
        return scores

    def _row(self, row: int) -> NDArray[np.float32]:
        return self._vectors[row] if row < len(self._vectors) else np.zeros(self._vectors.shape[1], np.float32)
