"""Free loopback ports."""

from __future__ import annotations

import random
import socket
from typing import Final

from streamrec.errors import LocalStackError

HOST: Final = "127.0.0.1"
#: Below the kernel's ephemeral range: an outgoing connection cannot take the port between the check and the server's start.
_FIRST, _LAST = 15_000, 32_000
#: Of the system: processes whose ``random`` was seeded alike, as tests side by side are, would meet on the same ports.
_random: Final = random.SystemRandom()


def is_free(port: int) -> bool:
    """Tell whether a server could listen on the loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """Return a loopback port nobody listens on. Raises LocalStackError."""
    for _ in range(1000):
        port = _random.randint(_FIRST, _LAST)
        if is_free(port):
            return port
    msg = f"no free port from {_FIRST} to {_LAST} on {HOST} in 1000 tries; end the servers that hold them"
    raise LocalStackError(msg)


def must_be_free(port: int) -> None:
    """Raise LocalStackError where another server listens on the port: it would answer in place of ours."""
    if not is_free(port):
        msg = f"port {port} on {HOST} is in use; end the server that holds it or choose another port"
        raise LocalStackError(msg)


def answers(port: int, question: bytes, expected: bytes, timeout_s: float = 0.5) -> bool:
    """Tell whether the server on ``port`` replies to ``question`` with bytes that contain ``expected``."""
    try:
        with socket.create_connection((HOST, port), timeout=timeout_s) as connection:
            connection.sendall(question)
            answer = b""
            while expected not in answer:  # several questions have several answers, and they need not come at once
                part = connection.recv(4096)
                answer += part
                if not part:
                    return False
            return True
    except OSError:
        return False
