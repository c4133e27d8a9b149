"""What must be true of every answer, told in order of time, and the judge who holds answers against it.

Two processes know half of it each. The driver publishes and sees acknowledgements: when a sold-out item stands in ``soldout``, when
an order stands in its visitor's profile. The storefront reads lists. All times below are of CLOCK_MONOTONIC, which is one clock
for all processes of a machine.

Why a race can neither make a false violation nor hide a true one:

- The driver notes ``Gone(item)`` *after* it saw the acknowledgement and ``MayReturn(item)`` *before* it publishes the restock, so
  the interval [gone, may return) lies inside the time in which the item must not be shown, never outside.
- An answer is a violation only when its whole read, from before the request was sent to after the reply was there, lies inside
  such an interval. A read that overlaps a border is undecidable and is not held against anybody; sold-out times are thousands of
  times longer than reads, so few reads are.
- Truth travels through a pipe and arrives late. The storefront therefore judges no read before it holds the truth up to the end of
  that read: the driver sends ``Watermark(t)``, and under the lock that stamps the notes nothing can be noted later with a time
  before t. Reads wait in a queue; at the end a last watermark lets all of them be judged. None is dropped.
- A restock that is on its way while the item is sold out again could be acknowledged by the old mark; the driver never publishes
  a stock fact for an item before the effect of the one before it was seen, and retires items whose effect was not seen.
- Facts sent late, twice or out of order on purpose make no note: they must change nothing, so what they break is a violation.
- Stock facts of the data set itself (some data sets have them) are noted as ``MayReturn`` before they are published.
- Bought items are noted when the profile in Redis holds the order. Profile and list are written in one step, so a read that
  starts later must not return them. Visitors may buy more than a profile remembers (``max_bought``): past the cap the oldest are
  released first.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from threading import Lock
from typing import Final, NamedTuple

MAX_EXAMPLES: Final = 20


class Gone(NamedTuple):
    """The item's being sold out was acknowledged at ``at_ns``."""

    at_ns: int
    item_id: str


class MayReturn(NamedTuple):
    """From ``at_ns`` on the item may be shown again."""

    at_ns: int
    item_id: str


class Bought(NamedTuple):
    """The order of these items was acknowledged at ``at_ns``."""

    at_ns: int
    user_id: str
    item_ids: tuple[str, ...]


class Watermark(NamedTuple):
    """Every note up to ``at_ns`` has been sent."""

    at_ns: int


class Hint(NamedTuple):
    """Where it is worth reading: visitors whose lists hold an item under test, and the item."""

    user_ids: tuple[str, ...]
    item_ids: tuple[str, ...]


class Several(NamedTuple):
    """Notes of one moment, sent as one."""

    notes: tuple[Gone | MayReturn, ...]


Note = Several | Gone | MayReturn | Bought | Watermark | Hint


class Read(NamedTuple):
    """One answer: when it was asked for and there, which list, for whom (empty: nobody in particular), and what was in it."""

    start_ns: int
    end_ns: int
    name: str
    user_id: str
    item_ids: tuple[str, ...]


class Violation(NamedTuple):
    """Something that must never be: ``kind`` is soldout_shown, bought_shown or wrong_order."""

    kind: str
    item_id: str
    where: str
    #: How long before the read it had been acknowledged.
    after_ms: float
    detail: str = ""


