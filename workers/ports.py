"""A free port, for a worker that was not given one."""

from __future__ import annotations

import socket


def free_port(host: str) -> int:
    """Return a port of ``host`` that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port
