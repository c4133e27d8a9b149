"""Memory: of processes as the kernel tells it, of Redis as it tells itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, cast

import redis

_KB: Final = re.compile(r"^(VmRSS|VmHWM|Pss):\s+(\d+) kB", re.MULTILINE)


def memory_mb(pids: Mapping[str, int]) -> dict[str, dict[str, float]]:
    """Return ``rss``, ``peak`` and, where the kernel lets us, ``pss`` of each process in MiB; empty where there is no /proc."""
    found = {}
    for name, pid in pids.items():
        values: dict[str, float] = {}
        for file in ("status", "smaps_rollup"):
            with suppress(OSError):
                values |= {key: int(kb) / 1024 for key, kb in _KB.findall(Path(f"/proc/{pid}/{file}").read_text(encoding="ascii"))}
        if values:
            names = {"rss": "VmRSS", "peak": "VmHWM", "pss": "Pss"}
            found[name] = {ours: round(values[theirs], 1) for ours, theirs in names.items() if theirs in values}
    return found


def used_bytes(client: redis.Redis) -> int:
    """Return how many bytes Redis uses for data and what belongs to it."""
    info = cast("dict[str, int]", client.info("memory"))
    return info["used_memory"]
