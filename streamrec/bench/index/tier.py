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


def tier(world: World, settings: IndexSettings, do: Callable[[Job], dict[str, Any]], say: Callable[[str], None]) -> dict[str, Any]:
    """Return the figures of ``VARIANTS`` and of float32 hnswlib; those of the first variant also at the top, with its ``saving``.

    ``saving`` is the share of float32 hnswlib's memory that is not needed.
    """
    say(f"tier: exact answers at {world.items:,}")
    truths = [world.exact(world.state(0))]
    say("tier: hnswlib float32")
    float32 = do(Job("hnswlib", settings, world, truths))["fresh"]
    variants = {}
    for name, choice in VARIANTS.items():
        say(f"tier: {name}")
        figures = do(Job(OURS, settings.model_copy(update=choice), world, truths))["fresh"]
        saving = 1 - figures["memory_mb"] / float32["memory_mb"] if float32["memory_mb"] else 0.0
        variants[name] = {"saving": round(saving, 3), **figures}
    first = next(iter(VARIANTS))
    return {"items": world.items, "variant": first, **variants[first], "float32": float32, "variants": variants}
