"""From records as a broker gives them to visitors' events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, cast

from streamrec.errors import InvalidMessage
from streamrec.events import Event, decode, decode_many
from streamrec.events.topics import CLICKS, IMPRESSIONS, ORDERS

#: What an experiment is judged by.
TOPICS: Final = (IMPRESSIONS, CLICKS, ORDERS)
#: Topic, keys and values of some records.
Batch = tuple[str, Sequence[bytes | None], Sequence[bytes | None]]


class Reading:
    """Reads the same batches once more each time it is called; what is no valid event is passed over and counted."""

    def __init__(
        self,
        batches: Callable[[], Iterable[Batch]],
        now_ms: int,
        *,
        max_future_ms: int,
        tell: Callable[[int], object] = lambda _: None,
    ) -> None:
        self._batches = batches
        self._now_ms = now_ms
        self._max_future_ms = max_future_ms
        self._tell = tell
        #: Records of the last time through that are no valid events; workers have put them into the dead letters.
        self.invalid = 0

    def __call__(self) -> Iterator[tuple[str, Event]]:
        """Yield (user id, event); ``tell`` hears how many records of each batch were read."""
        self.invalid = 0
        for topic, keys, values in self._batches():
            whole = decode_many(topic, keys, values, self._now_ms, max_future_ms=self._max_future_ms)
            if whole is not None:
                yield from zip(whole[0], cast("list[Event]", whole[1]), strict=True)
            else:
                yield from self._one_by_one(topic, keys, values)
            self._tell(len(keys))

    def _one_by_one(self, topic: str, keys: Sequence[bytes | None], values: Sequence[bytes | None]) -> Iterator[tuple[str, Event]]:
        for key, value in zip(keys, values, strict=True):
            try:
                message = decode(topic, key, value, self._now_ms, max_future_ms=self._max_future_ms)
            except InvalidMessage:
                self.invalid += 1
            else:
                yield message.key, cast("Event", message.value)
