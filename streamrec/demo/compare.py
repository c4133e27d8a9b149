"""Two moments of Redis side by side: profiles, visitors' lists, item facts and sold-out marks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

import redis

from streamrec.lists import keys
from streamrec.lists.packing import unpack_or_none
from streamrec.profiles import Profile

_CHUNK: Final = 1_000
_MAX_EXAMPLES: Final = 5

#: Key → what it says, in a form that two moments can be compared by.
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Snapshot:
    """What stands in Redis: without revisions and times of making, which count writes and not what is known.

    Item facts are without their offsets: the same fact at a later offset is the same fact.
    """

    profiles: Values
    lists: Values
    facts: Values
    sold_out: frozenset[str]


@dataclass(frozen=True)
class Difference:
    """How many entries of one kind are equal, and how many are not, with examples."""

    equal: int
    different: int
    examples: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Comparison:
    """The state after one replay and after two, part by part."""

    parts: dict[str, Difference]

    @property
    def equal(self) -> bool:
        """Whether nothing at all differs."""
        return not any(part.different for part in self.parts.values())

    def lines(self) -> list[str]:
        """Return the comparison in words."""
        lines = [f"{name:<12}{part.equal:>9,} equal{part.different:>9,} different" for name, part in self.parts.items()]
        lines += [f"  {name}: {example}" for name, part in self.parts.items() for example in part.examples]
        return [*lines, "replayed twice = replayed once" if self.equal else "REPLAYED TWICE IS NOT REPLAYED ONCE"]


def snapshot(client: redis.Redis) -> Snapshot:
    """Read everything that a replay writes."""
    return Snapshot(
        profiles={name: _profile(value) for name, value in _values(client, keys.profile("*"))},
        lists={name: _list(value) for name, value in _values(client, keys.rec("*"))},
        facts=_facts(client),
        sold_out=frozenset(member.decode() for member in cast("set[bytes]", client.smembers(keys.SOLDOUT))),
    )


def _values(client: redis.Redis, pattern: str) -> list[tuple[str, bytes]]:
    names = sorted(set(client.scan_iter(match=pattern, count=_CHUNK)))
    found = []
    for start in range(0, len(names), _CHUNK):
        chunk = names[start : start + _CHUNK]
        values = cast("list[bytes | None]", client.mget(chunk))
        found += [(name.decode(), value) for name, value in zip(chunk, values, strict=True) if value is not None]
    return found


def _profile(value: bytes) -> bytes:
    profile = Profile.unpack(value)
    profile.revision = 0
    return profile.pack()


def _list(value: bytes) -> Any:
    ranked = unpack_or_none(value)
    return value if ranked is None else tuple((item.id, item.score, item.why) for item in ranked.items)


def _facts(client: redis.Redis) -> dict[str, Any]:
    names = sorted(set(client.scan_iter(match=keys.item("*"), count=_CHUNK)))
    found: dict[str, Any] = {}
    for start in range(0, len(names), _CHUNK):
        chunk = names[start : start + _CHUNK]
        with client.pipeline(transaction=False) as pipe:
            for name in chunk:
                pipe.hgetall(name)
            answers = cast("list[dict[bytes, bytes]]", pipe.execute())
        for name, fields in zip(chunk, answers, strict=True):
            found[name.decode()] = {key: value for key, value in fields.items() if not key.endswith(b"_order")}
    return found


def compare(once: Snapshot, twice: Snapshot) -> Comparison:
    """Compare two moments entry by entry; what stands in one only is different."""
    sold_out = (dict.fromkeys(moment.sold_out, True) for moment in (once, twice))
    return Comparison(
        {
            "profiles": _compare(once.profiles, twice.profiles),
            "lists": _compare(once.lists, twice.lists),
            "item facts": _compare(once.facts, twice.facts),
            "sold out": _compare(*sold_out),
        }
    )


def _compare(before: Values, after: Values) -> Difference:
    names = sorted(before.keys() | after.keys())
    different = [name for name in names if before.get(name) != after.get(name)]
    examples = [f"{name}: {_short(before.get(name))} → {_short(after.get(name))}" for name in different[:_MAX_EXAMPLES]]
    return Difference(len(names) - len(different), len(different), examples)


def _short(value: Any) -> str:
    text = "missing" if value is None else repr(value)
    return text if len(text) <= 200 else f"{text[:199]}…"
