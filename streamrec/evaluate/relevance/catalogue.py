"""The shop that the workers would have of a labelled catalogue, and its texts and vectors for other methods."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from streamrec.config import Settings
from streamrec.demo.data.port import Record
from streamrec.embedding import Encoder, item_text
from streamrec.evaluate.methods.shop import Shop
from streamrec.evaluate.relevance.judgements import LabelledSet
from streamrec.evaluate.streams import Step, Stream
from streamrec.evaluate.texts import StreamTexts
from streamrec.events.topics import CATALOG

#: Texts between two words to whoever watches.
_BLOCK = 256
#: Hears how many of how many texts or items went by.
Told = Callable[[int, int], None]


class _Watched:
    """An encoder that tells how far it is."""

    def __init__(self, encoder: Encoder, told: Told) -> None:
        self._encoder = encoder
        self._told = told
        self.name, self.dim, self.digest = encoder.name, encoder.dim, encoder.digest

    def encode(self, texts: Sequence[str], *, query: bool = False) -> NDArray[np.float32]:
        """Return (n, dim) float32 rows of norm 1."""
        if query or len(texts) <= 1:
            return self._encoder.encode(texts, query=query)
        rows = []
        for start in range(0, len(texts), _BLOCK):
            rows.append(self._encoder.encode(texts[start : start + _BLOCK]))
            self._told(len(rows[-1]), len(texts))
        return np.concatenate(rows)


class Catalogue:
    """Products in their order, as rows of (n, dim) vectors of one encoder and as the shop that lists and searches are made from."""

    def __init__(self, data: LabelledSet, settings: Settings, encoder: Encoder, told: Told = lambda *_: None) -> None:
        steps = [Step(Record(item.ts, CATALOG, item_id, item)) for item_id, item in data.items.items()]
        self.texts = StreamTexts(_Watched(encoder, told), Stream(data.name, data.description, steps))
        self.shop = Shop(settings, self.texts)
        for step in steps:
            self.shop.learn(step)
            told(1, len(steps))
        self.encoder = encoder
        self.ids = tuple(data.items)
        self.places = {item_id: place for place, item_id in enumerate(self.ids)}
        #: (n, dim) float32.
        self.vectors = self.texts.encode([item_text(item) for item in data.items.values()])
        items = self.shop.knowledge.items
        #: (n,) uint64; equal scores go by it.
        self.hashes = items.id_hash[items.find_all(self.ids)]
        #: Just after the newest product came.
        self.now_ms = max(item.ts for item in data.items.values()) + 60_000
