"""Flips of items in a process of their own, so that a reader's times are not those of a shared interpreter."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any, Final, Self

import numpy as np
import redis

from streamrec.bench.freshness.rivals.design import Design, connect
from streamrec.errors import LocalStackError

_START_S: Final = 60.0
#: Half a million lists rewritten one block after another take minutes.
_FLIP_S: Final = 600.0
_processes: Final = get_context("spawn")


@dataclass
class Flips:
    """What the process tells: how many flips it did, in how many seconds."""

    done: int = 0
    seconds: float = 0.0

    @property
    def per_s(self) -> float:
        """The rate that was reached."""
        return self.done / self.seconds if self.seconds else 0.0


class Flipper:
    """The process, as a context manager. Every method raises LocalStackError where it ends early or does not answer in time."""

    def __init__(self, design: Design, url: str) -> None:
        self._orders, theirs = _processes.Pipe()
        self._process = _processes.Process(target=_serve, args=(design, url, theirs), daemon=True)
        self._process.start()
        theirs.close()  # else its end would not be seen here

    def flip(self, row: int, meanwhile: Callable[[], None], *, available: bool) -> float:
        """Flip one item and call ``meanwhile`` until it is done, at least once; return the seconds that the flip took."""
        deadline = time.monotonic() + _FLIP_S
        self._order(_Once(row, available))
        meanwhile()
        while not self._orders.poll() and time.monotonic() < deadline:
            meanwhile()
        return float(self._answer(0.0))

    @contextmanager
    def flipping(self, items: int, rate: float, seed: int) -> Iterator[Flips]:
        """Flip random items but the first at a rate while the block runs, each sold out and then back; figures stand after it."""
        self._order(_Stream(items, rate, seed))
        self._answer(_START_S)  # it has begun
        flips = Flips()
        yield flips
        self._order(None)
        flips.done, flips.seconds = self._answer(_FLIP_S)

    def _order(self, order: _Once | _Stream | None) -> None:
        with suppress(BrokenPipeError):  # the next answer tells
            self._orders.send(order)

    def _answer(self, within_s: float) -> Any:
        if not self._orders.poll(within_s):
            msg = "the process that flips items does not answer; see what else keeps this machine busy, then run the bench again"
            raise LocalStackError(msg)
        try:
            return self._orders.recv()
        except (EOFError, ConnectionResetError) as error:
            msg = "the process that flips items ended before its time; its error stands above, run the bench again"
            raise LocalStackError(msg) from error

    def __enter__(self) -> Self:
        try:
            self._answer(_START_S)
        except LocalStackError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._orders.close()
        self._process.join(1.0)
        if self._process.is_alive():
            self._process.kill()
            self._process.join(5.0)


@dataclass(frozen=True)
class _Once:
    row: int
    available: bool

    def do(self, design: Design, client: redis.Redis, orders: Any) -> float:  # noqa: ARG002 - as of a stream
        begun = time.perf_counter()
        design.flip(client, self.row, available=self.available)
        return time.perf_counter() - begun


@dataclass(frozen=True)
class _Stream:
    items: int
    rate: float
    seed: int

    def do(self, design: Design, client: redis.Redis, orders: Any) -> tuple[int, float]:
        rng = np.random.default_rng(self.seed)
        orders.send(None)
        begun, done, row = time.perf_counter(), 0, 0
        while not orders.poll(max(0.0, begun + done / self.rate - time.perf_counter())):
            row = row if done % 2 else int(rng.integers(1, self.items))
            design.flip(client, row, available=bool(done % 2))
            done += 1
        seconds = time.perf_counter() - begun
        orders.recv()
        if done % 2:
            design.flip(client, row, available=True)
        return done, seconds


def _serve(design: Design, url: str, orders: Any) -> None:
    """Do what is ordered until the other end is closed."""
    with connect(url) as client, suppress(EOFError, BrokenPipeError, ConnectionResetError):
        orders.send(client.ping())
        while True:
            orders.send(orders.recv().do(design, client, orders))
