"""How much memory an engine takes, told by the system."""

from __future__ import annotations

import gc
from pathlib import Path

from streamrec.index.memory import give_back


def settled_mb() -> float:
    """Return the process's memory after everything that is free was given back, in MB; see ``anonymous_mb``."""
    gc.collect()
    give_back()
    return anonymous_mb()


def anonymous_mb() -> float:
    """Return the resident anonymous memory of this process in MB (10⁶ bytes): what it allocated, without files that it maps."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024 / 1e6
    msg = "/proc/self/status has no RssAnon; run the bench on Linux 4.5 or newer"
    raise OSError(msg)
