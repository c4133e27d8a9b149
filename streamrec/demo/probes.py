"""Waiting for effects: each probe asks Redis, again and again, whether what was published has become visible.

All outstanding probes share one pipelined round trip every few milliseconds, so a latency is known to about one round of polling
(``Board.resolution_ms`` says how long a round took on average) and is never reported shorter than it was.
"""

from __future__ import annotations

import re
import time
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, Final

import msgspec
import redis

from streamrec.errors import ProfileError
from streamrec.lists import keys
from streamrec.profiles import KINDS, Profile

#: An effect that is not seen for so long is counted as unresolved, and its latency as so long.
PATIENCE_S: Final = 15.0
#: Returns the numbers (from 1) of the keys whose value holds the text. Looking inside Redis spares moving whole lists.
_HOLDING: Final = """
local found = {}
for n, key in ipairs(KEYS) do
  local value = redis.call('GET', key)
  if value and string.find(value, ARGV[1], 1, true) then found[#found + 1] = n end
end
return found
"""
_MADE_AT: Final = re.compile(rb'"made_at":(\d+)')
_CLICK: Final = KINDS.index("click")

Command = tuple[Any, ...]


def holding(list_keys: Sequence[str], item_id: str) -> Command:
    """Return the command that finds the lists which hold the item physically."""
    return ("EVAL_RO", _HOLDING, len(list_keys), *list_keys, b'"id":' + msgspec.json.encode(item_id))


class Probe(ABC):
    """One effect that is waited for; ``kind`` names the latency that it measures, the empty string measures none."""

    def __init__(self, kind: str, on_seen: Callable[[], object] | None = None, on_lost: Callable[[], object] | None = None) -> None:
        self.kind = kind
        self.on_seen, self.on_lost = on_seen, on_lost
        #: When it began to count; a moment to come is waited for before anything is asked.
        self.at_ns = time.monotonic_ns()
        #: Latencies in ms of parts of the effect, for probes of several: the board counts and clears them.
        self.parts_ms: list[float] = []

    def begin(self) -> None:
        """Count from now on: for a probe that was made some time before what it waits for is published."""
        self.at_ns = time.monotonic_ns()

    @property
    def missing(self) -> int:
        """How many samples a probe that was not seen in time stands for."""
        return 1

    @property
    def whole(self) -> bool:
        """Whether the whole effect is a sample, and not only its parts."""
        return True

    @abstractmethod
    def commands(self) -> list[Command]:
        """Return what to ask Redis; always the same number of commands."""

    @abstractmethod
    def seen(self, answers: Sequence[Any]) -> bool:
        """Tell from the answers whether the effect is visible."""


class SoldOut(Probe):
    """The stock fact of ``ts`` (or a newer one) is applied and the guard holds the item."""

    def __init__(self, item_id: str, ts: int, **hooks: Any) -> None:
        super().__init__("soldout_to_guarded", **hooks)
        self.item_id, self.ts = item_id, ts

    def commands(self) -> list[Command]:
        """Ask for the fact first: guard and fact are written in one step, so a guard read later is not older."""
        return [("HGET", keys.item(self.item_id), "stock_ts"), ("SISMEMBER", keys.SOLDOUT, self.item_id)]

    def seen(self, answers: Sequence[Any]) -> bool:
        """Both must be there."""
        return _number(answers[0]) >= self.ts and bool(answers[1])


class Evicted(Probe):
    """None of the lists that held the item holds it physically."""

    def __init__(self, kind: str, item_id: str, list_keys: Sequence[str], **hooks: Any) -> None:
        super().__init__(kind, **hooks)
        self._command = holding(list_keys, item_id)

    def commands(self) -> list[Command]:
        """Ask all lists at once."""
        return [self._command]

    def seen(self, answers: Sequence[Any]) -> bool:
        """No list may be left; a list that expired holds nothing."""
        return not answers[0]


