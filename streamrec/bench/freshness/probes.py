"""Effects at scale: a burst of sold-out items asked for as one, lists by the hundred, moments to come, and what reads show."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from streamrec.demo.probes import Command, Probe
from streamrec.lists import keys

#: Items of one look into Redis: a look keeps everybody else waiting, some 0.2 ms with so many.
_ITEMS: Final = 128
#: Lists of one look.
_LISTS: Final = 32
#: KEYS: hashes of items. ARGV: the guard, then id and ts of each. Returns the numbers (from 1) of those whose fact is applied and
#: that are guarded.
_GUARDED: Final = """
local found = {}
for n, key in ipairs(KEYS) do
  local at = tonumber(redis.call('HGET', key, 'stock_ts') or '-1')
  if at >= tonumber(ARGV[2 * n + 1]) and redis.call('SISMEMBER', ARGV[1], ARGV[2 * n]) == 1 then found[#found + 1] = n end
end
return found
"""
#: KEYS: lists. Returns how many of them, from the first on, do not hold the text.
_FREE: Final = """
for n, key in ipairs(KEYS) do
  local value = redis.call('GET', key)
  if value and string.find(value, ARGV[1], 1, true) then return n - 1 end
end
return #KEYS
"""
#: KEYS: a list. Returns what follows the item's id up to the end of its entry: its score and its reason.
_ENTRY: Final = """
local value = redis.call('GET', KEYS[1])
local _, at = string.find(value or '', ARGV[1], 1, true)
return at and string.match(value, '^[^}]*', at + 1) or false
"""


def named(item_id: str) -> bytes:
    """Return the bytes by which a list names the item."""
    return b'"id":' + msgspec.json.encode(item_id)


class AllSoldOut(Probe):
    """The stock facts of a burst are applied and the guard holds their items; each item is a sample, from its own sending on."""

    def __init__(self, on_guarded: Callable[[Sequence[str]], object]) -> None:
        super().__init__("soldout_to_guarded")
        #: item -> (ts of its fact, when it was sent)
        self._left: dict[str, tuple[int, int]] = {}
        self._on_guarded = on_guarded
        self._asked: list[list[str]] = []

    def sending(self, item_id: str, ts: int) -> None:
        """Wait for one more item, whose fact is sent now."""
        self._left[item_id] = (ts, time.monotonic_ns())

    @property
    def missing(self) -> int:
        """Each item that was not seen is one."""
        return len(self._left)

    @property
    def whole(self) -> bool:
        """Only the items are samples."""
        return False

    def commands(self) -> list[Command]:
        """Ask for the items that are left, a few at a time."""
        left = list(self._left)
        self._asked = [left[start : start + _ITEMS] for start in range(0, len(left), _ITEMS)]
        return [self._command(block) for block in self._asked]

    def _command(self, block: Sequence[str]) -> Command:
        facts = [word for item_id in block for word in (item_id, self._left[item_id][0])]
        return ("EVAL_RO", _GUARDED, len(block), *map(keys.item, block), keys.SOLDOUT, *facts)

    def seen(self, answers: Sequence[Any]) -> bool:
        """Take note of the items that are guarded by now."""
        found = [block[n - 1] for block, numbers in zip(self._asked, answers, strict=True) for n in numbers]
        if found:
            now_ns = time.monotonic_ns()
            self.parts_ms += [(now_ns - self._left.pop(item_id)[1]) / 1e6 for item_id in found]
            self._on_guarded(found)
        return not self._left


class OutOfAll(Probe):
    """Each of the lists was seen without the item; what has left a list is out while it is sold out."""

    def __init__(self, kind: str, item_id: str, list_keys: Sequence[str]) -> None:
        super().__init__(kind)
        self._left = list(list_keys)
        self._name = named(item_id)

    def commands(self) -> list[Command]:
        """Ask the next lists, from the first one that still held the item."""
        block = self._left[:_LISTS]
        return [("EVAL_RO", _FREE, len(block), *block, self._name)]

    def seen(self, answers: Sequence[Any]) -> bool:
        """Go on behind the lists without it."""
        del self._left[: answers[0]]
        return not self._left


class Stamped(Probe):
    """The item's live facts hold in ``field`` the time ``ts`` or a later one."""

    def __init__(self, kind: str, item_id: str, field: str, ts: int, **hooks: Any) -> None:
        super().__init__(kind, **hooks)
        self._item_id, self._field, self._ts = item_id, field, ts

    def commands(self) -> list[Command]:
        """Ask the item's hash."""
        return [("HGET", keys.item(self._item_id), self._field)]

    def seen(self, answers: Sequence[Any]) -> bool:
        """Newer is as good: the fact was overtaken."""
        return float(answers[0] or -1) >= self._ts


class Rescored(Probe):
    """The list shows another score of the item than ``before``, or the item no more."""

    def __init__(self, kind: str, item_id: str, list_key: str, before: bytes) -> None:
        super().__init__(kind)
        self._command = entry(item_id, list_key)
        self._before = before

    def commands(self) -> list[Command]:
        """Ask the list for the item's entry."""
        return [self._command]

    def seen(self, answers: Sequence[Any]) -> bool:
        """Tell whether it is another one."""
        return bool(answers[0] != self._before)


def entry(item_id: str, list_key: str) -> Command:
    """Return the command that reads what a list says of the item: score and reason as bytes, None where it is not in."""
    return ("EVAL_RO", _ENTRY, 1, list_key, named(item_id))


class Mentions(Probe):
    """The list at ``list_key`` holds the text: a campaign among the reasons."""

    def __init__(self, kind: str, text: bytes, list_key: str, **hooks: Any) -> None:
        super().__init__(kind, **hooks)
        self._command = ("EVAL_RO", _FREE, 1, list_key, text)

    def commands(self) -> list[Command]:
        """Ask the list."""
        return [self._command]

    def seen(self, answers: Sequence[Any]) -> bool:
        """One that is not free of it holds it."""
        return not answers[0]


class Shown(Probe):
    """From a moment on a guarded read shows the item, or (``wanted`` False) shows it no more."""

    def __init__(
        self,
        kind: str,
        item_id: str,
        user_id: str,
        read: Callable[[str], Sequence[str]],
        *,
        wanted: bool,
        from_ns: int,
        **hooks: Any,
    ) -> None:
        super().__init__(kind, **hooks)
        self.at_ns = from_ns
        self._item_id, self._user_id, self._read, self._wanted = item_id, user_id, read, wanted

    def commands(self) -> list[Command]:
        """Nothing is asked here: the read itself decides."""
        return []

    def seen(self, answers: Sequence[Any]) -> bool:  # noqa: ARG002 - there are none
        """Read as a storefront does."""
        return (self._item_id in self._read(self._user_id)) == self._wanted


class Told(Probe):
    """Somebody else watches: the effect is there once ``tell`` says so."""

    def __init__(self, kind: str, tell: Callable[[], bool], **hooks: Any) -> None:
        super().__init__(kind, **hooks)
        self._tell = tell

    def commands(self) -> list[Command]:
        """Nothing is asked of Redis."""
        return []

    def seen(self, answers: Sequence[Any]) -> bool:  # noqa: ARG002 - there are none
        """Ask whoever watches."""
        return self._tell()
