"""Where each item stands in the text of a published list, so that it can be taken out and put back in place."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamrec.lists.packing import RankedList, pack

#: What begins an item, and stands nowhere else: inside a string each quote has a backslash before it.
_BEGIN: Final = b'{"id":'
_BEGINS: Final = re.compile(re.escape(_BEGIN))
_ITEMS: Final = b'"items":['
_ENDS: Final = b"]}"
_BORDER: Final = b'},{"id":'
_COMMA: Final = ord(",")


class Layout(NamedTuple):
    """The places of a list's text: an item's, or blank."""

    #: Bytes in front of the first place.
    head: int
    #: (n,) uint16; bytes of each place. One byte, for a comma, is between two.
    sizes: NDArray[np.uint16]
    #: (n,) bool; whether an item stands there.
    shown: NDArray[np.bool_]


class LaidOut(NamedTuple):
    """A list as it is written, and where its items stand."""

    value: bytes
    layout: Layout


def lay_out(ranked: RankedList, shown: NDArray[np.bool_] | None = None) -> LaidOut:
    """Return the list with a place for each of its n items, those that are not ``shown``, (n,) bool, left blank."""
    value = pack(ranked)
    head = value.index(_ITEMS) + len(_ITEMS)
    starts = np.array(_starts(value, head), np.int64)
    sizes = np.diff(np.append(starts, len(value) - len(_ENDS) + 1)) - 1
    if shown is None or shown.all():
        return LaidOut(value, Layout(head, sizes.astype(np.uint16), np.ones(len(sizes), np.bool_)))
    text, last = bytearray(value), int(np.flatnonzero(shown).max(initial=-1))
    for place, (start, size) in enumerate(zip(starts.tolist(), sizes.tolist(), strict=True)):
        blank, ends = start if not shown[place] else start + size, start + size
        if place < len(sizes) - 1 and (not shown[place] or place == last):
            ends += 1
        text[blank:ends] = b" " * (ends - blank)
    return LaidOut(bytes(text), Layout(head, sizes.astype(np.uint16), shown))


def measure(value: bytes) -> Layout | None:
    """Return the places of a list that ``unpack`` can read, blanks in a row as one; None where it was laid out by somebody else."""
    at, end = value.find(_ITEMS), len(value) - len(_ENDS)
    head = at + len(_ITEMS)
    if at < 0 or value[end:] != _ENDS:
        return None
    items = value.count(_BEGIN, head)
    pieces = value[head:end].split(_BORDER)
    if len(pieces) == items and value.startswith(_BEGIN, head) and value[end - 1] == _BORDER[0]:
        # Most lists have no blank, and the pieces lack what they were split at: the end of an item and how another begins.
        sizes = np.fromiter(map(len, pieces), np.int64, items) + len(_BORDER) - 1
        sizes[0] -= len(_BEGIN)
        sizes[-1] -= 1
        return Layout(head, sizes.astype(np.uint16), np.ones(items, np.bool_))
    return _with_blanks(value, head, _starts(value, head), end) if items else None


def begins(sizes: NDArray[np.uint16]) -> NDArray[np.int64]:
    """Return how many bytes behind the head each place begins; (…, k) as the places' ``sizes``."""
    wide = sizes.astype(np.int64)
    found: NDArray[np.int64] = np.cumsum(wide + 1, axis=-1) - wide - 1
    return found


def _starts(value: bytes, head: int) -> list[int]:
    return [found.start() for found in _BEGINS.finditer(value, head)]


def _with_blanks(value: bytes, head: int, starts: list[int], end: int) -> Layout | None:
    """As ``measure``: each item's text, its byte for a comma, and a blank, which has such a byte, too, unless it is the last."""
    places = [(starts[0] - head - 1, False)] if starts[0] > head else []
    for start, behind in zip(starts, [*starts[1:], end], strict=True):
        size = len(value[start:behind].rstrip(b" ,"))
        places.append((size, True))
        rest, last = behind - start - size, behind == end
        if not last and value[start + size] != _COMMA:
            return None
        if rest > (not last):
            places.append((rest - 2 + last, False))
    sizes = np.array([size for size, _ in places])
    if sizes.min() < 1:
        return None
    return Layout(head, sizes.astype(np.uint16), np.array([shown for _, shown in places], np.bool_))
