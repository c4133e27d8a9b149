"""Token lists to the arrays of micro-batches: similar lengths together, little padding, no more places than fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

#: The share of padding beyond which a micro-batch is closed, once it holds enough work for a call of its own.
_MAX_WASTE: Final = 0.1
_ENOUGH: Final = 0.25  # of the budget


class Batch(NamedTuple):
    """Texts of similar length: where they stand in the call, and their ids and mask, (n, length) int64 each."""

    places: NDArray[np.int64]
    ids: NDArray[np.int64]
    mask: NDArray[np.int64]


def micro_batches(lengths: Sequence[int], budget: int, *, enough: int = 0) -> Iterator[list[int]]:
    """Yield groups of positions of similar length, shortest first, each of at most ``budget`` places when padded, or of one text.

    With ``enough`` a group of so many places also ends where the next text would leave more than a tenth of it empty.

    >>> list(micro_batches([5, 1, 4], 7))
    [[1], [2], [0]]
    >>> list(micro_batches([5, 1, 4], 10))
    [[1, 2], [0]]
    >>> list(micro_batches([5, 1, 4, 5], 20, enough=1))
    [[1], [2, 0, 3]]
    """
    group: list[int] = []
    filled = 0
    for position in sorted(range(len(lengths)), key=lengths.__getitem__):
        length = lengths[position]
        places = (len(group) + 1) * length
        wasteful = 0 < enough <= filled and places - filled - length > _MAX_WASTE * places
        if group and (places > budget or wasteful):
            yield group
            group, filled = [], 0
        group.append(position)
        filled += length
    if group:
        yield group


def batches(tokens: Sequence[Sequence[int]], budget: int, *, first: int = 0, tight: bool = True) -> Iterator[Batch]:
    """Yield the micro-batches of token lists that stand at ``first`` and behind it; ``tight`` avoids padding, too."""
    lengths = np.fromiter(map(len, tokens), dtype=np.int64, count=len(tokens))
    flat = np.fromiter(chain.from_iterable(tokens), dtype=np.int64, count=int(lengths.sum()))
    starts = np.cumsum(lengths) - lengths
    for group in micro_batches(lengths.tolist(), budget, enough=int(_ENOUGH * budget) if tight else 0):
        places = np.array(group, dtype=np.int64)
        steps = np.arange(max(int(lengths[places].max()), 1))
        real = steps < lengths[places, None]
        ids = np.zeros(real.shape, dtype=np.int64)
        ids[real] = flat[(starts[places, None] + steps)[real]]
        yield Batch(places + first, ids, real.astype(np.int64))
