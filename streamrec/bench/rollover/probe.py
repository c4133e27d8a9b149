"""Asks again and again, and holds every answer against the model that it says it is of."""

from __future__ import annotations

import threading
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from streamrec.bench.rollover.live import Page
from streamrec.bench.rollover.texts import BULK, bulk_title

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streamrec.embedding import Encoder

#: Vectors are kept as float16 and, in a large index, in 8 bits: so much a score may differ from the cosine of the encoder's own.
_CLOSE: Final = 0.03


class Prober(threading.Thread):
    """Searches for titles of the bulk; ``models`` holds, per digest of a list, the name and the encoder of its model.

    An answer is *mixed* when an item's score is not the cosine, by that model, of the query and the item's own text.
    """

    def __init__(
        self, url: str, models: Mapping[str, tuple[str, Encoder]], items: int, *, rate: float, n: int = 10, seed: int = 7
    ) -> None:
        super().__init__(name="prober", daemon=True)
        self._page = Page(url)
        self._models = models
        self._items = items
        self._rate = rate
        self._n = n
        self._rng = Random(seed)
        self._stop_asking = threading.Event()
        self.answers: Counter[str] = Counter()
        self.mixed = 0
        self.unknown = 0
        self.failed = 0
        self.checked = 0
        self.examples: list[str] = []

    def run(self) -> None:
        """Ask until stopped."""
        while not self._stop_asking.wait(1 / self._rate):
            query = bulk_title(self._rng.randrange(self._items))
            answer = self._page.search(query, self._n)
            if answer is None:
                self.failed += 1
            else:
                self._judge(query, answer)
        self._page.close()

    def stop(self) -> None:
        """End the thread."""
        self._stop_asking.set()
        if self.ident is not None:
            self.join(30.0)

    def _judge(self, query: str, answer: dict[str, Any]) -> None:
        if answer["digest"] not in self._models:
            self.unknown += 1
            return
        name, encoder = self._models[answer["digest"]]
        self.answers[name] += 1
        found = [item for item in answer["items"] if item["id"].startswith(BULK)]
        if not found:
            return
        vectors = encoder.encode([bulk_title(int(item["id"].removeprefix(BULK))) for item in found])
        told = np.array([item["score"] for item in found])
        off = np.abs(vectors @ encoder.encode([query], query=True)[0] - told)
        self.checked += len(found)
        if (off > _CLOSE).any():
            self.mixed += 1
            self.examples.append(f"{query!r} by {name}: off by {off.max():.3f}")

    def report(self) -> dict[str, Any]:
        """Return what was asked and found."""
        return {
            "answers": dict(self.answers),
            "items_checked": self.checked,
            "mixed": self.mixed,
            "of_an_unknown_model": self.unknown,
            "failed": self.failed,
            "examples": self.examples[:5],
        }
