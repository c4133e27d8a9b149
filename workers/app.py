"""The Faust application: agents, supervision, web server; Kafka is reached by the transport alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import faust
from faust.app import BootStrategy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from faust.types import AgentT
    from mode import ServiceT

    from streamrec.config import WebSettings


class _WithoutKafka(BootStrategy):
    """Starts no Kafka client of Faust's own."""

    enable_kafka = False


class App(faust.App):
    """A Faust app whose records come from pipelines, which are started last and stopped first."""

    BootStrategy = _WithoutKafka

    def __init__(self, name: str, web: WebSettings, port: int) -> None:
        super().__init__(
            name,
            broker="kafka://not-used-by-faust",
            autodiscover=False,
            web_host=web.host,
            web_bind=web.host,
            web_port=port,
            datadir="/dev/null/streamrec",  # tables are not used; nothing may be written
        )
        self._parts: list[ServiceT] = []
        #: Called when the app begins to stop.
        self.stopping: list[Callable[[], None]] = []

    def add(self, parts: Iterable[ServiceT]) -> None:
        """Take services to start with the app."""
        self._parts.extend(parts)

    async def on_stop(self) -> None:
        """Tell all who must know at once; parts are stopped one after another."""
        for tell in self.stopping:
            tell()
        await super().on_stop()

    def _create_directories(self) -> None:
        """Create none: without tables there is nothing to keep on disk."""

    async def _on_agent_error(self, _agent: AgentT[object], error: BaseException) -> None:
        # Faust would restart the agent and go on with the next batch; the failed one would be missing. Crash, and read it again.
        await self.crash(error)

    async def on_started_init_extra_services(self) -> None:
        """Start the parts."""
        # Faust holds all channels shut until its own Kafka consumer has an assignment, and here there is none.
        self.flow_control.resume()
        for part in self._parts:
            await self.add_runtime_dependency(part)
