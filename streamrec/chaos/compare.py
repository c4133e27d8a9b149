"""Truth against what lies in Redis and Kafka: every difference is a finding with its evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from hashlib import blake2b
from typing import Any, Final

from streamrec.chaos.findings import Finding
from streamrec.chaos.looks import Letters, SeenList, SeenProfile, Shelves
from streamrec.chaos.truth import Item, Truth, Visitor
from streamrec.lists import keys

#: The fields of each group of an item's facts.
_FIELDS: Final = {
    "catalog": ("title", "image_url", "category", "brand", "currency"),
    "price": ("price", "list_price"),
    "stock": ("quantity",),
}
#: Items of a visitor's list, as shipped.
LIST_SIZE: Final = 50
#: The aggregator remembers so many newest visitors of an item.
_MAX_TOUCHES: Final = 128


def compare_facts(truth: Truth, shelves: Shelves, now_ms: int) -> Iterator[Finding]:
    """Hold the guard and the item hashes against the newest facts, and the guard against the campaigns that run."""
    excluded = truth.excluded(now_ms)
    for item_id, item in truth.items.items():
        found, key = shelves.items.get(item_id, {}), keys.item(item_id)
        for group, fact in item.facts.items():
            yield from _compare_group(key, group, fact.rank[0], fact.fields, found)
        for group in _FIELDS.keys() - item.facts.keys():
            if f"{group}_ts" in found:
                yield Finding("doubled", f"a {group} fact that nobody published", key, None, found[f"{group}_ts"])
        if item.removed >= 0 and "removed_order" not in found:
            yield Finding("lost", "a removal from the catalogue", key, item.removed, None)
        if (item.is_soldout or item_id in excluded) and item_id not in shelves.soldout:
            yield Finding("lost", "an item that must be guarded", keys.SOLDOUT, item_id, _stock(item, found))
    known = truth.items
    for item_id in sorted(shelves.soldout):
        if item_id not in known or not (known[item_id].is_soldout or item_id in excluded):
            yield Finding("stale", "a guarded item that may be shown", keys.SOLDOUT, None, item_id)
    for item_id in sorted(shelves.items.keys() - known.keys()):
        yield Finding("doubled", "an item of which nobody spoke", keys.item(item_id), None, shelves.items[item_id])


def _stock(item: Item, found: Mapping[str, str]) -> str:
    return f"removed={item.removed} found={dict(found)}"


def _compare_group(key: str, group: str, ts: int, fields: Mapping[str, Any], found: Mapping[str, str]) -> Iterator[Finding]:
    there = found.get(f"{group}_ts")
    if there is None:
        yield Finding("lost", f"the {group} fact", key, {"ts": ts, **fields}, None)
    elif int(there) != ts:
        kind, what = ("stale", "an old") if int(there) < ts else ("doubled", "a too new")
        yield Finding(kind, f"{what} {group} fact", key, {"ts": ts, **fields}, dict(found))  # type: ignore[arg-type]
    else:
        wrong = {name: (fields[name], found.get(name)) for name in _FIELDS[group] if not _same(fields[name], found.get(name))}
        if wrong:
            yield Finding("stale", f"values of another {group} fact of the same ts", key, {"ts": ts, **fields}, wrong)


def _same(expected: Any, found: str | None) -> bool:
    if expected is None or found is None:
        return expected is None and found is None
    return expected == found if isinstance(expected, str) else float(expected) == float(found)


def compare_profiles(truth: Truth, shelves: Shelves) -> Iterator[Finding]:
    """Hold every profile against the visitor's events, each of which must be in it once."""
    nothing = SeenProfile(Counter(), {}, {}, {}, set())
    for user_id, visitor in truth.visitors.items():
        yield from _compare_profile(keys.profile(user_id), visitor, shelves.profiles.get(user_id, nothing))
    for user_id in sorted(shelves.profiles.keys() - truth.visitors.keys()):
        yield Finding(
            "doubled", "a profile of a visitor who did nothing", keys.profile(user_id), None, str(shelves.profiles[user_id])
        )


def _compare_profile(key: str, visitor: Visitor, seen: SeenProfile) -> Iterator[Finding]:
    for interaction, times in (visitor.interactions - seen.interactions).items():
        yield Finding("lost", "an event of a visitor", key, (*interaction, times), seen.interactions[interaction])
    for interaction, times in (seen.interactions - visitor.interactions).items():
        yield Finding("doubled", "an event of a visitor", key, (*interaction, visitor.interactions[interaction]), times)
    maps: tuple[tuple[str, Mapping[str, Any], Mapping[str, Any]], ...] = (
        ("purchase", visitor.bought, seen.bought),
        ("cart entry", visitor.cart, seen.cart),
        ("search", visitor.searches, seen.searches),
    )
    for what, expected, found in maps:
        yield from _compare_map(key, what, expected, found)
    for shown in sorted(visitor.shown - seen.shown):
        yield Finding("lost", "an impression", key, shown, None)
    for shown in sorted(seen.shown - visitor.shown):
        yield Finding("doubled", "an impression", key, None, shown)


