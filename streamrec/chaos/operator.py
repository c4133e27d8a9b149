"""Who types what the handbook says after Redis came back empty."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from threading import Event
from typing import Final

from streamrec.errors import LocalStackError

_AGAIN_S: Final = 2.0


class Operator:
    """Runs ``streamrec rebuild`` until it says that it is done; a broker or Redis that is away is waited for."""

    def __init__(self, environment: Mapping[str, str], *, patience_s: float = 150.0) -> None:
        self._environment = {**os.environ, **environment}
        self._patience_s = patience_s
        self._pause = Event()
        self.rebuilds = 0

    def rebuild(self) -> None:
        """Rebuild profiles and lists from the events that Kafka still holds. Raises LocalStackError with the last answer."""
        deadline = time.monotonic() + self._patience_s
        while True:
            left_s = deadline - time.monotonic()
            command = [sys.executable, "-m", "streamrec", "rebuild", "--json"]
            try:
                done = subprocess.run(  # noqa: S603 - our own program
                    command, env=self._environment, capture_output=True, timeout=max(left_s, 1.0), check=False
                )
                code, said = done.returncode, done.stderr.decode(errors="replace")
            except subprocess.TimeoutExpired:
                code, said = -1, "it did not come to its end"
            if code == 0:
                self.rebuilds += 1
                return
            if time.monotonic() > deadline:
                msg = f"`streamrec rebuild` was not done after {self._patience_s:.0f} s: {said[-500:]}; read the recommenders' logs"
                raise LocalStackError(msg)
            self._pause.wait(_AGAIN_S)
