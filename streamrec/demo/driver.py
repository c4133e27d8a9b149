"""The thread that polls probes, acts as merchant and promises the reader how far the truth is known."""

from __future__ import annotations

import time
from threading import Event as Flag
from threading import Thread
from typing import Final

from streamrec.demo.merchant import Merchant, Scene
from streamrec.demo.pacing import Pacer

#: The pause between two rounds of polling: shorter would take the processor away from the workers that are measured.
_PAUSE_S: Final = 0.005
_WATERMARK_EVERY_S: Final = 0.05
_OBSERVE_EVERY_S: Final = 1.0


class Driver:
    """Runs until ``stop``; ``actions`` may be given at any time."""

    def __init__(self, scene: Scene, pacer: Pacer | None = None, *, pause_s: float = _PAUSE_S) -> None:
        self._scene, self._pacer = scene, pacer
        self.actions: Merchant | None = None
        self.error: Exception | None = None
        self._stop = Flag()
        self._pause_s = pause_s
        self._thread = Thread(target=self._run, name="driver", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """End after the round at hand."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    @property
    def idle(self) -> bool:
        """Whether nothing waits for its effect or its time."""
        return not self._scene.board.waiting() and (self.actions is None or not self.actions.pending)

    def _run(self) -> None:
        try:
            self._rounds()
        except Exception as error:  # noqa: BLE001 - handed to the main thread, which raises it
            self.error = error

    def _rounds(self) -> None:
        next_watermark = next_look = began = time.monotonic()
        while not self._stop.is_set():
            before, began = began, time.monotonic()
            self._scene.board.poll(began - before)
            if self.actions is not None:
                self.actions.tick()
            if began >= next_watermark:
                next_watermark = began + _WATERMARK_EVERY_S
                self._scene.truth.watermark()
            if self._pacer is not None and began >= next_look:
                next_look = began + _OBSERVE_EVERY_S
                self._pacer.observe(self._scene.board.click_delay_ms)
            self._stop.wait(self._pause_s)
