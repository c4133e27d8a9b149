"""A catalogue of any size for benches: real titles with their vectors, and derived items behind them whose geometry is as real.

The first items are real titles (``titles``), embedded as the embedder does. The vectors of the others are made from real ones and
their neighbours (``geometry``); how near the two geometries are is measured, see ``BenchCatalogue.geometry``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streamrec.bench.catalogue.geometry import describe, parents
from streamrec.bench.catalogue.store import Store
from streamrec.bench.catalogue.titles import Title, default_folder, real_titles
from streamrec.config import ModelSettings, Settings
from streamrec.embedding import item_text
from streamrec.events import CatalogItem

SELLERS: Final = 400
_MAX_QUANTITY: Final = 200
#: Of fewer rows the neighbours say nothing.
_COMPARABLE: Final = 1000


class BenchCatalogue:
    """``n`` items and their vectors; the same arguments always give the same ones.

    ``vectors`` is (n, dim) float16, rows of norm 1, memory-mapped. The first ``real`` items are real titles.
    """

    def __init__(self, titles: Sequence[Title], store: Store, n: int, seed: int) -> None:
        self.real = min(n, len(titles))
        self.model_digest = store.model_digest
        self.vectors: NDArray[np.float16] = store.catalogue(n, seed)
        self._titles, self._parents = titles, parents(self.real, n - self.real, seed)
        rng = np.random.default_rng(seed)
        shares = 1.0 / np.arange(1, SELLERS + 1)  # Zipf's law: the largest seller has 15 % of the items, the smallest 0.04 %
        self._sellers = rng.choice(SELLERS, n, p=shares / shares.sum()).astype(np.int16)
        self._quantities = rng.integers(1, _MAX_QUANTITY, n, dtype=np.int16)
        #: For items whose source has no price, and how a derived item's differs from its parent's.
        self._made_up = rng.lognormal(3.0, 1.0, n).astype(np.float32)
        self._jitter = rng.uniform(0.7, 1.3, n).astype(np.float32)

    def __len__(self) -> int:
        return len(self.vectors)

    def item_id(self, i: int) -> str:
        """Return the id of the i-th item, for example i-000123."""
        return f"i-{i:06d}"

    def parent(self, i: int) -> int:
        """Return the real item from which the i-th was derived, or ``i`` where it is real itself."""
        return i if i < self.real else int(self._parents[i - self.real])

    def item(self, i: int, ts: int) -> CatalogItem:
        """Return the i-th item's catalogue message: a derived one has its parent's title with a number, category and brand.

        Sellers, quantities, and prices where the source has none, are drawn.
        """
        known = self._titles[self.parent(i)]
        price = float(self._made_up[i]) if known.price is None else known.price * (1.0 if i < self.real else float(self._jitter[i]))
        return CatalogItem(
            title=known.title if i < self.real else f"{known.title} no. {i:06d}",
            category=known.category,
            brand=known.brand,
            attributes={"seller": f"seller-{self._sellers[i]:03d}"},
            price=round(max(price, 0.01), 2),
            quantity=int(self._quantities[i]),
            ts=ts,
        )

    @cached_property
    def geometry(self) -> dict[str, dict[str, float]]:
        """The measures of ``geometry.describe`` for ``real`` and, ``derived`` items, of at least 1,000; takes seconds."""
        parts = {name: rows for name, rows in self._parts() if len(rows) >= _COMPARABLE}
        size = min(map(len, parts.values()), default=0)  # of both as many: in a denser sample neighbours are nearer
        return {name: describe(rows, size) for name, rows in parts.items()}

    def _parts(self) -> list[tuple[str, NDArray[np.float16]]]:
        return [("real", self.vectors[: self.real]), ("derived", self.vectors[self.real :])]

    @property
    def notes(self) -> list[str]:
        """Return what is real and what is made up."""
        said = [f"{self.real:,} of {len(self):,} items are real titles, embedded by the configured model"]
        if self.real < len(self):
            derived = len(self) - self.real
            said.append(
                f"{derived:,} vectors lie between a real one and a near neighbour, moved by differences of other neighbours"
            )
        return [*said, "sellers, quantities, and prices where the source has none, are drawn"]


def bench_catalogue(
    n: int,
    *,
    folder: Path | None = None,
    seed: int = 7,
    say: Callable[[str], None] | None = None,
    settings: ModelSettings | None = None,
    titles: Sequence[Title] | None = None,
) -> BenchCatalogue:
    """Return a catalogue of ``n`` items; vectors are made once (minutes for a million) and kept under the model's ``cache_dir``.

    ``folder`` holds the data sets that ``titles`` knows; None is shared/data beside the repository, and where that is missing The
    Complete Journey alone. Raises DataError where there are no titles at all.
    """
    known = list(titles) if titles is not None else real_titles(folder or default_folder())
    store = Store([item_text(title.item()) for title in known], settings or Settings.load().model, say)
    return BenchCatalogue(known, store, n, seed)


__all__: Final[list[Any]] = ["BenchCatalogue", "Title", "bench_catalogue"]
