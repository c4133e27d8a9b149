"""Flips of items in a process of their own, so that a reader's times are not those of a shared interpreter."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any, Final

import numpy as np
import redis

from streamrec.bench.freshness.rivals.design import Design
from streamrec.errors import LocalStackError

_START_S: Final = 60.0
_processes: Final = get_context("spawn")


class Flips:
    """What the process tells: how many flips it did, in how many seconds."""

    def __init__(self) -> None:
        self.done = 0
        self.seconds = 0.0

    @property
    def per_s(self) -> float:
        """The rate that was reached."""
        return self.done / self.seconds if self.seconds else 0.0


@contextmanager
def flipping(design: Design, url: str, items: int, rate: float, seed: int) -> Iterator[Flips]:
    """Flip random items at a rate while the block runs, each sold out and then back; the figures stand after the block."""
    told, ended, flips = _processes.Queue(), _processes.Event(), Flips()
    child = _processes.Process(target=_flip_until, args=(design, url, items, rate, seed, ended, told), daemon=True)
    child.start()
    try:
        _next(told, child)  # it has begun
        yield flips
        ended.set()
        flips.done, flips.seconds = _next(told, child)
    finally:
        _end(child)


def flip_apart(design: Design, url: str, row: int, meanwhile: Callable[[], None], *, available: bool) -> float:
    """Flip one item in the other process and call ``meanwhile`` until it is done; return the seconds that the flip took."""
    told = _processes.Queue()
    child = _processes.Process(target=_flip_once, args=(design, url, row, available, told), daemon=True)
    child.start()
    try:
        _next(told, child)
        while child.is_alive() and told.empty():
            meanwhile()
        return float(_next(told, child))
    finally:
        _end(child)


def _flip_until(design: Design, url: str, items: int, rate: float, seed: int, ended: Any, told: Any) -> None:  # noqa: PLR0917
    rng = np.random.default_rng(seed)
    with redis.Redis.from_url(url, protocol=2) as client:
        client.ping()
        told.put(None)
        begun, done, row = time.perf_counter(), 0, 0
        while not ended.is_set():
            row = row if done % 2 else int(rng.integers(1, items))
            design.flip(client, row, available=bool(done % 2))
            done += 1
            time.sleep(max(0.0, begun + done / rate - time.perf_counter()))
        seconds = time.perf_counter() - begun
        if done % 2:
            design.flip(client, row, available=True)
    told.put((done, seconds))


def _flip_once(design: Design, url: str, row: int, available: bool, told: Any) -> None:
    with redis.Redis.from_url(url, protocol=2) as client:
        client.ping()
        told.put(None)
        time.sleep(0.2)  # the reader is reading
        begun = time.perf_counter()
        design.flip(client, row, available=available)
        told.put(time.perf_counter() - begun)


def _next(told: Any, child: Any) -> Any:
    deadline = time.monotonic() + _START_S
    while told.empty() and child.is_alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    if told.empty() and not child.is_alive():
        msg = "the process that flips items ended before its time; its error stands above, run the bench again"
        raise LocalStackError(msg)
    return told.get(timeout=_START_S)


def _end(child: Any) -> None:
    child.join(5.0)
    if child.is_alive():
        child.kill()
        child.join()
