"""A ranked list as it lies in Redis: one JSON value, readable in any language."""

from __future__ import annotations

import re
from typing import Annotated, Final

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from streamrec.errors import InvalidMessage

VERSION: Final = 1
#: Enough to tell two items apart, short enough to keep a list of 50 under 4 KB.
SIGNIFICANT_DIGITS: Final = 5


class ListItem(msgspec.Struct, frozen=True):
    """One place of a list."""

    id: str
    score: float
    #: The largest part of the score, in words: ``content:<item>``, ``together:<item>``, ``trending``, ``new``, …
    why: str = ""


class RankedList(msgspec.Struct, frozen=True):
    """A list, best first, and what made it."""

    #: Milliseconds since the epoch, UTC.
    made_at: int
    items: tuple[ListItem, ...]
    variant: str = ""
    #: Digest of the configuration and model that ranked it.
    digest: str = ""
    v: Annotated[int, Meta(ge=VERSION, le=VERSION)] = VERSION

    def ids(self) -> list[str]:
        """Return the item ids, best first."""
        return [item.id for item in self.items]


class _Wire(msgspec.Struct, frozen=True):
    """The fields in the order in which functions.lua counts on: ``made_at`` first, where a compare-and-set finds it without
    decoding; the items last, so that a read may decode the first few only."""  # noqa: D205, D209 - one law, one sentence

    made_at: int
    v: int
    variant: str
    digest: str
    items: tuple[ListItem, ...]


#: Bytes of a value that hold its ``made_at``, and where in them.
HEAD_BYTES: Final = 40
_HEAD: Final = re.compile(rb'\{"made_at":(\d{1,20}),')

_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(RankedList)


def pack(ranked: RankedList) -> bytes:
    """Return the JSON value; ``unpack`` gives an equal list back."""
    return _encoder.encode(_Wire(ranked.made_at, ranked.v, ranked.variant, ranked.digest, ranked.items))


def encode_value(value: str) -> bytes:
    """Return an id or a reason as it stands in the JSON value of a list."""
    return _encoder.encode(value)


def encode_scores(scores: NDArray[np.floating]) -> list[bytes]:
    """Return (n,) scores as they stand in the JSON value of a list."""
    return _encoder.encode(round_scores(scores))[1:-1].split(b",") if len(scores) else []


def unpack(value: bytes) -> RankedList:
    """Return the list of a JSON value. Raises InvalidMessage for what is no list of this version."""
    try:
        return _decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        msg = f"list: {error}; it was not written by this version of streamrec, delete its key"
        raise InvalidMessage(msg) from error


def unpack_or_none(value: bytes | None) -> RankedList | None:
    """Return the list, or None where there is none or it is no list of this version: readers then fall back."""
    if value is None:
        return None
    try:
        return _decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def read_made_at(head: bytes) -> int:
    """Return when the list was made that begins with ``head``, ms since the epoch; 0 where none of ours does."""
    found = _HEAD.match(head)
    return int(found[1]) if found else 0


def round_scores(scores: NDArray[np.floating]) -> list[float]:
    """Return (n,) scores as floats of ``SIGNIFICANT_DIGITS`` digits, so that JSON writes them short.

    >>> round_scores(np.array([0.123456789, 12345.678, 0.0, -2.5], dtype=np.float32))
    [0.12346, 12346.0, 0.0, -2.5]
    """
    exact = np.asarray(scores, dtype=np.float64)
    sizes = np.abs(exact)
    places = SIGNIFICANT_DIGITS - 1 - np.floor(np.log10(sizes, out=np.zeros_like(exact), where=sizes > 0))
    # An integer divided by a power of ten is the double nearest to the decimal; past 22 the powers are no longer exact.
    scale = 10.0 ** np.clip(places, 0, 22)
    rounded: list[float] = (np.rint(exact * scale) / scale).tolist()
    return rounded
