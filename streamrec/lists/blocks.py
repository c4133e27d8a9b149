"""Many, some at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

_T = TypeVar("_T")


def blocks(things: Iterable[_T], n: int) -> Iterator[list[_T]]:
    """Yield ``n`` things at a time, in the end what is left.

    >>> list(blocks("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    things = iter(things)
    while block := list(islice(things, n)):
        yield block
