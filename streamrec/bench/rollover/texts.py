"""Titles that are made from a number, so that every process knows them without a file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from multiprocessing import get_context
from typing import TYPE_CHECKING, Final

import orjson

from streamrec.config import KafkaSettings
from streamrec.events.topics import CATALOG
from workers.transport.producer import Producer

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

BULK: Final = "bulk-"
LIVE: Final = "live-"
_KINDS: Final = ("lamp", "mug", "chair", "kettle", "jacket", "shoe", "bowl", "desk", "phone", "knife", "rug", "bag", "clock", "pan")
_COLOURS: Final = ("red", "blue", "green", "black", "white", "grey", "yellow", "brown", "pink", "silver", "golden")
_STUFFS: Final = ("steel", "oak", "cotton", "wool", "glass", "leather", "paper", "plastic", "bamboo", "copper", "linen")
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"


def bulk_title(n: int) -> str:
    """Return the title of the bulk's item ``n``: words that others have too, and two that few have.

    >>> bulk_title(0), bulk_title(1) != bulk_title(15)
    ('lamp red steel model aa series 0', True)
    """
    colour, stuff = _COLOURS[n % 11], _STUFFS[n // 11 % 11]
    return f"{_KINDS[n % 14]} {colour} {stuff} model {_word(n // 7 % 676)} series {n}"


def live_title(n: int, version: int) -> str:
    """Return a title that no item had before: a search for it finds its item first, and nothing else does."""
    drawn = (n * 7_919 + version * 104_729) & 0xFFFFFFFF
    words = []
    for turn in range(4):
        drawn = (drawn * 1_664_525 + 1_013_904_223 + turn) & 0xFFFFFFFF
        words.append("".join(_LETTERS[(drawn >> shift) % 26] for shift in (3, 7, 11, 15, 19, 23)))
    return " ".join(words)


def _word(n: int) -> str:
    return _LETTERS[n // 26 % 26] + _LETTERS[n % 26]


def bulk(first: int, last: int, ts: int) -> Iterator[tuple[str, bytes]]:
    """Yield key and value of the bulk's items."""
    for n in range(first, last):
        yield f"{BULK}{n}", orjson.dumps({"title": bulk_title(n), "price": 9.5, "quantity": 5, "ts": ts})


def pump(bootstrap: str, first: int, last: int, up: Event, go: Event) -> None:
    """Say that we are ``up``, and at the word publish the bulk's items as fast as the broker takes them; a process of its own."""
    with Producer(KafkaSettings(bootstrap=bootstrap, extra={"log_level": "2"}), linger_ms=20) as producer:
        up.set()
        go.wait()
        for key, value in bulk(first, last, time.time_ns() // 1_000_000):
            producer.send(CATALOG, key, value)


class Pump:
    """The process that publishes a part of the bulk, ready to begin."""

    def __init__(self, bootstrap: str, first: int, last: int) -> None:
        context = get_context("spawn")
        self._up, self._go = context.Event(), context.Event()
        self._process = context.Process(target=pump, args=(bootstrap, first, last, self._up, self._go), daemon=True)
        self._process.start()
        self._up.wait(60.0)

    def go(self) -> None:
        """Have it begin."""
        self._go.set()

    @property
    def done(self) -> bool:
        """Whether the broker has everything."""
        return not self._process.is_alive()

    def join(self) -> None:
        """Wait for its end."""
        self._process.join()
