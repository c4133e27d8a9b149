"""What a handler gets: the valid records of one ``consume``, in the order of their partitions."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from itertools import groupby, repeat
from operator import methodcaller
from typing import TYPE_CHECKING, TypeVar

import msgspec

from streamrec.errors import InvalidMessage
from streamrec.events import Payload, decode, decode_many

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from confluent_kafka import Message

#: A topic and one of its partitions.
Place = tuple[str, int]


class Record(msgspec.Struct, frozen=True, gc=False):
    """One valid message with its coordinates."""

    topic: str
    partition: int
    offset: int
    key: str
    value: Payload | None
    #: The bytes it came in, for the dead letter if a handler cannot bear it.
    raw_key: bytes | None
    raw: bytes | None


P = TypeVar("P", bound=Payload)


def pairs(records: Iterable[Record], kind: type[P]) -> list[tuple[str, P | None]]:
    """Return key and value of each record; the topics were chosen so that every value is a ``kind`` or null."""
    return [(r.key, r.value) for r in records if r.value is None or isinstance(r.value, kind)]


def values(records: Iterable[Record], kind: type[P]) -> list[tuple[str, P]]:
    """Return key and value of the records that have one."""
    return [(key, value) for key, value in pairs(records, kind) if value is not None]


@dataclass(frozen=True, slots=True)
class Rejected:
    """One message that is not valid, with its bytes and the reason."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    reason: str


@dataclass(slots=True, eq=False)
class RecordBatch:
    """Valid and rejected records of one ``consume``, and what to commit once they are done.

    ``start`` and ``revoke`` are called from different threads: a batch that was not started yet gives up what was revoked, one that
    was started is finished.
    """

    records: Sequence[Record]
    rejected: Sequence[Rejected]
    #: Per topic and partition: the offset after the batch's last record.
    next_offsets: dict[Place, int]
    _revoked: set[Place] = field(default_factory=set)
    _started: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> bool:
        """Claim the batch for work; False when nothing of it is left to do."""
        with self._lock:
            self._started = True
            if self._revoked:
                self.records = [r for r in self.records if (r.topic, r.partition) not in self._revoked]
                self.rejected = [r for r in self.rejected if (r.topic, r.partition) not in self._revoked]
        return bool(self.records or self.rejected)

    def revoke(self, places: Iterable[Place]) -> bool:
        """Give up the records of ``places``; True when work on some of them has begun and must be waited for."""
        mine = set(places) & self.next_offsets.keys()
        with self._lock:
            if self._started:
                return bool(mine)
            self._revoked |= mine
            for place in mine:
                del self.next_offsets[place]
        return False

    def disown(self, places: Iterable[Place]) -> None:
        """Give up what is not started of ``places`` and acknowledge nothing of them: they are read again from further back."""
        places = set(places)
        self.revoke(places)
        for place in places:
            self.next_offsets.pop(place, None)


_topic, _partition, _offset = methodcaller("topic"), methodcaller("partition"), methodcaller("offset")
_key, _value = methodcaller("key"), methodcaller("value")


def build_batch(messages: Sequence[Message], now_ms: int, max_future_ms: int) -> RecordBatch:
    """Decode and validate ``messages``; a bad one is an outcome with a reason, and its offset is committed like any other.

    Runs of one partition, as fetches bring them, are decoded at once; a run with something bad in it is taken record by record.
    """
    records: list[Record] = []
    rejected: list[Rejected] = []
    next_offsets: dict[Place, int] = {}
    for place, run in _runs(messages):
        offsets, keys, values = list(map(_offset, run)), list(map(_key, run)), list(map(_value, run))
        next_offsets[place] = offsets[-1] + 1
        decoded = decode_many(place[0], keys, values, now_ms, max_future_ms=max_future_ms)
        if decoded is not None:
            records += map(Record, repeat(place[0]), repeat(place[1]), offsets, *decoded, keys, values)
            continue
        for offset, key, value in zip(offsets, keys, values, strict=True):
            try:
                one = decode(place[0], key, value, now_ms, max_future_ms=max_future_ms)
            except InvalidMessage as error:
                rejected.append(Rejected(*place, offset, key, value, error.reason))
            else:
                records.append(Record(*place, offset, one.key, one.value, key, value))
    return RecordBatch(records, rejected, next_offsets)


def _runs(messages: Sequence[Message]) -> Iterator[tuple[Place, Sequence[Message]]]:
    """Yield what stands beside each other of one partition, in order."""
    places = groupby(zip(map(_topic, messages), map(_partition, messages), strict=True))
    start = 0
    for place, run in places:
        end = start + len(list(run))
        yield place, messages[start:end]
        start = end
