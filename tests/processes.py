"""Child processes as the kernel tells of them, and waiting for what becomes true."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path


def children_of(pid: int) -> list[int]:
    """Return the ids of a process's children; none where there is no /proc."""
    tasks = Path(f"/proc/{pid}/task")
    return [int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()] if tasks.is_dir() else []


def await_(condition: Callable[[], bool], timeout_s: float) -> None:
    """Return when the condition holds, or the time is over."""
    deadline = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
