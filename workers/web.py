"""A worker's pages: /livez, /readyz, /metrics, and /why/{user}/{item} where a recommender runs."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from faust.types.web import Request, Response, View

    from workers.app import App
    from workers.parts import Role

#: A reader that has not polled, or a handler that has worked on one batch, for so long hangs. Longer than the longest retry pause.
STALLED_S = 60.0


def stalled(roles: Sequence[Role]) -> list[str]:
    """Return what of the roles does not move any more: reader threads that ended or hang, handlers that never finish."""
    now, stuck = time.monotonic(), []
    for pipeline in (pipeline for role in roles for pipeline in role.pipelines):
        reader, busy_since = pipeline.reader, pipeline.runner.busy_since
        if not reader.is_alive() or now - reader.polled_at > STALLED_S:
            stuck.append(f"{reader.name} does not poll")
        if busy_since is not None and now - busy_since > STALLED_S:
            stuck.append(f"{pipeline.runner.name} has worked on one batch for {now - busy_since:.0f} s")
    return stuck


def add_pages(app: App, roles: Sequence[Role], exposition: Callable[[], bytes]) -> None:
    """Register the pages."""

    @app.page("/livez")
    async def livez(self: View, _request: Request) -> Response:
        stuck = stalled(roles)
        return self.json({"live": not stuck, "stalled": stuck}, status=503 if stuck else 200)

    @app.page("/readyz")
    async def readyz(self: View, _request: Request) -> Response:
        waiting = [role.name for role in roles if not role.ready]
        return self.json({"ready": not waiting, "waiting_for": waiting}, status=503 if waiting else 200)

    @app.page("/metrics")
    async def metrics(self: View, _request: Request) -> Response:
        return self.bytes(exposition(), content_type="text/plain; version=0.0.4")

    @app.page("/why/{user_id}/{item_id}")
    async def why(self: View, _request: Request, user_id: str, item_id: str) -> Response:
        explain: Callable[[str, str], Any] | None = next((role.explain for role in roles if role.explain), None)
        if explain is None:
            return self.json({"error": "this worker has no recommender; ask one of --roles recommender"}, status=404)
        answer = await asyncio.wrap_future(explain(user_id, item_id))
        return self.bytes(msgspec.json.encode(answer), content_type="application/json")
