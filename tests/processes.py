"""Child processes as the kernel tells of them, and waiting for what becomes true."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
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


def check_ctrl_c_leaves_nothing_behind(
    arguments: Sequence[str], out: Path, *, environment: Mapping[str, str], when: bytes, children: int
) -> None:
    """Run a verb into the file ``out``, press Ctrl-C once it has said ``when``, and see it and its ``children`` end."""
    with out.open("wb") as stream:
        # A shell starts what runs in the background deaf to Ctrl-C, and children inherit that.
        heard = signal.signal(signal.SIGINT, signal.default_int_handler)
        command = [sys.executable, "-m", "streamrec", *arguments]
        verb = subprocess.Popen(command, env=environment, stdout=stream, stderr=stream, start_new_session=True)
        signal.signal(signal.SIGINT, heard)
        try:
            await_(lambda: when in out.read_bytes() or verb.poll() is not None, 200.0)
            begun = children_of(verb.pid)
            assert len(begun) >= children
            os.killpg(verb.pid, signal.SIGINT)
            verb.wait(60.0)
        finally:
            if verb.poll() is None:
                verb.kill()
                verb.wait(10.0)
    await_(lambda: not any(Path(f"/proc/{child}").exists() for child in begun), 10.0)
    assert [child for child in begun if Path(f"/proc/{child}").exists()] == []
    assert verb.returncode not in {0, None}
    assert b"Traceback" not in out.read_bytes()
