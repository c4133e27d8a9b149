"""Run as a script: ask the kernel to kill this process when its parent dies, then become the given command.

``python -I -S leash.py PARENT_PID COMMAND ARG…``. A script of its own, because Python code between fork and exec can deadlock in a
parent with threads. The request survives exec. Systems without prctl (macOS) run the command without a leash.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent_pid: int, command: list[str]) -> None:
    """Replace this process by ``command``; exit at once if the parent has already died."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent_pid:  # it died before the kernel knew of our wish
            sys.exit(1)
    os.execv(command[0], command)  # noqa: S606 - a program and its arguments, no shell


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