def _compare_map(key: str, what: str, expected: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[Finding]:
    for name, value in expected.items():
        if name not in found:
            yield Finding("lost", f"a {what}", key, (name, value), None)
        elif found[name] != value:
            kind = "stale" if found[name] < value else "doubled"
            yield Finding(kind, f"another {what}", key, (name, value), found[name])  # type: ignore[arg-type]
    for name in found.keys() - expected.keys():
        yield Finding("doubled", f"a {what} that never was", key, None, (name, found[name]))


def compare_lists(truth: Truth, shelves: Shelves, now_ms: int) -> Iterator[Finding]:
    """Hold every list against the shop, the campaigns and the visitor's own newest event."""
    allowed = {item_id for item_id, item in truth.items.items() if item.may_be_listed} - truth.excluded(now_ms)
    pins = [(slot, item_id) for slot, item_id in truth.pinned(now_ms) if item_id in allowed]
    for user_id, visitor in truth.visitors.items():
        seen, key = shelves.lists.get(user_id), keys.rec(user_id)
        if seen is not None and seen.ids:
            yield from _compare_list(key, visitor, seen, allowed)
            yield from _compare_pins(key, visitor, seen, pins)
        elif visitor.has_list:
            yield Finding("lost", "a visitor's list", key, "a list", None)
    for key, seen in shelves.fallbacks.items():
        for item_id in sorted(set(seen.ids) - allowed):
            yield Finding("stale", "an item on a fallback that must not be shown", key, None, item_id)
    if truth.items and keys.trending() not in shelves.fallbacks:
        yield Finding("lost", "the shop's fallback list", keys.trending(), "a list", None)


def _compare_list(key: str, visitor: Visitor, seen: SeenList, allowed: Set[str]) -> Iterator[Finding]:
    if seen.made_at < visitor.relisted_ms:
        yield Finding("stale", "a list older than its visitor's newest event", key, visitor.relisted_ms, seen.made_at)
    for item_id in seen.ids:
        if item_id not in allowed:
            yield Finding("stale", "an item on a list that must not be shown", key, None, item_id)
        elif visitor.must_not_see(item_id):
            yield Finding("stale", "an item on the list of somebody who has it", key, None, item_id)
    # Far more may be shown than a list holds: one that ran short should have been made anew.
    possible = len(allowed) - len(visitor.bought) - len(visitor.cart)
    if len(seen.ids) < LIST_SIZE <= possible * 2 // 3:
        yield Finding("stale", "a list that ran short", key, LIST_SIZE, len(seen.ids))
    if len(set(seen.ids)) < len(seen.ids):
        yield Finding("doubled", "an item twice on a list", key, None, sorted(seen.ids))


def _compare_pins(key: str, visitor: Visitor, seen: SeenList, pins: Sequence[tuple[int, str]]) -> Iterator[Finding]:
    for slot, item_id in pins:
        if not visitor.must_not_see(item_id) and seen.ids[slot - 1 : slot] != [item_id]:
            yield Finding("stale", "a pin that is not in its place", key, (slot, item_id), seen.ids[:5])


def compare_letters(truth: Truth, letters: Letters) -> Iterator[Finding]:
    """Hold the dead letters against the poison."""
    for place, poison in truth.letters.items():
        if place not in letters.sources:
            yield Finding("lost", f"the dead letter of a message: {poison}", "/".join(map(str, place)), poison, None)
    for place in letters.sources.keys() - truth.letters.keys():
        # What was sent again may lie at two places, of which the broker told us one.
        if letters.values[place] not in truth.uncertain:
            yield Finding(
                "doubled", "a dead letter of a good message", "/".join(map(str, place)), None, str(letters.values[place])[:300]
            )


def compare_counts(truth: Truth, counted: Mapping[str, Mapping[int, int]]) -> Iterator[Finding]:
    """Hold the aggregator's memory against the visitors whom each item met: each once, with the newest ts."""
    for item_id, met in truth.met.items():
        pairs = sorted(((ts, visitor_hash(user_id)) for user_id, ts in met.items()), reverse=True)[:_MAX_TOUCHES]
        expected, found = {visitor: ts for ts, visitor in pairs}, counted.get(item_id, {})
        for visitor in expected.keys() - found.keys():
            yield Finding("lost", "a visitor whom an item met", f"item-neighbours {item_id}", expected[visitor], None)
        for visitor in found.keys() - expected.keys():
            yield Finding("doubled", "a visitor whom an item never met", f"item-neighbours {item_id}", None, found[visitor])
        for visitor in expected.keys() & found.keys():
            if expected[visitor] != found[visitor]:
                evidence = f"item-neighbours {item_id}", expected[visitor], found[visitor]
                yield Finding("stale" if found[visitor] < expected[visitor] else "doubled", "a visit of another time", *evidence)
    for item_id in counted.keys() - truth.met.keys():
        yield Finding("doubled", "an item that nobody met", f"item-neighbours {item_id}", None, len(counted[item_id]))


def visitor_hash(user_id: str) -> int:
    """Return by what name the aggregator knows a visitor: 63 bits of BLAKE2b."""
    return int.from_bytes(blake2b(user_id.encode(), digest_size=8).digest(), "big") >> 1
