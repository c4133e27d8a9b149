"""What the load works with besides the scene."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from streamrec.bench.freshness.audience import Audience
from streamrec.bench.freshness.goods import Goods
from streamrec.bench.freshness.search import Finder


@dataclass(frozen=True)
class Shop:
    """Goods, visitors, and what the system is able to do."""

    goods: Goods
    audience: Audience
    #: What visitors clicked before, (h, n) numbers of items.
    clicks: NDArray[np.int32]
    finder: Finder
    #: Whether a changed price changes scores.
    ranks_prices: bool

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {self.goods.item_id(i): i for i in range(len(self.goods))}

    def knows(self, item_id: str) -> bool:
        """Tell whether the item is of the catalogue; items that came in during the load are not."""
        return item_id in self._numbers

    def number(self, item_id: str) -> int:
        """Return the item's number. Raises KeyError for what is not of the catalogue."""
        return self._numbers[item_id]
