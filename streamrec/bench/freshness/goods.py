"""The catalogue as this bench uses it: messages with an age, vectors, and new editions of items."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from streamrec.bench.catalogue import BenchCatalogue, Title, bench_catalogue
from streamrec.embedding import content_digest, item_text
from streamrec.events import CatalogItem, ItemVector

#: The oldest item came into the shop so long ago; newest first they are even in time.
_OLDEST_MS: Final = 90 * 86_400_000


class Goods:
    """``catalogue`` as of ``base_ms``; ages are spread over three months, so that some items are new and most are not."""

    def __init__(self, catalogue: BenchCatalogue, base_ms: int, seed: int) -> None:
        self._catalogue = catalogue
        self.vectors = catalogue.vectors
        self.model_digest = catalogue.model_digest
        ages = np.random.default_rng(seed).permutation(len(catalogue)) / max(len(catalogue), 1)
        self._listed_ms = (base_ms - 1 - ages * _OLDEST_MS).astype(np.int64)

    def __len__(self) -> int:
        return len(self._catalogue)

    def item_id(self, i: int) -> str:
        """Return the i-th item's id."""
        return self._catalogue.item_id(i)

    def message(self, i: int) -> CatalogItem:
        """Return the i-th item's catalogue message, of the time when it came into the shop."""
        return self._catalogue.item(i, int(self._listed_ms[i]))

    def vector(self, i: int, item: CatalogItem) -> ItemVector:
        """Return the vector message that the embedder would send for the item's message."""
        return ItemVector(
            content_digest=content_digest(item_text(item), self.model_digest),
            model_digest=self.model_digest,
            dim=self.vectors.shape[1],
            vector=self.vectors[i].astype("<f2").tobytes(),
            ts=item.ts,
        )

    def edition(self, i: int, title: str, ts: int) -> CatalogItem:
        """Return the i-th item under another title, without price and stock: those have their own topics."""
        return msgspec.structs.replace(self.message(i), title=title, ts=ts, price=None, quantity=None)

    def categories(self) -> NDArray[np.int32]:
        """Return a number for each item's category, (n,) int32."""
        codes: dict[str, int] = {}
        return np.fromiter((codes.setdefault(self.message(i).category, len(codes)) for i in range(len(self))), np.int32, len(self))

    @property
    def notes(self) -> list[str]:
        """What the catalogue says of itself."""
        return list(self._catalogue.notes)


@dataclass(frozen=True)
class GoodsSpec:
    """From which each process makes the same goods: ``n`` items as of ``base_ms``, real titles out of the folder ``data``."""

    n: int
    base_ms: int
    seed: int
    data: Path | None = None
    #: Instead of those.
    titles: tuple[Title, ...] | None = None

    def open(self, say: Callable[[str], None] | None = None) -> Goods:
        """Return the goods. Raises DataError where there are no titles at all."""
        return Goods(bench_catalogue(self.n, folder=self.data, say=say, titles=self.titles), self.base_ms, self.seed)
