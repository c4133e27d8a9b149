"""The sweeper: waits for what must come first, bears a store that is away, and crashes loudly for anything else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from streamrec.errors import StoreUnavailable
from workers.sweeper import Sweeper


class Late(threading.Event):
    """Happens after it was asked for ``n`` times."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.asked = 0
        self._n = n

    def is_set(self) -> bool:
        self.asked += 1
        return self.asked > self._n


class Work:
    """Counts its calls, raises the given errors one after another, and says when it was called without one."""

    def __init__(self, *errors: Exception) -> None:
        self.calls = 0
        self.threads: set[int] = set()
        self.succeeded = threading.Event()
        self._errors = list(errors)

    def __call__(self) -> None:
        self.calls += 1
        self.threads.add(threading.get_ident())
        if self._errors:
            raise self._errors.pop(0)
        self.succeeded.set()


@pytest.fixture
def core() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


async def test_no_sweep_before_everything_that_it_waits_for_has_happened(core: ThreadPoolExecutor) -> None:
    work, late = Work(), Late(5)
    calls_while_waiting = []
    never = threading.Event()
    async with Sweeper(core, work, 0.0, [late, never]):
        await _until(lambda: late.asked > 10)
        calls_while_waiting.append(work.calls)
        never.set()
        await _until(work.succeeded.is_set)
    assert calls_while_waiting == [0]


async def test_a_store_that_is_away_is_waited_for(core: ThreadPoolExecutor) -> None:
    work = Work(StoreUnavailable("away"), StoreUnavailable("away"))
    async with Sweeper(core, work, 0.0, []) as sweeper:
        await _until(work.succeeded.is_set)
        assert not sweeper.crashed
    assert work.calls >= 3


async def test_any_other_error_crashes_the_worker(core: ThreadPoolExecutor) -> None:
    work = Work(ZeroDivisionError("a mistake of ours"))
    async with Sweeper(core, work, 0.0, []) as sweeper:
        await _until(lambda: sweeper.crashed)
    assert not work.succeeded.is_set()


async def test_sweeps_run_on_the_thread_that_owns_the_roles_state(core: ThreadPoolExecutor) -> None:
    work = Work()
    async with Sweeper(core, work, 0.0, []):
        await _until(lambda: work.calls > 3)
    assert work.threads == {core.submit(threading.get_ident).result()}


async def test_work_that_says_it_is_urgent_goes_on_at_once_and_lets_others_in_between(core: ThreadPoolExecutor) -> None:
    done: list[str] = []

    def work() -> bool:
        done.append("sweep")
        if len(done) == 1:
            core.submit(done.append, "event")
        return done.count("sweep") < 3

    async with Sweeper(core, work, 3600.0, []):
        await _until(lambda: done.count("sweep") == 3)
    assert done == ["sweep", "event", "sweep", "sweep"]