class TruthLog:
    """The driver's side: stamps notes under one lock and hands them to ``send`` in order of time."""

    def __init__(self, send: Callable[[Note], None], clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._send, self._clock_ns = send, clock_ns
        self._lock = Lock()

    def gone(self, item_id: str) -> None:
        """Note that the item is acknowledged as sold out; call it after the acknowledgement was seen."""
        with self._lock:
            self._send(Gone(self._clock_ns(), item_id))

    def may_return(self, item_id: str) -> None:
        """Note that the item may be shown again; call it before the fact that allows it is published."""
        with self._lock:
            self._send(MayReturn(self._clock_ns(), item_id))

    def all_gone(self, item_ids: Iterable[str]) -> None:
        """Note ``gone`` of many items at once."""
        with self._lock:
            at_ns = self._clock_ns()
            self._send(Several(tuple(Gone(at_ns, item_id) for item_id in item_ids)))

    def all_may_return(self, item_ids: Iterable[str]) -> None:
        """Note ``may_return`` of many items at once."""
        with self._lock:
            at_ns = self._clock_ns()
            self._send(Several(tuple(MayReturn(at_ns, item_id) for item_id in item_ids)))

    def bought(self, user_id: str, item_ids: Iterable[str]) -> None:
        """Note that an order is acknowledged; call it after it was seen in the profile."""
        with self._lock:
            self._send(Bought(self._clock_ns(), user_id, tuple(item_ids)))

    def hint(self, user_ids: Iterable[str], item_ids: Iterable[str]) -> None:
        """Tell the reader where it is worth reading; no truth depends on it."""
        with self._lock:
            self._send(Hint(tuple(user_ids), tuple(item_ids)))

    def watermark(self) -> None:
        """Promise that no later note will have an earlier time."""
        with self._lock:
            self._send(Watermark(self._clock_ns()))


class _Interval:
    """When an item must not be shown: [start, end), open while ``end_ns`` is None."""

    __slots__ = ("end_ns", "start_ns")

    def __init__(self, start_ns: int) -> None:
        self.start_ns = start_ns
        self.end_ns: int | None = None

    def holds(self, read: Read) -> bool:
        """Tell whether the whole read lies inside."""
        return self.start_ns <= read.start_ns and (self.end_ns is None or read.end_ns < self.end_ns)


class Judge:
    """The storefront's side: takes notes and reads, and finds violations once the truth is complete.

    ``max_waiting`` bounds the reads that wait for a watermark; ``room`` tells the reader to wait when it is reached.
    """

    def __init__(self, *, max_waiting: int = 100_000, max_bought: int = 200, max_intervals: int = 8) -> None:
        self._waiting: deque[Read] = deque()
        self._max_waiting, self._max_bought, self._max_intervals = max_waiting, max_bought, max_intervals
        self._gone: dict[str, deque[_Interval]] = {}
        #: When each closed interval ended and whose it is, oldest first: what no read can lie in any more is forgotten.
        self._closed: deque[tuple[int, str]] = deque()
        self._bought: dict[str, OrderedDict[str, int]] = {}
        self.judged = 0
        self.found: Counter[str] = Counter()
        self.examples: list[Violation] = []

    @property
    def room(self) -> bool:
        """Whether another read may be added before the next watermark."""
        return len(self._waiting) < self._max_waiting

    @property
    def open_items(self) -> list[str]:
        """Return the items of which it is remembered when they must not be shown."""
        return list(self._gone)

    def add(self, read: Read) -> None:
        """Take an answer; it is judged by the first watermark after its end. Reads come in order of their ends."""
        self._waiting.append(read)

    def note(self, note: Note) -> None:
        """Take a note, in order of time; a watermark judges all reads that ended before it."""
        if isinstance(note, Gone):
            intervals = self._gone.setdefault(note.item_id, deque(maxlen=self._max_intervals))
            if not intervals or intervals[-1].end_ns is not None:
                intervals.append(_Interval(note.at_ns))
        elif isinstance(note, MayReturn):
            intervals = self._gone.get(note.item_id, deque())
            if intervals and intervals[-1].end_ns is None:
                intervals[-1].end_ns = note.at_ns
                self._closed.append((note.at_ns, note.item_id))
        elif isinstance(note, Bought):
            self._note_bought(note)
        elif isinstance(note, Watermark):
            while self._waiting and self._waiting[0].end_ns <= note.at_ns:
                self._judge(self._waiting.popleft())
            self._forget_until(self._waiting[0].start_ns if self._waiting else note.at_ns)
        elif isinstance(note, Several):
            for one in note.notes:
                self.note(one)

    def _forget_until(self, at_ns: int) -> None:
        """Forget intervals that ended before every read that is still to be judged."""
        while self._closed and self._closed[0][0] <= at_ns:
            ended_ns, item_id = self._closed.popleft()
            intervals = self._gone.get(item_id)
            while intervals and intervals[0].end_ns is not None and intervals[0].end_ns <= ended_ns:
                intervals.popleft()
            if not intervals:
                self._gone.pop(item_id, None)

    def _note_bought(self, note: Bought) -> None:
        bought = self._bought.setdefault(note.user_id, OrderedDict())
        for item_id in note.item_ids:
            bought.setdefault(item_id, note.at_ns)
            bought.move_to_end(item_id)
        while len(bought) > self._max_bought:
            bought.popitem(last=False)

    def _judge(self, read: Read) -> None:
        self.judged += 1
        bought: Mapping[str, int] = self._bought.get(read.user_id, {}) if read.user_id else {}
        for item_id in read.item_ids:
            for interval in self._gone.get(item_id, ()):
                if interval.holds(read):
                    self._found("soldout_shown", item_id, read, interval.start_ns)
            since_ns = bought.get(item_id)
            if since_ns is not None and since_ns <= read.start_ns:
                self._found("bought_shown", item_id, read, since_ns)

    def _found(self, kind: str, item_id: str, read: Read, since_ns: int) -> None:
        self.found[kind] += 1
        if len(self.examples) < MAX_EXAMPLES:
            self.examples.append(Violation(kind, item_id, read.name, (read.start_ns - since_ns) / 1e6))
