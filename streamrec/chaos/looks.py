"""What is in Redis and Kafka now, read with decoders of the auditor's own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
from confluent_kafka import Consumer, TopicPartition

from streamrec.chaos.truth import Interaction, Place
from streamrec.errors import BrokerUnavailable
from streamrec.lists import keys
from workers.transport.admin import end_offsets
from workers.transport.client import reader

if TYPE_CHECKING:
    import redis

    from streamrec.config import KafkaSettings

_REVISION_BYTES: Final = 8
_KINDS: Final = ("search", "click", "cart", "order")
_NEIGHBOURS: Final = "item-neighbours"
_LETTERS: Final = "dead-letters"
#: How long the broker may take to answer.
_PATIENCE_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class SeenProfile:
    """A visitor's profile as it lies in Redis."""

    interactions: Counter[Interaction]
    bought: dict[str, int]
    cart: dict[str, tuple[int, int]]
    searches: dict[str, int]
    shown: set[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class SeenList:
    """A list as it lies in Redis, unguarded."""

    made_at: int
    ids: list[str]


@dataclass(frozen=True)
class Shelves:
    """Everything that was looked at in Redis."""

    soldout: set[str]
    items: dict[str, dict[str, str]]
    profiles: dict[str, SeenProfile]
    #: Visitor → the home list.
    lists: dict[str, SeenList]
    #: Key → a fallback list, trending or new.
    fallbacks: dict[str, SeenList]


@dataclass(frozen=True)
class Letters:
    """What lies in the dead letters: places of the sources, and how often each lies there."""

    sources: Counter[Place]
    values: dict[Place, tuple[str, bytes | None]]


def look(client: redis.Redis) -> Shelves:
    """Read all of it."""
    members = cast("set[bytes]", client.smembers(keys.SOLDOUT))
    items: Any = {name: client.hgetall(name) for name in _names(client, keys.item("*"))}
    return Shelves(
        soldout={member.decode() for member in members},
        items={_tag(name): {f.decode(): v.decode() for f, v in fields.items()} for name, fields in items.items()},
        profiles={_tag(name): _profile(value) for name, value in _values(client, keys.profile("*"))},
        lists={_tag(name): _list(value) for name, value in _values(client, keys.rec("*"))},
        fallbacks={name: _list(v) for pattern in (keys.trending("*"), keys.new("*")) for name, v in _values(client, pattern)},
    )


def _names(client: redis.Redis, pattern: str) -> list[str]:
    return sorted(name.decode() for name in client.scan_iter(match=pattern, count=1000))


def _values(client: redis.Redis, pattern: str) -> Iterator[tuple[str, bytes]]:
    names = _names(client, pattern)
    values = cast("list[bytes | None]", client.mget(names)) if names else []
    return ((name, value) for name, value in zip(names, values, strict=True) if value is not None)


def _tag(name: str) -> str:
    """Return what stands between the braces of a key."""
    return name[name.index("{") + 1 : name.index("}")]


def _profile(value: bytes) -> SeenProfile:
    wire: dict[str, Any] = msgspec.msgpack.decode(value[_REVISION_BYTES:])
    return SeenProfile(
        interactions=Counter(Interaction(ts, _KINDS[code], item_id) for ts, code, item_id, _ in wire["r"]),
        bought=wire["b"],
        cart={item_id: (ts, quantity) for item_id, (quantity, ts) in wire["c"].items()},
        searches=wire["q"],
        shown={(ts, item_id) for ts, item_ids in wire["s"] for item_id in item_ids},
    )


def _list(value: bytes) -> SeenList:
    wire = msgspec.json.decode(value)
    return SeenList(wire["made_at"], [item["id"] for item in wire["items"]])


def dead_letters(kafka: KafkaSettings) -> Letters:
    """Read the topic of dead letters from its beginning to its end. Raises BrokerUnavailable."""
    sources: Counter[Place] = Counter()
    values: dict[Place, tuple[str, bytes | None]] = {}
    for message in _read(kafka, _LETTERS):
        told = {name: value.decode() if isinstance(value, bytes) else value or "" for name, value in message.headers() or []}
        place = (told["source-topic"], int(told["source-partition"]), int(told["source-offset"]))
        sources[place] += 1
        values[place] = (place[0], message.value())
    return Letters(sources, values)


def counted(kafka: KafkaSettings) -> dict[str, dict[int, int]]:
    """Return the aggregator's change log: item → visitor's hash → ts of the newest visit. Raises BrokerUnavailable."""
    found: dict[str, dict[int, int]] = {}
    for message in _read(kafka, _NEIGHBOURS):
        item_id, value = (message.key() or b"").decode(), message.value()
        if value is None:
            found.pop(item_id, None)
            continue
        as_of, _, _, state, *_ = msgspec.msgpack.decode(value)
        found[item_id] = {visitor: as_of - age for visitor, age in msgspec.msgpack.decode(state)[1]}
    return found


def _read(kafka: KafkaSettings, topic: str) -> Iterator[Any]:
    ends = end_offsets(kafka, [topic])
    with closing(Consumer(reader(kafka, f"{kafka.group_prefix}.auditor") | {"log_level": 0})) as consumer:
        for (name, partition), end in sorted(ends.items()):
            start, _ = consumer.get_watermark_offsets(TopicPartition(name, partition), timeout=_PATIENCE_S)
            consumer.assign([TopicPartition(name, partition, start)])
            position = start
            while position < end:
                # `consume(n, timeout)` would wait the whole time where compaction left fewer: poll one, then take what is there.
                first = consumer.poll(_PATIENCE_S)
                if first is None:
                    msg = f"{topic} stopped answering at offset {position} of {end}; check that the broker runs and try again"
                    raise BrokerUnavailable(msg)
                for message in [first, *consumer.consume(num_messages=min(1000, end - position) - 1, timeout=0)]:
                    position = (message.offset() or 0) + 1
                    if message.error() is None:
                        yield message