class Restocked(Probe):
    """The guard has let the item go and a guarded read of a list that held it returns it again."""

    def __init__(self, item_id: str, user_ids: Sequence[str], read: Callable[[str], Sequence[str]], **hooks: Any) -> None:
        super().__init__("restock_to_back", **hooks)
        self.item_id, self.user_ids, self._read = item_id, user_ids, read

    def commands(self) -> list[Command]:
        """Ask the guard, and cheaply which lists are worth a guarded read."""
        return [("SISMEMBER", keys.SOLDOUT, self.item_id), holding([keys.rec(user) for user in self.user_ids], self.item_id)]

    def seen(self, answers: Sequence[Any]) -> bool:
        """Let a real guarded read decide."""
        if answers[0] or not answers[1]:
            return False
        return self.item_id in self._read(self.user_ids[answers[1][0] - 1])


class Priced(Probe):
    """The item's live facts hold the price of ``ts`` or a newer one."""

    def __init__(self, item_id: str, ts: int, **hooks: Any) -> None:
        super().__init__("price_to_visible", **hooks)
        self.item_id, self.ts = item_id, ts

    def commands(self) -> list[Command]:
        """Ask the item's hash."""
        return [("HGET", keys.item(self.item_id), "price_ts")]

    def seen(self, answers: Sequence[Any]) -> bool:
        """Newer is as good: the fact was overtaken."""
        return _number(answers[0]) >= self.ts


class Listed(Probe):
    """The list at ``list_key`` holds the item."""

    def __init__(self, kind: str, item_id: str, list_key: str, **hooks: Any) -> None:
        super().__init__(kind, **hooks)
        self._command = holding([list_key], item_id)

    def commands(self) -> list[Command]:
        """Ask the list."""
        return [self._command]

    def seen(self, answers: Sequence[Any]) -> bool:
        """Return whether it is there."""
        return bool(answers[0])


class _OfProfile(Probe):
    """A probe that reads a visitor's profile, unpacked only when it changed."""

    def __init__(self, kind: str, user_id: str, **hooks: Any) -> None:
        super().__init__(kind, **hooks)
        self.user_id = user_id
        self._last: bytes | None = None

    def commands(self) -> list[Command]:
        """Ask for the profile, then the head of the list that was written together with it or later."""
        return [("GET", keys.profile(self.user_id)), ("GETRANGE", keys.rec(self.user_id), 0, 127)]

    def seen(self, answers: Sequence[Any]) -> bool:
        """Look only at a profile that is new since the last look."""
        raw, head = answers
        if raw is None or raw == self._last:
            return False
        self._last = raw
        try:
            return self._shows(Profile.unpack(raw), head)
        except ProfileError:
            return False

    @abstractmethod
    def _shows(self, profile: Profile, head: bytes) -> bool: ...


class ClickListed(_OfProfile):
    """The visitor's list was made with the click in mind.

    That the list is newer than the click proves nothing, as another event may have made it. The profile holds the click itself, and
    profile and list are written in one step, so a list read together with such a profile was made from it or from a later one.
    """

    def __init__(self, user_id: str, item_id: str, ts: int, **hooks: Any) -> None:
        super().__init__("click_to_list", user_id, **hooks)
        self.item_id, self.ts = item_id, ts

    def _shows(self, profile: Profile, head: bytes) -> bool:
        made_at = _MADE_AT.search(head)
        if made_at is None or int(made_at[1]) < self.ts:
            self._last = None  # the list is not there yet: look again
            return False
        if any(it.ts == self.ts and it.code == _CLICK and it.item_id == self.item_id for it in profile.recent):
            return True
        return len(profile.recent) > 1 and profile.recent[-1].ts > self.ts  # newer interactions have pushed it out already


class OrderKept(_OfProfile):
    """The visitor's profile holds the order; ``kept`` are its items that the profile remembers as bought."""

    def __init__(self, user_id: str, item_ids: Sequence[str], ts: int, **hooks: Any) -> None:
        super().__init__("", user_id, **hooks)
        self._item_ids, self._ts = item_ids, ts
        self.kept: list[str] = []

    def _shows(self, profile: Profile, head: bytes) -> bool:  # noqa: ARG002 - the list's head says nothing of orders
        self.kept = [item for item in self._item_ids if profile.bought.get(item, 0) >= self._ts]
        return bool(self.kept)


