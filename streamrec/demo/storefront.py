"""A process of its own that plays the storefront: it reads guarded lists all the time and judges each answer (see ``truth``).

It prefers to read where something is being tested: visitors whose lists hold an item that was just sold out, and all fallback and
item lists, because that is where sold-out goods leak first. It ends when the driver says so or is gone.
"""

from __future__ import annotations

import signal
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from random import Random
from typing import Any, Final

from streamrec.client import Storefront
from streamrec.config import RedisSettings
from streamrec.demo.histogram import Histogram
from streamrec.demo.truth import Hint, Judge, Note, Read, Violation, Watermark
from streamrec.errors import StoreUnavailable
from streamrec.lists.connection import connect

_REPORT_EVERY_S: Final = 0.25
#: How often a busy reader looks whether there are notes: a look costs as much as a third of a read.
_LOOK_EVERY_S: Final = 0.002
_MAX_USERS: Final = 5_000
_MAX_ITEMS: Final = 1_000
#: What share of the reads goes where; the rest is for known visitors.
_UNKNOWN, _SIMILAR, _TOGETHER, _TRENDING, _NEW = 0.05, 0.08, 0.05, 0.06, 0.06
#: Of the reads of known visitors, the share for those whose lists are under test.
_UNDER_TEST = 0.6


@dataclass
class Findings:
    """What the storefront has seen so far."""

    reads: int = 0
    judged: int = 0
    found: Counter[str] = field(default_factory=Counter)
    examples: list[Violation] = field(default_factory=list)
    sources: Counter[str] = field(default_factory=Counter)
    failed: int = 0
    #: How long the reads took.
    took: Histogram = field(default_factory=Histogram)


class Browser:
    """Chooses what to read and reads it; everything random comes from ``rng``."""

    def __init__(self, shop: Storefront, judge: Judge, rng: Random) -> None:
        self._shop, self._judge, self._rng = shop, judge, rng
        self._users: OrderedDict[str, None] = OrderedDict()
        self._tested: OrderedDict[str, None] = OrderedDict()
        self._items: OrderedDict[str, None] = OrderedDict()
        self._choices: tuple[list[str], list[str], list[str]] = ([], [], [])
        self.findings = Findings()

    def hint(self, hint: Hint) -> None:
        """Remember visitors, and items under test with the visitors whose lists hold them, newest last; bounded."""
        for user in hint.user_ids:
            _remember(self._users, user, _MAX_USERS)
            if hint.item_ids:
                _remember(self._tested, user, 200)
        for item in hint.item_ids:
            _remember(self._items, item, _MAX_ITEMS)
        self._choices = (list(self._users), list(self._tested), list(self._items))

    def read(self) -> None:
        """Read one list, chosen at random, and give it to the judge."""
        name, user_id, ask = self._choose()
        start_ns = time.monotonic_ns()
        try:
            answer = ask()
        except StoreUnavailable:
            self.findings.failed += 1
            return
        end_ns = time.monotonic_ns()
        self.findings.reads += 1
        self.findings.took.add((end_ns - start_ns) / 1e6)
        self.findings.sources[answer.source] += 1
        self._judge.add(Read(start_ns, end_ns, name, user_id, tuple(item.id for item in answer.items)))

    def _choose(self) -> tuple[str, str, Any]:
        users, tested, items = self._choices
        dice, n = self._rng.random(), self._rng.choice((10, 10, 10, 50))
        if items and (dice := dice - _SIMILAR) < 0:
            item = self._rng.choice(items[-50:])
            return f"similar:{item}", "", lambda: self._shop.similar(item, n)
        if items and (dice := dice - _TOGETHER) < 0:
            item = self._rng.choice(items[-50:])
            return f"together:{item}", "", lambda: self._shop.together(item, n)
        if (dice := dice - _TRENDING) < 0:
            return "trending:all", "", lambda: self._shop.trending(n=n)
        if (dice := dice - _NEW) < 0:
            return "new:all", "", lambda: self._shop.new(n=n)
        if not users or dice - _UNKNOWN < 0:
            user = f"nobody-{self._rng.randrange(10**9)}"
        elif tested and self._rng.random() < _UNDER_TEST:
            user = self._rng.choice(tested)
        else:
            user = self._rng.choice(users)
        return f"rec:{user}", user, lambda: self._shop.top(user, n)


def _remember(known: OrderedDict[str, None], name: str, limit: int) -> None:
    known[name] = None
    known.move_to_end(name)
    while len(known) > limit:
        known.popitem(last=False)


