"""What vectors cost when they are kept compact, beside a graph of float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from streamrec.bench.index.engines import OURS
from streamrec.bench.index.measure import Job
from streamrec.bench.index.world import World
from streamrec.config import IndexSettings

#: Settings of our index by variant; the first is the one that is meant for many items.
VARIANTS: Final[dict[str, dict[str, Any]]] = {"compact": {"compact_from": 1}, "whole": {"compact_from": 0}}
#: A 99th percentile of fewer queries is a guess.
QUERIES: Final = 2_000
#: Beyond so many items a graph of whole vectors takes longer to build than all the rest. The reference is then built with the least
#: effort, which changes no byte of it, as hnswlib makes room for all links at once; other variants are left out.
LARGE: Final = 200_000
_LEAST_EFFORT: Final = 1  # hnswlib makes it M
_MEMORY_ONLY: Final = "tier: hnswlib float32 was built with the least effort, which leaves its memory as it is, but not its answers"


def tier(world: World, settings: IndexSettings, do: Callable[[Job], dict[str, Any]], say: Callable[[str], None]) -> dict[str, Any]:
    """Return the figures of ``VARIANTS`` and of float32 hnswlib; those of the first variant also at the top, with its ``saving``.

    ``saving`` is the share of float32 hnswlib's memory that is not needed. Beyond ``LARGE`` items only the first variant is
    measured, and of float32 hnswlib only the memory.
    """
    large = world.items > LARGE
    say(f"tier: exact answers at {world.items:,}")
    truths = [world.exact(world.state(0))]
    say(f"tier: hnswlib float32{' for its memory' if large else ''}")
    effort = {"ef_construction": _LEAST_EFFORT} if large else {}
    float32 = do(Job("hnswlib", settings.model_copy(update=effort), world, truths))["fresh"]
    variants = {}
    for name in list(VARIANTS)[: 1 if large else None]:
        say(f"tier: {name}")
        figures = do(Job(OURS, settings.model_copy(update=VARIANTS[name]), world, truths))["fresh"]
        saving = 1 - figures["memory_mb"] / float32["memory_mb"] if float32["memory_mb"] else 0.0
        variants[name] = {"saving": round(saving, 3), **figures}
    first = next(iter(VARIANTS))
    return {
        "items": world.items,
        "queries": world.queries,
        "variant": first,
        **variants[first],
        "float32": {name: float32[name] for name in ("memory_mb", "bytes_per_item")} if large else float32,
        "variants": variants,
        "notes": [_MEMORY_ONLY] if large else [],
    }
