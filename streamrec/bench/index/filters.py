"""Filters of given selectivity by what items really have: price bands, categories, brands and sellers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamrec.bench.catalogue import BenchCatalogue

SHARES: Final = (0.5, 0.05, 0.005, 0.0005)


def filters(catalogue: BenchCatalogue, items: int) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield for each of ``SHARES`` what is asked for, in words, and the (items,) bool mask of the first items that pass.

    The first is a price below the median; the others are the category, brand or seller whose share is nearest.
    """
    columns: dict[str, list[str]] = {"category": [], "brand": [], "seller": []}
    prices = np.empty(items)
    for i in range(items):
        item = catalogue.item(i, 0)
        prices[i] = item.price or 0.0
        for name, value in (("category", item.category), ("brand", item.brand), ("seller", item.seller)):
            columns[name].append(value)
    median = float(np.median(prices))
    yield f"price < {median:.2f}", prices < median
    arrays = {name: np.array(values) for name, values in columns.items()}
    counted = [
        (name, value, count)
        for name, values in arrays.items()
        for value, count in zip(*(part.tolist() for part in np.unique(values, return_counts=True)), strict=True)
        if value
    ]
    for share in SHARES[1:]:
        name, value, _ = min(counted, key=lambda entry: (abs(np.log(entry[2] / (share * items))), entry[0], entry[1]))
        yield f"{name} = {value}", arrays[name] == value