class Board:
    """All probes that wait, bounded by ``max_probes``, and the latencies that they found.

    ``record`` opens the time in which probes must have begun to be counted. Probes may be put up from any thread; ``poll`` is
    called from one.
    """

    def __init__(self, client: redis.Redis, *, max_probes: int = 512, patience_s: float = PATIENCE_S) -> None:
        self._client = client
        self._max_probes, self._patience_ns = max_probes, int(patience_s * 1e9)
        self._probes: list[Probe] = []
        self._lock = Lock()
        self._record_from: int | None = None
        self._record_to: int | None = None
        self._rounds, self._round_s = 0, 0.0
        self.latencies: defaultdict[str, list[float]] = defaultdict(list)
        self.unresolved: Counter[str] = Counter()
        #: A running mean over the last clicks, in or out of the recorded time; what pacing listens to.
        self.click_delay_ms = 0.0

    def put(self, probe: Probe) -> bool:
        """Wait for one more effect; tell whether there was room."""
        with self._lock:
            if len(self._probes) >= self._max_probes:
                return False
            self._probes.append(probe)
            return True

    def waiting(self, kind: str | None = None) -> int:
        """Return how many probes (of a kind) wait."""
        with self._lock:
            return len(self._probes) if kind is None else sum(probe.kind == kind for probe in self._probes)

    def record(self, *, on: bool) -> None:
        """Begin or end the recorded time."""
        if on:
            self._record_from, self._record_to = time.monotonic_ns(), None
        else:
            self._record_to = time.monotonic_ns()

    @property
    def resolution_ms(self) -> float:
        """How long a round of polling took on average, waiting included."""
        return 1000.0 * self._round_s / self._rounds if self._rounds else 0.0

    def poll(self, since_last_s: float = 0.0) -> int:
        """Ask once for all probes and return how many were seen; ``since_last_s`` passed since the round before began."""
        begun_ns = time.monotonic_ns()
        with self._lock:
            probes = [probe for probe in self._probes if probe.at_ns <= begun_ns]
        if not probes:
            return 0
        self._rounds, self._round_s = self._rounds + 1, self._round_s + since_last_s
        answers = self._ask(probes)
        now_ns = time.monotonic_ns()
        done = []
        for probe, answer in zip(probes, answers, strict=True):
            seen = probe.seen(answer)
            self._count_parts(probe)
            if seen:
                done.append(probe)
                if probe.whole:
                    self._count(probe, (time.monotonic_ns() - probe.at_ns) / 1e6)
                if probe.on_seen:
                    probe.on_seen()
            elif now_ns - probe.at_ns > self._patience_ns:
                done.append(probe)
                self._lose(probe)
        if done:
            finished = set(map(id, done))
            with self._lock:
                self._probes = [probe for probe in self._probes if id(probe) not in finished]
        return len(done)

    def _ask(self, probes: Sequence[Probe]) -> list[list[Any]]:
        asked = [probe.commands() for probe in probes]
        with self._client.pipeline(transaction=False) as pipe:
            for commands in asked:
                for command in commands:
                    pipe.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py's own gap
            flat = iter(pipe.execute())
        return [[next(flat) for _ in commands] for commands in asked]

    def _count(self, probe: Probe, ms: float) -> None:
        if probe.kind == "click_to_list":
            self.click_delay_ms += 0.1 * (ms - self.click_delay_ms)
        if probe.kind and self._recorded(probe):
            self.latencies[probe.kind].append(ms)

    def _count_parts(self, probe: Probe) -> None:
        if probe.parts_ms:
            for ms in probe.parts_ms:
                self._count(probe, ms)
            probe.parts_ms = []

    def _lose(self, probe: Probe) -> None:
        judged = probe.on_lost() if probe.on_lost else None
        if judged is False:  # the hook says that the effect could not happen: no sample at all
            return
        if probe.kind and self._recorded(probe):
            self.unresolved[probe.kind] += probe.missing
            self.latencies[probe.kind] += [self._patience_ns / 1e6] * probe.missing

    def _recorded(self, probe: Probe) -> bool:
        return (
            self._record_from is not None
            and probe.at_ns >= self._record_from
            and (self._record_to is None or probe.at_ns <= self._record_to)
        )


def _number(value: bytes | str | None) -> float:
    return float(value) if value else -1.0