class _Begin:
    """Begin to read."""


class _Stop:
    """Read no more, judge what is left when the last watermark comes."""


def _serve(pipe: Connection, settings: RedisSettings, rate: float, seed: int, max_bought: int) -> None:
    """Run in the child until told to stop, or until the driver is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the driver decides when to end
    judge = Judge(max_bought=max_bought)
    browser = Browser(Storefront(connect(settings), cluster=settings.cluster), judge, Random(seed))
    reading, stopping, next_read, next_report, next_look = False, False, 0.0, 0.0, 0.0
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            now = time.monotonic()
            due = reading and next_read <= now and judge.room
            wait_s = 0.0 if due else _LOOK_EVERY_S
            while (wait_s or now >= next_look) and pipe.poll(wait_s):
                wait_s, next_look = 0.0, 0.0
                note = pipe.recv()
                if isinstance(note, _Begin):
                    reading, next_read = True, time.monotonic()
                elif isinstance(note, _Stop):
                    reading, stopping = False, True
                    pipe.send("stopped")
                elif isinstance(note, Hint):
                    browser.hint(note)
                else:
                    judge.note(note)
                if stopping and isinstance(note, Watermark):
                    pipe.send(_findings(browser, judge))
                    return
            if now >= next_look:
                next_look = now + _LOOK_EVERY_S
            if reading and next_read <= now and judge.room:
                browser.read()
                next_read = max(next_read + 1.0 / rate, now - 1.0)  # at most a second is caught up
            if now >= next_report:
                next_report = now + _REPORT_EVERY_S
                pipe.send(_findings(browser, judge))


def _findings(browser: Browser, judge: Judge) -> Findings:
    findings = browser.findings
    findings.judged, findings.found, findings.examples = judge.judged, judge.found, judge.examples
    return findings


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back while a child starts: it inherits the mask and is deaf from its first moment on; ours comes later."""
    resource_tracker.ensure_running()  # its start would lift the mask again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Reader:
    """The driver's handle on the storefront process; ``send`` is what ``TruthLog`` sends with."""

    def __init__(self, settings: RedisSettings, *, rate: float, seed: int, max_bought: int = 200) -> None:
        context = get_context("spawn")  # the driver has threads; a fork of it could deadlock
        self._pipe, theirs = context.Pipe()
        work = (theirs, settings, rate, seed, max_bought)
        self._process = context.Process(target=_serve, args=work, daemon=True, name="storefront")
        with interrupts_held():
            self._process.start()
        theirs.close()
        self.findings = Findings()

    def begin(self) -> None:
        """Let it begin to read."""
        self.send(_Begin())

    def send(self, note: Note | _Begin | _Stop) -> None:
        """Send one note; notes are sent in order of time. A reader that has finished hears nothing more."""
        if self._pipe.closed:
            return
        with suppress(BrokenPipeError, ConnectionResetError):  # a dead reader is noticed by ``alive``
            self._pipe.send(note)

    @property
    def pid(self) -> int | None:
        """The process's id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.is_alive()

    def await_ready(self, timeout_s: float = 60.0) -> bool:
        """Wait until the process says its first word, for it takes seconds to start; tell whether it did."""
        return self._await(lambda _: True, time.monotonic() + timeout_s)

    def refresh(self) -> Findings:
        """Return the newest findings that have arrived."""
        with suppress(EOFError, ConnectionResetError):
            while self._pipe.poll(0):
                self._take(self._pipe.recv())
        return self.findings

    def finish(self, watermark: Any, timeout_s: float = 20.0) -> Findings:
        """Let it stop reading, call ``watermark`` (which sends the last one), and return its final findings."""
        self.send(_Stop())
        deadline = time.monotonic() + timeout_s
        if self._await(lambda message: message == "stopped", deadline):
            watermark()
            self._await(lambda _: False, deadline)
        self._process.join(max(deadline - time.monotonic(), 0.1))
        self.close()
        return self.findings

    def close(self) -> None:
        """End the process if it still runs."""
        if self._process.is_alive():
            self._process.terminate()
        self._process.join(5.0)
        self._pipe.close()

    def _await(self, wanted: Any, deadline: float) -> bool:
        with suppress(EOFError, ConnectionResetError):
            while self._pipe.poll(max(deadline - time.monotonic(), 0)):
                message = self._pipe.recv()
                self._take(message)
                if wanted(message):
                    return True
        return False

    def _take(self, message: object) -> None:
        if isinstance(message, Findings):
            self.findings = message
