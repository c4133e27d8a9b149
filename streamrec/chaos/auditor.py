"""The audit: wait until the system rests, compare, and go on comparing until all is as it must be or patience is over."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
import redis

from streamrec.chaos.compare import compare_counts, compare_facts, compare_letters, compare_lists, compare_profiles
from streamrec.chaos.findings import Finding, Verdict, verdict
from streamrec.chaos.looks import counted, dead_letters, look
from streamrec.clock import Clock, SystemClock
from streamrec.errors import BrokerUnavailable
from streamrec.lists import keys
from workers.groups import GROUPS
from workers.transport.admin import lag

if TYPE_CHECKING:
    from streamrec.chaos.world import World
    from streamrec.config import KafkaSettings

#: Between two looks.
_LOOK_S: Final = 0.5
#: A clean look is repeated after this: what a repair or a late repeat would spoil must have had its time.
_AGAIN_S: Final = 1.5
#: Numbers of a heartbeat that are 0 when a worker has nothing to do.
_BACKLOGS: Final = ("lag", "backlog", "item_lists_due")


def audit(
    world: World,
    client: redis.Redis,
    kafka: KafkaSettings,
    *,
    patience_s: float = 60.0,
    clock: Clock | None = None,
) -> Verdict:
    """Return what of the world's truth is not in Redis and Kafka ``patience_s`` after the system came to rest, at the latest.

    Nothing may be published meanwhile, and everything published must be acknowledged (``Outbox.flush``). A system that does not
    come to rest within ``patience_s`` is compared all the same.
    """
    clock, began = clock or SystemClock(), time.monotonic()
    resting = await_rest(client, kafka, patience_s)
    deadline, clean = time.monotonic() + patience_s, False
    while True:
        findings, checked = examine(world, client, kafka, clock.now_ms())
        if (clean and not findings) or time.monotonic() > deadline:
            break
        clean = not findings
        time.sleep(_AGAIN_S if clean else _LOOK_S)
    if not resting:
        findings.append(Finding("lost", "the system does not come to rest", "heartbeats", 0, unrest(client)))
    return verdict(findings, checked, time.monotonic() - began)


def examine(world: World, client: redis.Redis, kafka: KafkaSettings, now_ms: int) -> tuple[list[Finding], dict[str, int]]:
    """Compare once; return the findings and how much was compared."""
    try:
        shelves, letters, counts = look(client), dead_letters(kafka), counted(kafka)
    except (redis.RedisError, BrokerUnavailable) as error:
        return [Finding("lost", "nothing can be compared", type(error).__name__, "an answer", str(error))], {}
    truth = world.truth
    with truth.lock:
        findings = [
            *compare_facts(truth, shelves, now_ms),
            *compare_profiles(truth, shelves),
            *compare_lists(truth, shelves, now_ms),
            *compare_letters(truth, letters),
            *compare_counts(truth, counts),
        ]
        checked = {
            "messages": sum(truth.acknowledged.values()),
            "items": len(truth.items),
            "guarded": len(shelves.soldout),
            "profiles": len(truth.visitors),
            "interactions": sum(sum(visitor.interactions.values()) for visitor in truth.visitors.values()),
            "lists": len(shelves.lists) + len(shelves.fallbacks),
            "campaigns": len(truth.campaigns(now_ms)),
            "dead_letters": len(truth.letters),
            "repeated_letters": sum(letters.sources.values()) - len(letters.sources),
        }
    return findings, checked


def await_rest(client: redis.Redis, kafka: KafkaSettings, patience_s: float) -> bool:
    """Return whether every worker has nothing to do and every group has committed all, within ``patience_s``."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if not unrest(client):
            with suppress(BrokerUnavailable):
                if not any(sum(lag(kafka, f"{kafka.group_prefix}.{group}", topics).values()) for group, topics in GROUPS.items()):
                    return True
        time.sleep(0.2)
    return False


def unrest(client: redis.Redis) -> list[dict[str, Any]]:
    """Return what the workers say that are not ready or have something to do; without any worker, that."""
    try:
        names = list(client.scan_iter(match=keys.worker("*"), count=1000))
        values = cast("list[bytes | None]", client.mget(names)) if names else []
    except redis.RedisError as error:
        return [{"redis": str(error)}]
    beats = [msgspec.json.decode(value) for value in values if value is not None]
    if not beats:
        return [{"workers": 0}]
    return [beat for beat in beats if not beat.get("ready") or any(beat.get(name) for name in _BACKLOGS)]
